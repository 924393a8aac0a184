# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import typing as t

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.module_utils.urls import open_url
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.modules.python_release import package_requirement
from ansible_collections.multinode.celery.plugins.plugin_utils import requirements_lock

MODULE = "multinode.celery.python_release"
URL = re.compile(r"[a-z]+://")
LEFT_OUT = {".git", ".hg", ".svn", "__pycache__", ".venv", "venv", ".tox", ".pytest_cache", ".mypy_cache", ".ruff_cache", "node_modules"}


def packable(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what belongs to a developer's machine, and whose files they were."""
    name = os.path.basename(member.name)
    if name in LEFT_OUT or name.endswith((".pyc", ".egg-info")):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def pack_folder(folder: str, target: str) -> None:
    """Pack the files of a folder into a compressed archive."""
    with tarfile.open(target, "w:gz", compresslevel=6) as tar:
        for name in sorted(os.listdir(folder)):
            tar.add(os.path.join(folder, name), arcname=name, filter=packable)


def verify_checksum(path: str, checksum: str) -> None:
    """Compare a file with a checksum of the form C(algorithm:digest).

    :raises AnsibleActionFail: when they differ or the algorithm is unknown.
    """
    algorithm, _separator, digest = checksum.partition(":")
    try:
        found = hashlib.new(algorithm)
    except ValueError as exc:
        raise AnsibleActionFail(f"source_checksum is not of the form algorithm:digest: {checksum}") from exc
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            found.update(block)
    if found.hexdigest() != digest.lower():
        raise AnsibleActionFail(f"the archive's {algorithm} checksum is {found.hexdigest()}, not {digest}")


def pack_wheels(paths: list[str], target: str) -> None:
    """Pack wheels, which are compressed already."""
    with tarfile.open(target, "w") as tar:
        for path in paths:
            tar.add(path, arcname=os.path.basename(path), filter=packable)


def once(directory: str, identity: t.Any, name: str, make: t.Callable[[str], None]) -> str:
    """Return the path of a file that the first host that asks for it makes."""
    place = os.path.join(directory, f"celery-release-{hashlib.sha256(repr(identity).encode()).hexdigest()[:16]}")
    os.makedirs(place, 0o700, exist_ok=True)
    target = os.path.join(place, name)
    # Every host has a process of its own; the others wait here for the first.
    with open(os.path.join(place, ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(target):
            make(f"{target}.part")
            os.rename(f"{target}.part", target)
    return target


class Source:
    """A project that is downloaded to the controller's temporary directory once a run."""

    def __init__(self, args: dict[str, t.Any]) -> None:
        self.kind = args.get("source_type", "package")
        self.location = str(args.get("source") or "")
        self.revision = str(args.get("source_revision") or args["version"])
        self.checksum = str(args.get("source_checksum") or "")

    def archive(self, directory: str) -> str:
        """Return the path of the project's archive, made by the first host that asks."""
        if self.kind == "archive" and not URL.match(self.location):
            if not os.path.isfile(self.location):
                raise AnsibleActionFail(f"there is no archive {self.location} on the controller")
            return self.location
        name = os.path.basename(self.location.split("?", maxsplit=1)[0]) if self.kind == "archive" else "project.tar.gz"
        return once(directory, (self.kind, self.location, self.revision), name, getattr(self, f"_fetch_{self.kind}"))

    def _fetch_folder(self, target: str) -> None:
        if not os.path.isdir(self.location):
            raise AnsibleActionFail(f"there is no folder {self.location} on the controller")
        pack_folder(self.location, target)

    def _fetch_archive(self, target: str) -> None:
        with open_url(self.location, timeout=60) as response, open(target, "wb") as file:
            shutil.copyfileobj(response, file)
        if self.checksum:
            verify_checksum(target, self.checksum)

    def _fetch_git(self, target: str) -> None:
        with tempfile.TemporaryDirectory(dir=os.path.dirname(target)) as clone:
            # A commit cannot be cloned by its name, but it can be fetched.
            for command in (["init", "--quiet"], ["fetch", "--quiet", "--depth", "1", self.location, self.revision], ["checkout", "--quiet", "FETCH_HEAD"]):
                environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
                done = subprocess.run(["git", "-C", clone, *command], capture_output=True, text=True, check=False, env=environment)
                if done.returncode:
                    raise AnsibleActionFail(f"revision {self.revision} cannot be fetched: {done.stderr.strip()}")
            pack_folder(clone, target)


class Supply:
    """The lock of a release and the wheels that it is installed from, as the controller has them."""

    def __init__(self, args: dict[str, t.Any], prefix: str, find: t.Callable[[str], str]) -> None:
        self.args = args
        # Errors name the inputs of the role that runs.
        self.prefix = prefix
        self.lock: requirements_lock.Lock | None = None
        if args.get("lock"):
            try:
                path = find(str(args["lock"]))
                self.lock = requirements_lock.read(path)
            except requirements_lock.LockError as exc:
                raise self.refusal("lock", str(args["lock"]), exc) from exc
        remote = boolean(args.get("wheel_folder_remote", False))
        self.folder = "" if remote else str(args.get("wheel_folder") or "")

    def refusal(self, name: str, value: str, problem: object) -> AnsibleActionFail:
        """What the user reads."""
        return AnsibleActionFail(f"{self.prefix}{name} is {value}: {problem}. Nothing was installed.")

    def check(self, build: list[str]) -> None:
        """Compare the lock with what the release asks for.

        :raises AnsibleActionFail: when it lacks something.
        """
        if not self.lock:
            return
        wanted = [str(entry) for entry in [*(self.args.get("requirements") or []), *(self.args.get("bare_requirements") or []), *build]]
        if self.args.get("source_type", "package") == "package":
            wanted.append(package_requirement(str(self.args["source"]), str(self.args["version"])))
        problems = requirements_lock.uncovered(self.lock, wanted)
        if problems:
            raise self.refusal("lock", self.lock.path, f"{'; '.join(problems)}; make the lock anew, or set {self.prefix}lock to another")

    def wheels(self, directory: str) -> str:
        """Return the path of an archive with the wheels that hosts need.

        :raises AnsibleActionFail: when the folder lacks one.
        """
        digest = self.lock.digest if self.lock else ""

        def make(target: str) -> None:
            paths = requirements_lock.matching(self.folder, self.lock) if self.lock else requirements_lock.distributions(self.folder)
            pack_wheels(paths, target)

        try:
            return once(directory, (self.folder, digest), "wheels.tar", make)
        except requirements_lock.LockError as exc:
            raise self.refusal("wheel_folder", self.folder, exc) from exc


class ActionModule(ActionBase):
    """Looks for the release first, and prepares and sends its source, lock and wheels only to hosts that lack it."""

    TRANSFERS_FILES = True
    _requires_connection = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module, with the files of the controller that are needed.

        :param task_vars: variables of the task.
        :returns: the module's result.
        :raises AnsibleActionFail: when the source cannot be fetched, or the lock or the wheels lack something.
        """
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        try:
            if args.get("version") is None:
                return self._module(args, task_vars)
            role = self._task._role.get_name(include_role_fqcn=False) if self._task._role else ""
            supply = Supply(args, f"{role}_" if role else "", self._found)
            fetched = args.get("source_type", "package") != "package"
            if not (fetched or supply.lock or supply.folder):
                return self._module(args, task_vars)
            first = self._module({**args, "install": False, "lock": "", "wheel_folder": ""}, task_vars)
            if not first.get("failed") and first["complete"]:
                return self._with_warning(first, args, supply)
            if first.get("failed") or not args.get("install", True):
                return first
            archive = Source(args).archive(C.DEFAULT_LOCAL_TMP) if fetched else ""
            supply.check(requirements_lock.build_requirements(archive) if fetched and supply.lock else [])
            wheels = supply.wheels(C.DEFAULT_LOCAL_TMP) if supply.folder else ""
            if self._task.check_mode:
                return {**first, "changed": True}
            sent = {"source": archive, "lock": supply.lock.path if supply.lock else "", "wheel_folder": wheels}
            return self._module({**args, **({"source_type": "archive"} if fetched else {}), **self._sent(sent)}, task_vars)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _module(self, args: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        return self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)

    def _found(self, path: str) -> str:
        """The path of a lock, which may be among the files of the role."""
        if os.path.isabs(path) or os.path.exists(path):
            return path
        try:
            return str(self._find_needle("files", path))
        except AnsibleError as exc:
            raise requirements_lock.LockError("there is no such file on the controller") from exc

    def _sent(self, files: dict[str, str]) -> dict[str, str]:
        """Copy files to the host and return where they are."""
        directory, remote = "", {}
        for option, path in files.items():
            if path:
                directory = directory or self._make_tmp_path()
                remote[option] = self._transfer_file(path, self._connection._shell.join_path(directory, os.path.basename(path)))
        if directory:
            self._fixup_perms2((directory, *remote.values()))
        return remote

    @staticmethod
    def _with_warning(first: dict[str, t.Any], args: dict[str, t.Any], supply: Supply) -> dict[str, t.Any]:
        """Warn when the lock changed without a new version, because nothing is installed then."""
        if supply.lock and first.get("lock_digest") != supply.lock.digest:
            warning = f"release {args['version']} was installed without the lock {supply.lock.path} as it is now; it takes effect with a new version"
            return {**first, "warnings": [*first.get("warnings", []), warning]}
        return first
