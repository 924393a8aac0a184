# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools of all workers of an environment; plugin_utils/pools.py defines what a pool is."""

from __future__ import annotations

DOCUMENTATION = r"""
name: celery_environment_pools
short_description: List what the workers of an environment consume and how their nodes are called
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Reads the pools, defaults and overrides of all workers at once, for programs that observe them and see only names of nodes.
positional: hostvars, environment_name
options:
  _input:
    description: Names of the workers in the inventory.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  environment_name:
    description: Name of the environment; workers of another one are passed over.
    type: str
    required: true
seealso:
  - plugin: multinode.celery.celery_nodes
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show which pool each node belongs to
  ansible.builtin.debug:
    msg: "{{ (groups['workers'] | multinode.celery.celery_environment_pools(hostvars, cluster_environment.name)).nodes }}"
"""

RETURN = r"""
_value:
  description: What the pools of the environment are.
  type: dict
  contains:
    queues:
      description: Queues that any pool consumes, sorted.
      type: list
      elements: str
    nodes:
      description:
        - How to tell the pool of a node from its Celery name, the first entry that fits holds.
        - Also nodes that were started beyond the inventory's number fit one.
      type: list
      elements: dict
      contains:
        pattern:
          description: Regular expression for the whole name of a node.
          type: str
        pool:
          description: Name of the pool.
          type: str
  sample: {"queues": ["video_processing"], "nodes": [{"pattern": "video(?:-[0-9]+)?@.*", "pool": "video"}]}
"""

import collections.abc as c
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.plugin_utils import pools


def environment_pools(hosts: c.Iterable[str], hostvars: t.Mapping[str, t.Any], environment_name: str) -> dict[str, t.Any]:
    """Filter entry point."""
    found: dict[str, list[dict[str, t.Any]]] = {}
    for host in hosts:
        values = hostvars[host]
        environment = values.get("cluster_environment")
        if not isinstance(environment, c.Mapping) or environment.get("name") != environment_name:
            continue
        found[host], problems = pools.read_pools(values.get(pools.POOLS), values.get(pools.DEFAULTS), values.get(pools.OVERRIDES))
        if problems:
            raise AnsibleFilterError(f"{host}: {pools.PoolError(problems)}")
    return {
        "queues": sorted({queue for each in found.values() for pool in each for queue in pool["queues"]}),
        "nodes": [{"pattern": pattern, "pool": pool} for pattern, pool in pools.node_rules(found)],
    }


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"celery_environment_pools": environment_pools}
