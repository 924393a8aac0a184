# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements files that pin every package with its hashes, and folders that hold what they pin."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import functools
import hashlib
import os
import re
import tarfile
import tomllib
import typing as t
import zipfile

from ansible_collections.multinode.celery.plugins.plugin_utils.findings import shortened

# A dependency of ansible-core, which alone is not there where only the imports are checked.
try:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name
except ImportError:
    pass

HASH = re.compile(r"--hash[= ]\s*(\S+)")
DISTRIBUTIONS = (".whl", ".tar.gz", ".zip")
# What tells pip where to look; everything else would add packages that the file itself does not pin.
PLACES = ("--index-url", "-i", "--extra-index-url", "--find-links", "-f", "--trusted-host", "--only-binary", "--no-binary", "--prefer-binary")
MAKING = "make the lock with `uv pip compile --generate-hashes` or `pip-compile --generate-hashes`"


class LockError(ValueError):
    """A lock that cannot be installed from; the text states what to do."""


@dataclasses.dataclass(frozen=True)
class Pin:
    """One package of a lock."""

    name: str
    version: str
    hashes: frozenset[str]
    conditional: bool


@dataclasses.dataclass(frozen=True)
class Lock:
    """A requirements file in which every line is pinned and has hashes."""

    path: str
    digest: str
    pins: tuple[Pin, ...]

    @functools.cached_property
    def hashes(self) -> frozenset[str]:
        """The hashes of all packages, as algorithm:digest."""
        return frozenset().union(*(pin.hashes for pin in self.pins))


def lines_of(text: str) -> t.Iterator[str]:
    """The lines of a requirements file, joined where one goes on, without comments."""
    for joined in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*$", "", joined).strip()
        if line:
            yield line


def pin_of(line: str) -> Pin:
    """Read one line.

    :raises LockError: when it pins nothing, or has no hash.
    """
    words = line.split("--hash", maxsplit=1)[0].strip()
    try:
        requirement = Requirement(words)
    except InvalidRequirement as exc:
        raise LockError(f"{words!r} is not a package with its version") from exc
    exact = [spec.version for spec in requirement.specifier if spec.operator in ("==", "===") and not spec.version.endswith(".*")]
    if not exact and not requirement.url:
        raise LockError(f"{words!r} is not pinned with ==")
    hashes = frozenset(HASH.findall(line))
    if not hashes:
        raise LockError(f"{words!r} has no hash")
    return Pin(canonicalize_name(requirement.name), exact[0] if exact else "", hashes, requirement.marker is not None)


def parse(text: str, path: str) -> Lock:
    """Read a lock.

    :raises LockError: with everything that keeps pip from installing by hashes alone.
    """
    pins, problems = [], []
    for line in lines_of(text):
        if line.startswith("-"):
            if not line.startswith(PLACES):
                problems.append(f"{line.split()[0]!r} adds what the lock itself does not pin")
            continue
        try:
            pins.append(pin_of(line))
        except LockError as exc:
            problems.append(str(exc))
    if not pins and not problems:
        problems.append("it names no package")
    if problems:
        raise LockError(f"{shortened(problems)}; {MAKING}")
    return Lock(path, hashlib.sha256(text.encode()).hexdigest(), tuple(pins))


def read(path: str) -> Lock:
    """Read the lock at a path.

    :raises LockError: when it cannot be read or used.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read(), path)
    except (OSError, UnicodeDecodeError) as exc:
        raise LockError(f"it cannot be read on the controller ({getattr(exc, 'strerror', None) or exc})") from exc


def uncovered(lock: Lock, requirements: c.Iterable[str]) -> list[str]:
    """What keeps a lock from serving requirements: packages that it lacks, or pins to a version that they exclude."""
    problems = []
    for text in requirements:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            problems.append(f"{text!r} cannot be compared with it")
            continue
        versions = [pin.version for pin in lock.pins if pin.name == canonicalize_name(wanted.name)]
        if not versions:
            problems.append(f"it lacks {wanted.name}")
        elif not any(not version or wanted.specifier.contains(version, prereleases=True) for version in versions):
            problems.append(f"it pins {wanted.name} {versions[0]}, and {text} is wanted")
    return problems


def _digest(path: str, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def distributions(folder: str) -> list[str]:
    """Paths of the wheels and sdists of a folder.

    :raises LockError: when there is none.
    """
    names = sorted(name for name in (os.listdir(folder) if os.path.isdir(folder) else ()) if name.endswith(DISTRIBUTIONS))
    if not names:
        raise LockError("no folder with wheels on the controller" if not os.path.isdir(folder) else "it holds neither wheel nor sdist")
    return [os.path.join(folder, name) for name in names]


def matching(folder: str, lock: Lock) -> list[str]:
    """Paths of those distributions of a folder that a lock names by their hashes.

    :raises LockError: when a package has none that matches.
    """
    algorithms = {entry.partition(":")[0] for entry in lock.hashes}
    found = {path: {f"{algorithm}:{_digest(path, algorithm)}" for algorithm in algorithms} for path in distributions(folder)}
    held = set().union(*found.values())
    # A line with a marker may be one that this cluster's hosts do not need.
    missing = [f"{pin.name} {pin.version}" for pin in lock.pins if not pin.conditional and not pin.hashes & held]
    if missing:
        raise LockError(f"it has no file with a hash of the lock for {shortened(missing)}")
    return [path for path, digests in found.items() if digests & lock.hashes]


def _description(archive: str) -> str:
    """The pyproject.toml at the top of an archive, or inside the single directory there."""
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            names = {os.path.normpath(name): name for name in tar.getnames()}
            place = _top(names)
            file = tar.extractfile(names[place]) if place else None
            return file.read().decode() if file else ""
    with zipfile.ZipFile(archive) as packed:
        names = {os.path.normpath(name): name for name in packed.namelist()}
        place = _top(names)
        return packed.read(names[place]).decode() if place else ""


def _top(names: c.Iterable[str]) -> str | None:
    found = [name for name in names if os.path.basename(name) == "pyproject.toml" and name.count("/") <= 1]
    return min(found, key=lambda name: name.count("/"), default=None)


def build_requirements(archive: str) -> list[str]:
    """What building the project in an archive needs; nothing for a wheel and for plain sources."""
    if archive.endswith(".whl"):
        return []
    try:
        text = _description(archive)
        return list(tomllib.loads(text).get("build-system", {}).get("requires", ["setuptools"])) if text else []
    except (OSError, tarfile.TarError, zipfile.BadZipFile, tomllib.TOMLDecodeError, UnicodeDecodeError):
        # The host reports what is wrong with it when it unpacks or builds it.
        return []
