#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_rules
short_description: Bring one table of nftables to its rules, and back where they cut off the controller
version_added: "1.0.0"
description:
  - Replaces the table in one transaction where it differs from the rules, also where it was changed by hand.
  - Before that the host arms a rollback. Then the controller makes a new connection to the host, and only where this succeeds
    the rollback is disarmed. Rules that cut off the controller are therefore gone after O(rollback_seconds), without anybody's help.
  - Where nothing differs this takes one round trip. Nothing is kept for the next boot; write the rules to a file afterwards.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.firewall
options:
  rollback_seconds:
    description: How long the new connection may take.
    type: int
    default: 60
attributes:
  diff_mode:
    support: full
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Bring the firewall to its rules
  multinode.celery.firewall_rules:
    table: multinode_celery
    unit: multinode-firewall.service
    rules: "{{ lookup('ansible.builtin.template', 'rules.nft.j2') }}"
"""

RETURN = r"""
unit_active:
  description: Whether O(unit) is active.
  returned: success
  type: bool
rolled_back:
  description: Whether the host has its former rules again, because the new ones cut off the controller.
  returned: when the rules could not be kept
  type: bool
"""
