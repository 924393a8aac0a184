# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.module_utils._redaction import redact
from ansible_collections.multinode.celery.plugins.plugin_utils.deployment import brief
from ansible_collections.multinode.celery.plugins.plugin_utils.inventory_secrets import secrets_of

MODULE = "multinode.celery.support_bundle"


class ActionModule(ActionBase):
    """Tells the module every secret that the inventory has for the host, and looks for them again in what it gives."""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Collect one host's part; a host that cannot be reached leaves a note.

        :param task_vars: variables of the task.
        :returns: how it went, and no content.
        """
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        host = task_vars["inventory_hostname"]
        secrets = sorted(secrets_of(host, self._loader, self._templar, task_vars["hostvars"]))
        result: dict[str, t.Any] = {"changed": False, "status": "ok", "message": ""}
        try:
            told = self._execute_module(module_name=MODULE, module_args={**args, "secrets": secrets}, task_vars=task_vars)
            if "texts" not in told:
                result.update(status="failed", message=redact(str(told.get("msg") or "it gave nothing"), secrets)[:500])
        except AnsibleConnectionFailure as exc:
            told = {}
            result.update(status="unreachable", message=brief(exc))
        found = told.get("texts") or {"status.txt": f"{result['status']}: {result['message']}\n"}
        for name, text in found.items():
            self._write(os.path.join(args["directory"], host, name), redact(text, secrets, name))
        return {**result, "files": len(told.get("texts") or {})}

    @staticmethod
    def _write(path: str, text: str) -> None:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
