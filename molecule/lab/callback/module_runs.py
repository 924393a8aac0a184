# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: module_runs
type: notification
short_description: Count real module executions per host
version_added: "1.0.0"
description:
  - Counts each module that Ansible sends to a host, those of loops, retries and action plugins included, and writes
    them with the play recap and the duration to the file named by the environment variable C(MODULE_RUNS_FILE).
  - For the collection's own tests; it is not part of what is installed.
author:
  - multinode.celery contributors (@multinode)
"""

import json
import os
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

_TARGET = os.environ.get("MODULE_RUNS_FILE", "")
_original = ActionBase._execute_module


def _counted(self: Any, module_name: str | None = None, *args: Any, **kwargs: Any) -> Any:
    """Runs in a forked worker: only a file that is appended to survives it."""
    started = time.time()
    try:
        return _original(self, module_name, *args, **kwargs)
    finally:
        variables = kwargs.get("task_vars") or {}
        record = {
            "host": variables.get("inventory_hostname") or self._play_context.remote_addr,
            "module": module_name or self._task.action,
            "task": self._task.get_name(),
            "delegate": self._task.delegate_to,
            "seconds": round(time.time() - started, 3),
        }
        with open(f"{_TARGET}.lines", "a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")


class CallbackModule(CallbackBase):
    """Writes the counts when the playbook ends."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "module_runs"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.disabled = not _TARGET
        self.started = time.time()
        self.changed: list[dict[str, str]] = []
        if not self.disabled:
            open(f"{_TARGET}.lines", "w", encoding="utf-8").close()
            ActionBase._execute_module = _counted

    def v2_runner_on_ok(self, result: Any) -> None:
        if result._result.get("changed"):
            self.changed.append({"host": result._host.get_name(), "task": result._task.get_name()})

    def v2_playbook_on_stats(self, stats: Any) -> None:
        with open(f"{_TARGET}.lines", encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines]
        runs: dict[str, int] = {}
        for record in records:
            runs[record["host"]] = runs.get(record["host"], 0) + 1
        tasks: dict[str, dict[str, Any]] = {}
        for record in records:
            entry = tasks.setdefault(record["task"], {"runs": 0, "seconds": 0.0})
            entry["runs"] += 1
            entry["seconds"] = round(entry["seconds"] + record["seconds"], 2)
        slowest = sorted(tasks.items(), key=lambda item: -item[1]["seconds"])[:20]
        with open(_TARGET, "w", encoding="utf-8") as report:
            json.dump(
                {
                    "seconds": round(time.time() - self.started, 1),
                    "recap": {host: stats.summarize(host) for host in sorted(stats.processed)},
                    "changed_tasks": self.changed,
                    "module_runs": runs,
                    "slowest_tasks": [{"task": name, **entry} for name, entry in slowest],
                },
                report,
                indent=2,
            )
        os.unlink(f"{_TARGET}.lines")
