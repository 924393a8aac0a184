#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_info
short_description: Ask Celery workers by remote control
version_added: "1.0.0"
description:
  - Pings nodes, and asks those that answer for statistics, active queues or registered tasks.
  - Runs in the virtual environment of the deployed release, with its configuration and as its user.
    One run on one host reaches every node of the environment.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.celery.application
options:
  nodes:
    description: Celery names of the nodes that are expected to answer; all that answer in time when empty.
    type: list
    elements: str
    default: []
  commands:
    description: What to ask besides the ping.
    type: list
    elements: str
    choices: [ping, stats, active, reserved, scheduled, active_queues, registered]
    default: [ping]
  timeout_seconds:
    description: How long one question waits for answers, in seconds.
    type: float
    default: 2.0
  wait_seconds:
    description: How long expected nodes are pinged again and again until all answer, in seconds.
    type: float
    default: 10.0
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Query the queues that every worker consumes
  multinode.celery.celery_info:
    app_directory: /opt/celery/proj
    config_directory: /etc/celery/proj
    nodes: [video@cpu-1, export@io-1]
    commands: [active_queues]
  register: workers
"""

RETURN = r"""
nodes:
  description: Answers, by node and command.
  returned: success
  type: dict
  sample: {"video@cpu-1": {"ping": {"ok": "pong"}}}
missing:
  description: Expected nodes that did not answer.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils._celery_client import ARGUMENTS, ClientError, ask

COMMANDS = ("ping", "stats", "active", "reserved", "scheduled", "active_queues", "registered")


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "nodes": {"type": "list", "elements": "str", "default": []},
            "commands": {"type": "list", "elements": "str", "choices": list(COMMANDS), "default": ["ping"]},
            "timeout_seconds": {"type": "float", "default": 2.0},
            "wait_seconds": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    seconds = params["wait_seconds"] + params["timeout_seconds"] * (1 + len(params["commands"]))
    try:
        answer = ask(
            module,
            "inspect",
            seconds,
            nodes=params["nodes"],
            commands=params["commands"],
            timeout_seconds=params["timeout_seconds"],
            wait_seconds=params["wait_seconds"],
        )
    except ClientError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
