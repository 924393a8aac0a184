#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_evaluate
short_description: Report what is wrong with a cluster and what to do about it
version_added: "1.0.0"
description:
  - Compares what every host reported to M(multinode.celery.doctor_host), and what workers and queues reported to one of each environment,
    with the inventory and with each other.
  - Runs on the controller and contacts no host; use it with C(run_once).
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  hosts:
    description: Hosts that were asked.
    type: list
    elements: str
    required: true
  collected:
    description: Name of the variable in which each host's result was registered.
    type: str
    required: true
  workers:
    description:
      - Name of the variable in which one host of each environment, the one from which its workers were asked, registered
        M(multinode.celery.celery_info).
    type: str
    required: true
  queues:
    description: Name of the variable in which the same hosts registered M(multinode.celery.celery_queues).
    type: str
    required: true
  complete:
    description: Whether every host of the inventory was asked, as without C(--limit).
    type: bool
    default: true
  thresholds:
    description:
      - What the checks measure with, by the keys C(disk_free_percent_min), C(disk_free_mb_enough), C(memory_available_percent_min),
        C(clock_offset_seconds_max), C(queue_length_max), C(queue_age_seconds_max) and C(unacked_age_seconds_max).
    type: dict
    required: true
  fail_severity:
    description: The least severity for which RV(fails) is true.
    type: str
    choices: [error, warning, info, never]
    default: warning
  json_path:
    description: File on the controller that gets the findings as JSON.
    type: str
    default: ""
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Compare the collected state with the inventory
  multinode.celery.doctor_evaluate:
    hosts: "{{ ansible_play_hosts_all }}"
    collected: collected
    workers: workers
    queues: queues
    thresholds:
      disk_free_percent_min: 10
      disk_free_mb_enough: 5120
      memory_available_percent_min: 5
      clock_offset_seconds_max: 2
      queue_length_max: 10000
      queue_age_seconds_max: 3600
      unacked_age_seconds_max: 7200
  run_once: true
"""

RETURN = r"""
findings:
  description: What is wrong, the worst first, each with C(severity), C(check), C(hosts), C(message) and C(remedy).
  type: list
  elements: dict
  returned: always
counts:
  description: Number of findings by severity.
  type: dict
  returned: always
hosts:
  description: Number of hosts that were asked.
  type: int
  returned: always
environments:
  description:
    - For each environment its C(queues), each with its C(length), the age of its oldest message in seconds and its messages that
      workers hold, and in C(unacked) the messages of all queues that workers hold.
  type: dict
  returned: always
table:
  description: The findings as lines of a table.
  type: list
  elements: str
  returned: always
fails:
  description: Whether a finding is as severe as O(fail_severity).
  type: bool
  returned: always
"""
