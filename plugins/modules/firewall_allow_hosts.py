#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_allow_hosts
short_description: Render the rules of a host that is not part of the run, with the hosts of the run allowed
version_added: "1.0.0"
description:
  - Renders the firewall's rules of the host to which the task is delegated, from the variables that this host has in the play.
  - The result allows what the present rules of that host allow, and the hosts of the run. So nobody loses access who is not in the
    inventory any more; that is the business of a run that deploys the host.
  - Where the present rules allow all of the hosts, or do not have the port rule, nothing is rendered.
  - Fails where the rendered rules would refuse one of the hosts. Nothing is changed on any host.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  template:
    description: The template of the rules on the controller.
    type: path
    required: true
  present:
    description: The present rules of the host.
    type: str
    required: true
  hosts:
    description: The hosts to be allowed.
    type: list
    elements: str
    required: true
  port_rule:
    description: Name of the port rule that has to allow them.
    type: str
    required: true
attributes:
  diff_mode:
    support: none
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Render the rules of a broker with two hosts more
  multinode.celery.firewall_allow_hosts:
    template: "{{ role_path }}/templates/etc/multinode-firewall/rules.nft.j2"
    present: "{{ lookup('ansible.builtin.file', 'rules-of-broker-1.nft') }}"
    hosts: [cpu-3, cpu-4]
    port_rule: brokers
  delegate_to: broker-1
"""

RETURN = r"""
host:
  description: The host whose rules these are.
  returned: success
  type: str
rules:
  description: The rules with the hosts, empty where nothing is to be changed.
  returned: success
  type: str
"""
