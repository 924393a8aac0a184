# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import shutil
import tarfile
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.module_utils._redaction import leaks, redact
from ansible_collections.multinode.celery.plugins.plugin_utils.inventory_secrets import secrets_of
from ansible_collections.multinode.celery.plugins.plugin_utils.role_files import RoleFiles

SPEC = {"directory": {"type": "path", "required": True}, "path": {"type": "path", "required": True}, "documents": {"type": "dict", "default": {}}}


class ActionModule(ActionBase):
    """Packs a folder of the controller once no secret of any host is left in it."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Look for the secrets of every host of the inventory in every file, and pack.

        :param task_vars: variables of the task.
        :returns: path and size of the archive.
        :raises AnsibleActionFail: when a secret is left, or the archive cannot be written.
        """
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(SPEC)
        hostvars = (task_vars or {})["hostvars"]
        files = RoleFiles(self._loader)
        secrets: set[str] = set()
        for host in hostvars:
            secrets |= secrets_of(host, files, self._templar, hostvars)
        directory, path = args["directory"], args["path"]
        for name, text in args["documents"].items():
            with open(os.path.join(directory, os.path.basename(name)), "w", encoding="utf-8") as stream:
                stream.write(text if isinstance(text, str) else json.dumps(text, indent=2, default=str))
        found = sorted(os.path.join(root, name) for root, _folders, names in os.walk(directory) for name in names)
        try:
            for file in found:
                self._clean(file, secrets)
            with tarfile.open(fileobj=os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"), mode="w:gz") as archive:
                archive.add(directory, arcname=os.path.basename(path).partition(".")[0])
            shutil.rmtree(directory)
        except OSError as exc:
            raise AnsibleActionFail(f"support_bundle_path: {path} cannot be written on the control machine ({exc})") from exc
        return {"changed": True, "path": os.path.abspath(path), "files": len(found), "size": os.path.getsize(path)}

    @staticmethod
    def _clean(file: str, secrets: set[str]) -> None:
        with open(file, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
        cleaned = redact(text, secrets)
        if leaks(cleaned, secrets):
            raise AnsibleActionFail(f"{file} still holds a secret, so no archive was made; the folder beside it must not be given away")
        if cleaned != text:
            with open(file, "w", encoding="utf-8") as stream:
                stream.write(cleaned)
