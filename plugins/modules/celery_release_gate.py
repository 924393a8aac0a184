#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_release_gate
short_description: Decide whether an installed release of an application may be deployed
version_added: "1.0.0"
description:
  - Loads the release as a worker would, and compares the tasks that it registers with those that wait in queues or that workers hold.
    A worker throws a task away whose name it does not know.
  - Then runs a worker of the release that consumes a queue of its own, and has it execute a canary. It takes no other task.
  - Fails when the release does not load, when waiting tasks are unknown to it, or when its worker executes no canary.
    What runs is not touched.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.celery.application
options:
  app_module:
    description: Python module that holds the Celery application, as in C(celery_app_module).
    type: str
    required: true
  version:
    description: Release to look at, which must be installed.
    type: str
    required: true
  host:
    description: Name of the host, which becomes part of the name of the trial's queue.
    type: str
    required: true
  queues:
    description: Queues of the application.
    type: list
    elements: str
    required: true
  allowed:
    description: Names of tasks that may wait although the release does not know them; they will be thrown away.
    type: list
    elements: str
    default: []
  limit:
    description: How many messages of each queue are read.
    type: int
    default: 100000
  task:
    description: Task that the worker has to execute; one that does no harm and ends soon.
    type: str
    default: multinode.canary
  args:
    description: Positional arguments of that task.
    type: list
    elements: raw
    default: []
  timeout_seconds:
    description: How long the worker may take to start and to execute the canary, in seconds.
    type: float
    default: 60.0
attributes:
  check_mode:
    support: none
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Check whether the new release may be deployed
  multinode.celery.celery_release_gate:
    app_directory: /opt/celery/proj
    config_directory: /etc/celery/proj
    app_module: proj
    version: 2.0.0
    host: "{{ inventory_hostname }}"
    queues: [default, video_processing]
"""

RETURN = r"""
registered:
  description: Names of the tasks that the release registers.
  returned: when the release loads
  type: list
  elements: str
unknown:
  description: For each queue the waiting tasks that the release does not know, with their numbers.
  returned: when the release loads
  type: dict
  sample: {"default": {"proj.tasks.gone": 3}}
incomplete:
  description: Queues of which not every message was read.
  returned: when the release loads
  type: list
  elements: str
trial:
  description: What became of the worker, with its last lines where it failed.
  returned: when the release loads
  type: dict
  sample: {"ok": true, "error": "", "output": "", "seconds": 3.2}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _environment_file
from ansible_collections.multinode.celery.plugins.module_utils._celery_client import ARGUMENTS, ClientError, ask
from ansible_collections.multinode.celery.plugins.module_utils._redaction import redact

# Reading long queues comes on top of the trial.
READ_SECONDS = 60


def objection(version: str, answer: t.Mapping[str, t.Any]) -> str:
    """Return why a release may not be deployed, nothing when it may."""
    if answer["error"]:
        return f"release {version} does not start: it cannot be imported\n{answer['error'].strip()}"
    if answer["unknown"]:
        listed = "; ".join(
            f"{place}: " + ", ".join(f"{task} ({count})" for task, count in tasks.items()) for place, tasks in answer["unknown"].items()
        )
        return (
            f"release {version} does not know tasks that wait, its workers would throw them away: {listed}. "
            "Let them be executed first, or keep them in the release"
        )
    if answer["trial"] and not answer["trial"]["ok"]:
        return f"release {version} {answer['trial']['error']}\n{answer['trial']['output'].strip()}"
    return ""


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "app_module": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "host": {"type": "str", "required": True},
            "queues": {"type": "list", "elements": "str", "required": True},
            "allowed": {"type": "list", "elements": "str", "default": []},
            "limit": {"type": "int", "default": 100000},
            "task": {"type": "str", "default": "multinode.canary"},
            "args": {"type": "list", "elements": "raw", "default": []},
            "timeout_seconds": {"type": "float", "default": 60.0},
        },
    )
    params = module.params
    names = ("host", "queues", "allowed", "limit", "task", "args", "timeout_seconds")
    try:
        environment = _environment_file.read(f"{params['config_directory']}/env")
        answer = ask(
            module,
            "release",
            params["timeout_seconds"] + READ_SECONDS,
            release=f"releases/{params['version']}",
            module_name=params["app_module"],
            environment=environment,
            **{name: params[name] for name in names},
        )
    except (ClientError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    found = redact(objection(params["version"], answer))
    for queue in answer.get("incomplete", []):
        module.warn(f"only the next {params['limit']} messages of queue {queue} were read")
    answer.pop("error")
    if found:
        module.fail_json(msg=found, **answer)
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
