# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets of Prometheus that follow from an inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: monitoring_targets
short_description: List what Prometheus scrapes on the hosts of an inventory
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Walks once over the hosts of the given groups, without templating their variables, so it can be computed on one host for all.
  - Each target carries the labels C(host) and C(instance), both the host's name in the inventory, and C(group).
positional: hostvars, jobs
options:
  _input:
    description: The groups of the inventory, as in the variable C(groups).
    type: dict
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  jobs:
    description: The jobs by name.
    type: dict
    required: true
    suboptions:
      groups:
        description: Groups whose hosts are targets. The first one that holds a host gives its label C(group).
        type: list
        elements: str
        required: true
      port:
        description: Port of the target.
        type: int
        required: true
      scheme:
        description: What is before the address, for example C(redis://).
        type: str
        default: ""
"""

EXAMPLES = r"""
- name: Report the targets of the node exporters
  ansible.builtin.debug:
    msg: "{{ groups | multinode.celery.monitoring_targets(hostvars, {'node': {'groups': ['brokers', 'workers'], 'port': 9100}}) }}"
"""

RETURN = r"""
_value:
  description: For each job the entries of a file of Prometheus' C(file_sd_configs).
  type: dict
"""

import collections.abc as c
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.host_addresses import host_addresses


def group_of(host: str, groups: t.Mapping[str, c.Collection[str]], wanted: c.Iterable[str]) -> str:
    """Return the label of a host: the first wanted group that holds it, or the first of that group's children by name."""
    for group in wanted:
        if host in groups.get(group, ()):
            children = sorted(name for name in groups if name.startswith(f"{group}_") and host in groups[name])
            return children[0] if children else group
    return ""


def monitoring_targets(groups: t.Any, hostvars: t.Any, jobs: t.Any) -> dict[str, list[dict[str, t.Any]]]:
    """Filter entry point."""
    if not isinstance(groups, c.Mapping) or not isinstance(jobs, c.Mapping):
        raise AnsibleFilterError("multinode.celery.monitoring_targets wants the variable groups and a dictionary of jobs")
    members = {str(name): list(hosts) for name, hosts in groups.items()}
    sets = {name: frozenset(hosts) for name, hosts in members.items()}
    found: dict[str, list[dict[str, t.Any]]] = {}
    addresses: dict[str, str] = {}
    for job, wanted in jobs.items():
        missing = {"groups", "port"} - set(wanted)
        if missing:
            raise AnsibleFilterError(f"multinode.celery.monitoring_targets: the job {job} lacks {' and '.join(sorted(missing))}")
        hosts = list(dict.fromkeys(host for group in wanted["groups"] for host in members.get(group, ())))
        fresh = [host for host in hosts if host not in addresses]
        addresses.update((node["host"], node["address"]) for node in host_addresses(fresh, hostvars))
        found[str(job)] = [
            {
                "targets": [f"{wanted.get('scheme', '')}{addresses[host]}:{wanted['port']}"],
                "labels": {"host": host, "instance": host, "group": group_of(host, sets, wanted["groups"])},
            }
            for host in hosts
        ]
    return found


class FilterModule:
    """Targets of Prometheus."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file by name."""
        return {"monitoring_targets": monitoring_targets}
