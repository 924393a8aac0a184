# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.plugin_utils import doctor, doctor_brokers, doctor_hosts, doctor_workers

HOST_CHECKS = (*doctor_hosts.CHECKS, *doctor_brokers.CHECKS)
SPEC = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "collected": {"type": "str", "required": True},
    "workers": {"type": "str", "required": True},
    "queues": {"type": "str", "required": True},
    "complete": {"type": "bool", "default": True},
    "thresholds": {"type": "dict", "required": True},
    "fail_severity": {"type": "str", "choices": [*doctor.SEVERITIES, "never"], "default": doctor.WARNING},
    "json_path": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    """Evaluates on the controller what every host has reported."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Evaluate, write the JSON where it is asked for, and return findings and table.

        :param task_vars: variables of the task.
        :returns: findings, table and what the exit code will be.
        :raises AnsibleActionFail: when the JSON cannot be written.
        """
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(SPEC)
        hostvars = (task_vars or {})["hostvars"]
        reported = {name: hostvars.raw_get(name) for name in args["hosts"]}
        hosts = [doctor.make_host(name, values.get(args["collected"]) or {}) for name, values in reported.items()]
        limits = {**args["thresholds"], "complete": args["complete"]}
        environments = {}
        for name, members in doctor.environments(hosts).items():
            answers = {host.name: [doctor.answer(reported[host.name], args[key]) for key in ("workers", "queues")] for host in members}
            query_host = next((host for host, both in answers.items() if any(both)), "")
            workers, queues = answers.get(query_host, ({}, {}))
            environments[name] = doctor.Environment(members, query_host, workers, queues, limits)
        findings = doctor.evaluate(doctor.Cluster(hosts, limits), environments.values(), HOST_CHECKS, doctor_workers.CHECKS)
        result = {
            "findings": [dataclasses.asdict(finding) for finding in findings],
            "counts": doctor.counted(findings),
            "hosts": len(hosts),
            "environments": {
                name: {
                    "queues": {
                        queue: {key: state.get(key) for key in ("length", "oldest_seconds", "unacked")}
                        for queue, state in (environment.queues.get("queues") or {}).items()
                    },
                    "unacked": environment.queues.get("unacked") or {},
                }
                for name, environment in environments.items()
            },
        }
        if args["json_path"]:
            self._write(args["json_path"], result)
        failing = doctor.fails(findings, args["fail_severity"])
        return {"changed": False, **result, "table": doctor.table(findings), "fails": failing}

    @staticmethod
    def _write(path: str, result: dict[str, t.Any]) -> None:
        try:
            with open(os.path.expanduser(path), "w", encoding="utf-8") as stream:
                json.dump(result, stream, indent=2, default=str)
                stream.write("\n")
        except OSError as exc:
            raise AnsibleActionFail(f"doctor_json_path: {path} cannot be written on the control machine ({exc})") from exc
