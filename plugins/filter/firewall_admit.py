# -*- coding: utf-8 -*-
# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of a firewall with further hosts let in."""

from __future__ import annotations

DOCUMENTATION = r"""
name: firewall_admit
short_description: Let further hosts in by the rules of another host
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Adds the addresses of hosts to those of a door, in the rules that the role firewall has written on a host.
  - Rules that let all of them in, or that do not have the door, are returned as they are. The others become what the role
    would write for an inventory with these hosts.
positional: hosts, hostvars, door
options:
  _input:
    description: The rules as text.
    type: str
    required: true
  hosts:
    description: The hosts to be let in.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  door:
    description: Name of the door.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the rules with two hosts more
  ansible.builtin.debug:
    msg: "{{ rules | multinode.celery.firewall_admit(['cpu-3', 'cpu-4'], hostvars, 'brokers') }}"
"""

RETURN = r"""
_value:
  description: The rules with these hosts.
  type: str
"""

import collections.abc as c
import ipaddress
import re
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.firewall_doors import Network, addresses_of, networks_of, without_covered

ELEMENTS = re.compile(r"^\t\telements = { (?P<addresses>[^}]*) }\n", re.MULTILINE)


def widened(rules: str, door: str, version: int, networks: c.Iterable[Network]) -> str:
    """Return rules with further addresses in the set of a door."""

    def replaced(found: re.Match[str]) -> str:
        elements = ELEMENTS.search(found["body"])
        present = [ipaddress.ip_network(word.strip()) for word in elements["addresses"].split(",")] if elements else []
        addresses = without_covered([*present, *networks])
        line = f"\t\telements = {{ {', '.join(addresses)} }}\n" if addresses else ""
        return found["head"] + ELEMENTS.sub("", found["body"]) + line + found["tail"]

    pattern = rf"(?P<head>^\tset {re.escape(door)}_ipv{version} {{\n)(?P<body>(?:^\t\t.*\n)*)(?P<tail>^\t}}$)"
    return re.sub(pattern, replaced, rules, flags=re.MULTILINE)


def firewall_admit(rules: str, hosts: c.Iterable[str], hostvars: t.Any, door: str) -> str:
    """Let further hosts in."""
    networks: list[Network] = []
    for host in hosts:
        try:
            networks += [network for address in addresses_of(host, hostvars) for network in networks_of(address)]
        except (OSError, ValueError) as exc:
            raise AnsibleFilterError(f"the address of {host} cannot be found ({exc}): set ansible_host or firewall_address of {host}") from exc
    for version in (4, 6):
        rules = widened(str(rules), door, version, [network for network in networks if network.version == version])
    return rules


class FilterModule:
    """Rules with further hosts."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file by name."""
        return {"firewall_admit": firewall_admit}
