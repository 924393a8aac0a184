#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_canary
short_description: Prove that every worker executes tasks of every queue that it consumes
version_added: "1.0.0"
description:
  - Sends the task C(multinode.canary) through each queue until every expected node has answered on it.
  - Runs in the virtual environment of the deployed release, with its configuration and as its user.
    One run on one host reaches every node of the environment.
  - Canaries wait their turn behind the tasks that are in a queue; those that nobody takes in time expire.
  - With O(direct) each node gets one canary through the queue that it alone consumes, for which Celery's setting
    C(worker_direct) must be on. Nothing waits there, but a node that is busy answers when one of its tasks has ended.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.celery.application
options:
  nodes:
    description:
      - Nodes that must answer, as the filter P(multinode.celery.celery_nodes#filter) returns them.
      - The keys C(node), C(host) and C(queues) are used.
    type: list
    elements: dict
    required: true
  direct:
    description: Whether each node is reached through its own queue instead of the queues that it shares with others.
    type: bool
    default: false
  task:
    description: Task to send with O(direct); one that does no harm and ends soon.
    type: str
    default: multinode.canary
  args:
    description: Positional arguments of that task.
    type: list
    elements: raw
    default: []
  timeout_seconds:
    description: How long all canaries together may take, in seconds.
    type: float
    default: 30.0
attributes:
  check_mode:
    support: none
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Send a canary through every queue of every worker
  multinode.celery.celery_canary:
    app_directory: /opt/celery/proj
    config_directory: /etc/celery/proj
    nodes:
      - {node: video@cpu-1, host: cpu-1, queues: [video_processing]}

- name: Send a task of the application to one worker
  multinode.celery.celery_canary:
    app_directory: /opt/celery/proj
    config_directory: /etc/celery/proj
    direct: true
    task: proj.tasks.noop
    nodes:
      - {node: video@cpu-1, host: cpu-1, queues: [video_processing]}
"""

RETURN = r"""
rows:
  description: One row for each queue of each node; a node that answered without being expected has a row that is not ok.
  returned: always
  type: list
  elements: dict
  sample:
    - {"queue": "video_processing", "node": "video@cpu-1", "host": "cpu-1", "seconds": 0.112, "ok": true}
table:
  description: The rows as lines of text.
  returned: always
  type: list
  elements: str
failures:
  description: Canaries that failed or expired.
  returned: always
  type: list
  elements: str
sent:
  description: Number of canaries sent.
  returned: always
  type: int
seconds:
  description: How long it took, in seconds.
  returned: always
  type: float
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils._celery_client import ARGUMENTS, ClientError, ask
from ansible_collections.multinode.celery.plugins.module_utils._tables import aligned

COLUMNS = ("queue", "node", "host", "seconds", "ok")


def expected_answers(nodes: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, dict[str, str]]:
    """Return for each queue the nodes that consume it with their hosts."""
    queues: dict[str, dict[str, str]] = {}
    for node in nodes:
        for queue in node["queues"]:
            queues.setdefault(queue, {})[node["node"]] = node["host"]
    return queues


def render_table(rows: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Return the rows as aligned lines with a heading."""

    def cell(row: t.Mapping[str, t.Any], column: str) -> str:
        value = row[column]
        if column == "seconds":
            return "-" if value is None else f"{value:.2f}"
        if column == "ok":
            return "yes" if value else "NO"
        return str(value)

    return aligned([COLUMNS, *([cell(row, column) for column in COLUMNS] for row in rows)])


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "nodes": {"type": "list", "elements": "dict", "required": True},
            "direct": {"type": "bool", "default": False},
            "task": {"type": "str", "default": "multinode.canary"},
            "args": {"type": "list", "elements": "raw", "default": []},
            "timeout_seconds": {"type": "float", "default": 30.0},
        },
    )
    params = module.params
    seconds = params["timeout_seconds"]
    try:
        if params["direct"]:
            nodes = {node["node"]: node["host"] for node in params["nodes"]}
            answer = ask(module, "direct", seconds, nodes=nodes, task=params["task"], args=params["args"], timeout_seconds=seconds)
        else:
            answer = ask(module, "canary", seconds, queues=expected_answers(params["nodes"]), timeout_seconds=seconds)
    except (ClientError, KeyError) as error:
        module.fail_json(msg=str(error))
    answer["table"] = render_table(answer["rows"])
    missing = [f"{row['node']} on {row['queue']}" for row in answer["rows"] if not row["ok"]]
    if params["direct"] and missing:
        module.fail_json(msg=f"canaries that were not executed: {'; '.join(answer['failures'])}", **answer)
    if missing or not answer["rows"]:
        module.fail_json(msg=f"no canary, or one from a node that is not expected: {', '.join(missing) or 'no nodes given'}", **answer)
    # Executed tasks leave nothing behind.
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
