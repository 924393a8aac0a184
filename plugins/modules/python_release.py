#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: python_release
short_description: Install a release of a Python application beside the running one
version_added: "1.0.0"
description:
  - Puts the code and the virtual environment of a release under C(releases/<version>) of an application's directory.
  - A release is complete once its marker is written, which happens last. An interrupted installation is redone from scratch,
    a complete release is never changed.
  - The C(current) link is not touched; switching it is the deployment.
  - C(sbom.json) beside a release lists in the format of CycloneDX what was installed, with versions, hashes and licences.
  - Older releases are removed, but never the one that C(current) points to.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  root:
    description: Directory of the application.
    type: path
    required: true
  version:
    description: Version of the release, also the name of its directory.
    type: str
    required: true
  install:
    description: With V(false) the module only reports whether the release is complete.
    type: bool
    default: true
  source_type:
    description:
      - Where the project comes from.
      - A V(folder), a V(git) repository and the URL of an V(archive) are fetched and packed on the controller once a run,
        however many hosts install the release, and only when a host lacks it. Hosts need neither git nor a way to the source.
      - A V(package) is fetched by pip on the host. What fails for trouble with the network is tried three times.
    type: str
    choices: [package, folder, archive, git]
    default: package
  source:
    description:
      - Name of the package, path of the folder on the controller, path on the controller or URL of the archive,
        or URL of the repository.
      - An archive is a wheel, an sdist, or any tar or zip file with the project's files at its top.
      - The name of a package without a version gets O(version).
      - A project with C(pyproject.toml) or C(setup.py) is installed into the virtual environment. Any other code stays in
        C(src) of the release, together with what its C(requirements.txt) names.
    type: str
  source_revision:
    description: Branch, tag or commit of a V(git) source. The version itself is used when it is empty.
    type: str
    default: ""
  source_checksum:
    description: Checksum of an archive that is fetched from a URL, as C(algorithm:digest). Not verified when it is empty.
    type: str
    default: ""
  requirements:
    description: Requirements to install beside the project.
    type: list
    elements: str
    default: []
  bare_requirements:
    description:
      - Requirements to install after the others, without what they depend on and whatever Python they ask for.
      - For a tool whose own bounds on versions are narrower than what it runs with.
    type: list
    elements: str
    default: []
  index_url:
    description:
      - Package index for pip. The configuration of pip on the host decides when it is empty.
      - It may carry credentials; it is never put on a command line.
    type: str
    default: ""
  pip_arguments:
    description: Further arguments of C(pip install).
    type: list
    elements: str
    default: []
  lock:
    description:
      - Requirements file on the controller that pins every package of the release with its hashes, also what the project depends on.
      - Nothing is installed then that has no hash in it. O(requirements) are compared with it and not given to pip.
      - A project that has to be built finds what its build needs in the lock, too.
    type: str
    default: ""
  wheel_folder:
    description:
      - Folder with all wheels that are needed. Pip asks no index then.
      - Of a folder on the controller only what O(lock) names by its hash is sent to the hosts, or all of it without a lock.
    type: str
    default: ""
  wheel_folder_remote:
    description: Whether O(wheel_folder) is on the host instead of the controller.
    type: bool
    default: false
  python:
    description: Interpreter that the virtual environment is made from.
    type: path
    default: /usr/bin/python3
  keep:
    description: How many complete releases to keep, the new one included.
    type: int
    default: 5
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Install a release from a folder beside the inventory
  multinode.celery.python_release:
    root: /opt/celery/proj
    version: 1.4.2
    source_type: folder
    source: "{{ inventory_dir }}/../proj"
    requirements:
      - celery[redis]>=5.7,<5.8

- name: Check whether a release is installed
  multinode.celery.python_release:
    root: /opt/celery/proj
    version: 1.4.1
    install: false
  register: previous_release
"""

RETURN = r"""
complete:
  description: Whether the release is complete on the host.
  returned: always
  type: bool
current:
  description: Version that C(current) points to, empty where nothing is deployed yet.
  returned: always
  type: str
lock_digest:
  description: SHA-256 of the lock that the complete release was installed from, empty where there was none.
  returned: when the release is complete
  type: str
path:
  description: Directory of the release.
  returned: always
  type: str
project:
  description: How the project was installed, C(package) into the virtual environment or C(source) on the path.
  returned: when the release was installed
  type: str
releases:
  description: Versions that are complete on the host, in the order of their installation.
  returned: always
  type: list
  elements: str
removed:
  description: Versions that were removed.
  returned: always
  type: list
  elements: str
seconds:
  description: How long the steps of the installation took, in seconds.
  returned: when the release was installed
  type: dict
"""

import datetime
import glob
import hashlib
import json
import os
import re
import shutil
import tarfile
import time
import typing as t
import zipfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils._sbom import sbom

MARKER = ".complete"
SBOM = "sbom.json"
# Debian's pip for virtual environments runs as it is packed, which saves a third of the work of an installation.
PACKED_PIP = "/usr/share/python-wheels/pip-*.whl"
VERSION = re.compile(r"[A-Za-z0-9._+-]+")
PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+(\[[^\]]*\])?")
# What pip prints when an index or the way to it has trouble. Pip tries a request again, but gives up on a download that breaks off.
TROUBLE = re.compile(
    r"connection broken by|ReadTimeoutError|Read timed out|IncompleteRead|ProtocolError|ConnectionResetError|RemoteDisconnected"
    r"|\b(429|50[0234]) (Client|Server) Error"
)
ATTEMPTS = 3
WAIT_SECONDS = 5


def valid_version(version: str) -> bool:
    """Whether a version can be the name of a directory."""
    return bool(VERSION.fullmatch(version)) and version not in (".", "..") and not version.startswith("-")


def package_requirement(package: str, version: str) -> str:
    """Return what pip is asked for: a name alone gets the release's version."""
    return f"{package}=={version}" if PLAIN_NAME.fullmatch(package.strip()) else package


def surplus(installed: dict[str, float], keep: int, needed: set[str]) -> list[str]:
    """Return the versions to remove: the oldest beyond ``keep``, but none that is needed."""
    newest = sorted(installed, key=lambda version: (version in needed, installed[version]), reverse=True)
    return sorted(version for version in newest[max(keep, 1):] if version not in needed)


def project_kind(files: t.Iterable[str]) -> str:
    """Tell by the files at its top whether a project is installed as a package or put on the path."""
    return "package" if {"pyproject.toml", "setup.py"} & set(files) else "source"


def safe_member(member: tarfile.TarInfo, target: str) -> tarfile.TarInfo:
    """Return a member of an archive that belongs to root and stays inside the target.

    :raises ValueError: when the member or what it links to lies outside.
    """
    top = os.path.realpath(target)
    places = [os.path.join(top, member.name)]
    if member.issym():
        places.append(os.path.join(os.path.dirname(places[0]), member.linkname))
    elif member.islnk():
        places.append(os.path.join(top, member.linkname))
    if any(os.path.commonpath([top, os.path.realpath(place)]) != top for place in places) or member.isdev():
        raise ValueError(f"{member.name} lies outside of the project or is a device")
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def extract(archive: str, target: str) -> None:
    """Extract a tar archive.

    :raises ValueError: when a member of it cannot be trusted.
    """
    with tarfile.open(archive) as tar:
        # Debian 12's Python has no extraction filters; what they refuse is refused by safe_member, too.
        extra: dict[str, t.Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tar.extractall(target, members=[safe_member(member, target) for member in tar], **extra)


def unpack(archive: str, target: str) -> None:
    """Unpack an archive, leaving out the single directory that sdists have at their top.

    :raises ValueError: when the file is no archive that is known, or one that cannot be trusted.
    """
    if tarfile.is_tarfile(archive):
        extract(archive, target)
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(target)
    else:
        raise ValueError(f"{os.path.basename(archive)} is neither a tar archive nor a zip file")
    top = os.listdir(target)
    if len(top) == 1 and os.path.isdir(os.path.join(target, top[0])) and project_kind(os.listdir(os.path.join(target, top[0]))) == "package":
        inner = f"{target}.inner"
        os.rename(os.path.join(target, top[0]), inner)
        os.rmdir(target)
        os.rename(inner, target)


class Release:
    """A release of an application on this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.releases = os.path.join(self.params["root"], "releases")
        self.path = os.path.join(self.releases, self.params["version"])
        self.seconds: dict[str, float] = {}
        self.reports: list[str] = []

    def complete(self, path: str | None = None) -> bool:
        """Whether the installation of a release was finished."""
        return os.path.isfile(os.path.join(path or self.path, MARKER))

    def marker(self) -> dict[str, t.Any]:
        """Return what was noted when the installation was finished."""
        with open(os.path.join(self.path, MARKER), encoding="utf-8") as marker:
            return dict(json.load(marker))

    def warn_of_other_requirements(self) -> None:
        """Warn when requirements changed without a new version, because nothing is installed then."""
        installed = self.marker().get("requirements", [])
        if self.params["requirements"] and sorted(installed) != sorted(self.params["requirements"]):
            self.module.warn(
                f"release {self.params['version']} was installed with the requirements {', '.join(installed)}; "
                "other ones take effect with a new version"
            )

    def run(self, step: str, command: list[str], attempts: int = 1) -> None:
        """Run one step of the installation, again after trouble with the network, and fail with what it printed."""
        started = time.monotonic()
        environment = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
        if self.params["index_url"]:
            environment["PIP_INDEX_URL"] = self.params["index_url"]
        for attempt in range(attempts):
            if attempt:
                time.sleep(WAIT_SECONDS)
            code, out, err = self.module.run_command(command, environ_update=environment, cwd=self.path)
            if not code or not TROUBLE.search(err):
                break
        self.seconds[step] = round(time.monotonic() - started, 1)
        if code:
            message = f"release {self.params['version']}: {step} failed; it will be redone from scratch in the next run"
            self.module.fail_json(msg=message, rc=code, stdout=out, stderr=err)

    def install(self) -> str:
        """Install the release from scratch and return how the project was installed."""
        if os.path.lexists(self.path):
            shutil.rmtree(self.path)
        source = os.path.join(self.path, "src")
        os.makedirs(source, 0o755)
        wanted, kind = self.project(source)
        packed_pip = sorted(glob.glob(PACKED_PIP))[-1:]
        venv = [self.params["python"], "-m", "venv", *(["--without-pip"] if packed_pip else []), os.path.join(self.path, "venv")]
        self.run("virtual environment", venv)
        runner = [os.path.join(packed_pip[0], "pip")] if packed_pip else ["-m", "pip"]
        pip = [os.path.join(self.path, "venv", "bin", "python"), *runner]
        if self.params["lock"]:
            self.install_locked(pip, wanted)
        else:
            self.install_solved(pip, wanted)
        if kind == "package":
            # What is installed in the virtual environment must not be found a second time on the path.
            shutil.rmtree(source)
            os.mkdir(source, 0o755)
        shutil.rmtree(self.wheels(), ignore_errors=True)
        self.write_sbom()
        self.open_to_all()
        noted = {"version": self.params["version"], "project": kind, "requirements": self.params["requirements"], "lock": self.lock_digest()}
        with open(os.path.join(self.path, MARKER), "w", encoding="utf-8") as marker:
            json.dump(noted, marker)
        return kind

    def install_solved(self, pip: list[str], wanted: list[str]) -> None:
        """Install what pip finds for the project and its requirements."""
        if wanted or self.params["requirements"]:
            # One call, so that pip solves all versions together.
            self.pip_install("pip install", pip, [*self.places(), *self.params["pip_arguments"], *self.params["requirements"], *wanted])
            if self.params["bare_requirements"]:
                bare = ["--no-deps", "--ignore-requires-python", *self.params["bare_requirements"]]
                self.pip_install("pip install of the bare requirements", pip, [*self.places(), *self.params["pip_arguments"], *bare])

    def install_locked(self, pip: list[str], wanted: list[str]) -> None:
        """Install what the lock names by hashes, then the project with nothing else than that."""
        bare = ["--no-deps", "--ignore-requires-python"] if self.params["bare_requirements"] else []
        locked = [*bare, "--require-hashes", "--requirement", self.params["lock"]]
        self.pip_install("pip install of the lock", pip, [*self.places(), *self.params["pip_arguments"], *locked])
        if self.params["source_type"] != "package" and wanted[:1] != ["--requirement"] and wanted:
            self.pip_install("pip install of the project", pip, ["--no-index", "--no-deps", "--no-build-isolation", *wanted])
        if not bare:
            # Names what the project asks for and the lock lacks.
            self.run("pip check (add to the lock what it misses)", [*pip, "check"])

    def pip_install(self, step: str, pip: list[str], arguments: list[str]) -> None:
        """Let pip install, and report what."""
        report = os.path.join(self.path, f"report-{len(self.reports)}.json")
        self.run(step, [*pip, "install", "--quiet", "--report", report, *arguments], ATTEMPTS)
        self.reports.append(report)

    def wheels(self) -> str:
        """Return where the wheels that came from the controller are unpacked."""
        return os.path.join(self.path, "wheels")

    def places(self) -> list[str]:
        """Return the arguments that keep pip from every index where a folder has all wheels."""
        folder = self.params["wheel_folder"]
        if not folder:
            return []
        if not os.path.exists(folder):
            self.module.fail_json(msg=f"release {self.params['version']}: the host has no folder {folder} with wheels")
        if os.path.isfile(folder):
            if not os.path.isdir(self.wheels()):
                os.mkdir(self.wheels(), 0o755)
                extract(folder, self.wheels())
            folder = self.wheels()
        return ["--no-index", "--find-links", folder]

    def lock_digest(self) -> str:
        """Return the digest of the lock, empty without one."""
        if not self.params["lock"]:
            return ""
        with open(self.params["lock"], "rb") as lock:
            return hashlib.sha256(lock.read()).hexdigest()

    def write_sbom(self) -> None:
        """Record beside the release what was installed into it."""
        reports = []
        for path in self.reports:
            with open(path, encoding="utf-8") as report:
                reports.append(json.load(report))
            os.unlink(path)
        moment = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with open(os.path.join(self.path, SBOM), "w", encoding="utf-8") as file:
            json.dump(sbom(os.path.basename(self.params["root"]), self.params["version"], reports, moment), file, indent=1)
            file.write("\n")

    def project(self, source: str) -> tuple[list[str], str]:
        """Unpack the project and return what pip has to install of it."""
        archive = self.params["source"]
        if self.params["source_type"] == "package":
            return [package_requirement(archive, self.params["version"])], "package"
        if archive.endswith(".whl"):
            wheel = os.path.join(source, os.path.basename(archive))
            shutil.copyfile(archive, wheel)
            return [wheel], "package"
        try:
            unpack(archive, source)
        except (ValueError, tarfile.TarError, zipfile.BadZipFile) as exc:
            self.module.fail_json(msg=f"the source of release {self.params['version']} cannot be unpacked: {exc}")
        kind = project_kind(os.listdir(source))
        if kind == "package":
            return [source], kind
        listed = os.path.join(source, "requirements.txt")
        return (["--requirement", listed] if os.path.isfile(listed) else []), kind

    def open_to_all(self) -> None:
        """Let the application's user read what root installed, whatever root's umask was."""
        code, out, err = self.module.run_command(["chmod", "-R", "u+rwX,go+rX,go-w", self.path])
        if code:
            self.module.fail_json(msg=f"the modes of {self.path} cannot be set", stdout=out, stderr=err)

    def installed(self) -> dict[str, float]:
        """Return the complete releases and when they were installed."""
        installed = {}
        for name in os.listdir(self.releases) if os.path.isdir(self.releases) else ():
            path = os.path.join(self.releases, name)
            if self.complete(path):
                installed[name] = os.stat(os.path.join(path, MARKER)).st_mtime
        return installed

    def current(self) -> str:
        """Return the version that is deployed."""
        link = os.path.join(self.params["root"], "current")
        return os.path.basename(os.path.realpath(link)) if os.path.lexists(link) else ""

    def prune(self) -> list[str]:
        """Remove surplus releases and return their versions."""
        removed = surplus(self.installed(), self.params["keep"], {self.params["version"], self.current()})
        for name in removed:
            # Without its marker a half removed release is never taken for a complete one.
            os.unlink(os.path.join(self.releases, name, MARKER))
            shutil.rmtree(os.path.join(self.releases, name))
        return removed


def main() -> None:
    """Install the release if it is not complete."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "install": {"type": "bool", "default": True},
            "source_type": {"type": "str", "choices": ["package", "folder", "archive", "git"], "default": "package"},
            "source": {"type": "str"},
            "source_revision": {"type": "str", "default": ""},
            "source_checksum": {"type": "str", "default": ""},
            "requirements": {"type": "list", "elements": "str", "default": []},
            "bare_requirements": {"type": "list", "elements": "str", "default": []},
            "index_url": {"type": "str", "default": "", "no_log": True},
            "pip_arguments": {"type": "list", "elements": "str", "default": []},
            "lock": {"type": "str", "default": ""},
            "wheel_folder": {"type": "str", "default": ""},
            "wheel_folder_remote": {"type": "bool", "default": False},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "keep": {"type": "int", "default": 5},
        },
        required_if=[("install", True, ("source",))],
        supports_check_mode=True,
    )
    if not valid_version(module.params["version"]):
        module.fail_json(msg=f"{module.params['version']!r} cannot be a version: letters, digits and . _ + - are allowed")
    os.umask(0o022)
    release = Release(module)
    result: dict[str, t.Any] = {"changed": False, "complete": release.complete(), "path": release.path, "removed": []}
    if result["complete"]:
        release.warn_of_other_requirements()
    elif module.params["install"]:
        result["changed"] = True
        if not module.check_mode:
            result.update(project=release.install(), complete=True, removed=release.prune(), seconds=release.seconds)
    if result["complete"]:
        result["lock_digest"] = release.marker().get("lock", "")
    installed = release.installed()
    module.exit_json(**result, current=release.current(), releases=sorted(installed, key=lambda name: (installed[name], name)))


if __name__ == "__main__":
    main()
