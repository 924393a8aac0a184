#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Refuse an inventory that cannot work
version_added: "1.0.0"
description:
  - Reads the inputs of the collection's roles for every host that the playbook C(multinode.celery.site) gives roles to, with the
    roles' defaults, and compares them with the roles' argument specs, with each other and with the facts of the hosts.
  - Runs on the controller and contacts no host; use it with C(run_once).
  - All findings are reported in one message, each with the variable, its value, the hosts, and what to set where.
    Values that a spec marks with C(no_log) are never shown.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  stage:
    description:
      - With V(inventory) every host of that playbook is checked, whatever the play is limited to, without facts.
      - With V(hosts) the hosts of the play are checked against their facts.
    type: str
    choices: [inventory, hosts]
    default: inventory
  required_groups:
    description: Groups that must have at least one host.
    type: list
    elements: str
    default: []
  limits:
    description:
      - What the checks measure with, by the keys C(distributions), C(password_length_min), C(prefork_children_per_core_max),
        C(child_memory_mb) and C(memory_reserved_mb).
    type: dict
    default: {}
  earlier:
    description: Result of an earlier check of the hosts in the same run; what it covers is not done again.
    type: dict
    default: {}
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Check the inventory
  multinode.celery.preflight:
    required_groups: [brokers, workers]
  run_once: true
"""

RETURN = r"""
checked:
  description: What was checked, to be given to O(earlier) as part of the result.
  type: dict
  returned: success
complete:
  description: Whether an earlier check covered everything, so that nothing was done.
  type: bool
  returned: success
"""
