# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.module_utils._redaction import redact
from ansible_collections.multinode.celery.plugins.plugin_utils.deployment import NO_FACTS, Deployment, brief
from ansible_collections.multinode.celery.plugins.plugin_utils.inventory_secrets import secrets_of
from ansible_collections.multinode.celery.plugins.plugin_utils.role_files import RoleFiles, uses_by_host

MODULE = "multinode.celery.support_bundle"


class ActionModule(ActionBase):
    """Tells the module the files that the playbooks place and every secret of the inventory, and looks for them again in what it gives."""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Collect one host's part; a host that cannot be reached leaves a note.

        :param task_vars: variables of the task.
        :returns: how it went, and no content.
        """
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        host = task_vars["inventory_hostname"]
        role_files = RoleFiles(self._loader)
        secrets = sorted(secrets_of(host, role_files, self._templar, task_vars["hostvars"]))
        placed, written, unknown = self._known(host, role_files, task_vars)
        args["files"] = [*placed, *written, *(args.get("files") or [])]
        result: dict[str, t.Any] = {"changed": False, "status": "ok", "message": ""}
        try:
            answer = self._execute_module(module_name=MODULE, module_args={**args, "secrets": secrets}, task_vars=task_vars)
            if "texts" not in answer:
                result.update(status="failed", message=redact(str(answer.get("msg") or "it gave nothing"), secrets)[:500])
        except AnsibleConnectionFailure as exc:
            answer = {}
            result.update(status="unreachable", message=brief(exc))
        found = dict(answer.get("texts") or {}) or {"status.txt": f"{result['status']}: {result['message']}\n"}
        if unknown:
            found["unknown.txt"] = "".join(f"{name}: {reason}\n" for name, reason in unknown.items())
        for name, text in found.items():
            self._write(os.path.join(args["directory"], host, name), redact(text, secrets, name))
        return {**result, "files": len(answer.get("texts") or {})}

    def _known(self, host: str, role_files: RoleFiles, task_vars: dict[str, t.Any]) -> tuple[list[str], list[str], dict[str, str]]:
        """Return the files that the playbooks place on the host, those that its programs write, and what the inventory does not let know."""
        groups = {name: list(hosts) for name, hosts in task_vars["groups"].items()}
        uses = uses_by_host(role_files.uses(), groups).get(host, [])
        hostvars = task_vars["hostvars"]
        plan = Deployment(role_files, self._templar, hostvars.raw_get(host), hostvars, uses, NO_FACTS).read_tasks()
        paths = plan.value("cluster_paths") or {}
        return plan.files(), [paths["drain_marker"], f"{paths['log_directory']}/*.log"] if paths else [], plan.unknown

    @staticmethod
    def _write(path: str, text: str) -> None:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
