#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_queues
short_description: List what waits in Celery's queues and what is unacknowledged
version_added: "1.0.0"
description:
  - Reads the lists of each queue, of every step of priority, and the messages that were delivered and not acknowledged.
  - Nothing is removed from a queue. Messages are read in small parts, so that Redis serves others in between.
  - Runs in the virtual environment of the deployed release, with its configuration and as its user.
    One run on one host sees every queue of the environment.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.celery.application
options:
  queues:
    description: Names of the queues.
    type: list
    elements: str
    required: true
  limit:
    description: How many messages of each list are read; those that will be executed first. The length is always exact.
    type: int
    default: 100000
  timeout_seconds:
    description: How long reading may take, in seconds.
    type: float
    default: 60.0
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Query the queued and unacknowledged messages
  multinode.celery.celery_queues:
    app_directory: /opt/celery/proj
    config_directory: /etc/celery/proj
    queues: [default, video_processing]
  register: waiting

- name: Report the waiting tasks
  ansible.builtin.debug:
    msg: "{{ waiting.queues.default.tasks }}"
"""

RETURN = r"""
queues:
  description: One entry for each queue.
  returned: success
  type: dict
  contains:
    length:
      description: Number of waiting messages.
      type: int
    priorities:
      description: Number of waiting messages for each step of priority.
      type: dict
    tasks:
      description: Number of waiting messages for each task name, of those that were read.
      type: dict
    oldest_seconds:
      description: Age of the oldest message that states when it was sent, in seconds.
      type: float
    scanned:
      description: Number of messages that were read.
      type: int
    complete:
      description: Whether all of them were read.
      type: bool
    unacked:
      description: Number of the queue's messages that workers hold.
      type: int
    unacked_tasks:
      description: The same for each task name.
      type: dict
  sample:
    default:
      {"length": 2, "priorities": {"0": 2}, "tasks": {"proj.tasks.noop": 2}, "oldest_seconds": 0.4, "scanned": 2, "complete": true,
       "unacked": 1, "unacked_tasks": {"proj.tasks.sleep": 1}}
unacked:
  description: Messages of all queues that workers hold.
  returned: success
  type: dict
  contains:
    count:
      description: Number of messages.
      type: int
    tasks:
      description: Number of messages for each task name, of those that were read.
      type: dict
    oldest_seconds:
      description: Age of the oldest message that states when it was sent, in seconds.
      type: float
    unacked_seconds:
      description: How long the message that was delivered first has been unacknowledged, in seconds.
      type: float
    scanned:
      description: Number of messages that were read.
      type: int
    complete:
      description: Whether all of them were read.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils._celery_client import ARGUMENTS, ClientError, ask


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "queues": {"type": "list", "elements": "str", "required": True},
            "limit": {"type": "int", "default": 100000},
            "timeout_seconds": {"type": "float", "default": 60.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        answer = ask(module, "queues", params["timeout_seconds"], queues=params["queues"], limit=params["limit"])
    except ClientError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
