# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that a user names for an operation."""

from __future__ import annotations

DOCUMENTATION = r"""
name: chosen_hosts
short_description: Turn hosts and groups that a user names into hosts of the inventory, or refuse them
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Takes a list, or names separated by commas as a survey or a command line gives them.
  - Fails when nothing is named, when a name is neither a host nor a group, and when a host is outside of the groups
    that the operation is about. The message names the variable to set.
positional: groups, variable, within
options:
  _input:
    description: Names of hosts and groups.
    type: raw
    required: true
  groups:
    description: The magic variable C(groups).
    type: dict
    required: true
  variable:
    description: Name of the variable that the user sets.
    type: str
    required: true
  within:
    description: Groups to one of which each host must belong.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Report the hosts that would be drained
  ansible.builtin.debug:
    msg: "{{ 'cpu-1,workers_io' | multinode.celery.chosen_hosts(groups, 'celery_drain_hosts', ['workers']) }}"
"""

RETURN = r"""
_value:
  description: Names of hosts, in the order of the inventory.
  type: list
  elements: str
"""

import typing as t

from ansible.errors import AnsibleFilterError


def chosen_hosts(names: t.Any, groups: t.Mapping[str, t.Sequence[str]], variable: str, within: t.Sequence[str]) -> list[str]:
    """Filter entry point."""
    words = names.split(",") if isinstance(names, str) else list(names or [])
    words = [str(word).strip() for word in words if str(word).strip()]
    allowed = list(dict.fromkeys(host for group in within for host in groups.get(group, [])))
    known = f"hosts of {', '.join(within)} are {', '.join(allowed)}"
    if not words:
        raise AnsibleFilterError(f"{variable} names no host: set it to hosts or groups of the inventory; {known}")
    chosen: set[str] = set()
    for word in words:
        hosts = [word] if word in groups.get("all", []) else groups.get(word)
        if hosts is None:
            raise AnsibleFilterError(f"{variable}: {word} is neither a host nor a group of the inventory; {known}")
        unlisted = [host for host in hosts if host not in allowed]
        if unlisted or not hosts:
            raise AnsibleFilterError(f"{variable}: {', '.join(unlisted) or word + ' (without hosts)'} is not of these groups; {known}")
        chosen.update(hosts)
    return [host for host in allowed if host in chosen]


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"chosen_hosts": chosen_hosts}
