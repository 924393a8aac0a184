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
from ansible.errors import AnsibleActionFail
from ansible.module_utils.urls import open_url
from ansible.plugins.action import ActionBase

MODULE = "multinode.celery.celery_release"
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


class Source:
    """A project that is brought to the controller's temporary directory once a run."""

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
        identity = hashlib.sha256(repr((self.kind, self.location, self.revision)).encode()).hexdigest()[:16]
        name = os.path.basename(self.location.split("?", maxsplit=1)[0]) if self.kind == "archive" else "project.tar.gz"
        place = os.path.join(directory, f"celery-release-{identity}")
        os.makedirs(place, 0o700, exist_ok=True)
        target = os.path.join(place, name)
        # Every host has a process of its own; the others wait here for the first.
        with open(os.path.join(place, ".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(target):
                getattr(self, f"_fetch_{self.kind}")(f"{target}.part")
                os.rename(f"{target}.part", target)
        return target

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


class ActionModule(ActionBase):
    """Looks for the release first, and prepares and sends its source only to hosts that lack it."""

    TRANSFERS_FILES = True
    _requires_connection = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module, with the archive of the project where one is needed.

        :param task_vars: variables of the task.
        :returns: the module's result.
        :raises AnsibleActionFail: when the source cannot be fetched.
        """
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        try:
            if args.get("source_type", "package") == "package" or args.get("version") is None:
                return self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
            first = self._execute_module(module_name=MODULE, module_args={**args, "install": False}, task_vars=task_vars)
            if first.get("failed") or first["complete"] or not args.get("install", True):
                return first
            if self._task.check_mode:
                return {**first, "changed": True}
            archive = Source(args).archive(C.DEFAULT_LOCAL_TMP)
            directory = self._make_tmp_path()
            remote = self._transfer_file(archive, self._connection._shell.join_path(directory, os.path.basename(archive)))
            self._fixup_perms2((directory, remote))
            return self._execute_module(module_name=MODULE, module_args={**args, "source_type": "archive", "source": remote}, task_vars=task_vars)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
