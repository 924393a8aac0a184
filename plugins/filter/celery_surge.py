# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: celery_surge
short_description: Find the pools that need one more process while hosts restart their workers
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - A queue whose consumers all run on the hosts that restart would have none for a while. For each such queue one pool is chosen
    that gets a process more; a pool that consumes several of these queues is chosen once.
  - A pool whose next node would have the name of another pool's node is not chosen.
positional: hosts
options:
  _input:
    description: Nodes of all hosts, as the filter P(multinode.celery.celery_nodes#filter) returns them.
    type: list
    elements: dict
    required: true
  hosts:
    description: Hosts that restart their nodes together.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Report the surge instances while io-1 restarts
  ansible.builtin.debug:
    msg: "{{ nodes | multinode.celery.celery_surge(['io-1']) }}"
"""

RETURN = r"""
_value:
  description: For each host its pools with the keys to override, as in C(celery_worker_pool_overrides).
  type: dict
  sample: {"io-1": {"export": {"instances": 2}}}
"""

import typing as t

from ansible_collections.multinode.celery.plugins.plugin_utils.pools import node_names


def queues(node: t.Mapping[str, t.Any]) -> list[tuple[str, str]]:
    """Return the queues of a node, each with the environment that it belongs to."""
    return [(node["environment_name"], queue) for queue in node["queues"]]


def surge_instances(nodes: t.Sequence[t.Mapping[str, t.Any]], hosts: t.Collection[str]) -> dict[str, dict[str, dict[str, int]]]:
    """Return for each host the pools that need one more process."""
    covered = {queue for node in nodes if node["host"] not in hosts for queue in queues(node)}
    names = {(node["host"], node["name"]) for node in nodes}
    chosen: dict[str, dict[str, dict[str, int]]] = {}
    for node in nodes:
        if node["host"] not in hosts or covered.issuperset(queues(node)):
            continue
        host, pool = node["host"], node["pool_name"]
        instances = sum(other["host"] == host and other["pool_name"] == pool for other in nodes) + 1
        if (host, node_names({"name": pool, "instances": instances})[-1]) in names:
            continue
        chosen.setdefault(host, {})[pool] = {"instances": instances}
        covered.update(queues(node))
    return chosen


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"celery_surge": surge_instances}
