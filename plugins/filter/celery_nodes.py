# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of a host; plugin_utils/pools.py defines what a pool is."""

from __future__ import annotations

DOCUMENTATION = r"""
name: celery_nodes
short_description: Turn the pools of a host into its list of Celery worker nodes
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Merges each pool with the defaults, expands its instances into nodes, resolves the concurrency C(auto),
    validates the result and builds the arguments of C(celery worker).
  - Every consumer (units, supervisor programs, preflight, verification) uses this list, so that they cannot differ.
positional: host, cores, defaults
options:
  _input:
    description: Pools of the host, as in C(celery_worker_pools).
    type: list
    elements: dict
    required: true
  host:
    description: Part of the node name after the C(@), usually C(inventory_hostname).
    type: str
    required: true
  cores:
    description: Number of processors that the host may use.
    type: int
    required: true
  defaults:
    description: Values of the keys that a pool does not set, as in C(celery_worker_pool_defaults).
    type: dict
    default: {}
  overrides:
    description:
      - Keys of pools, by the pool's name, that replace those of the pool, as in C(celery_worker_pool_overrides).
      - Pools that the host does not have are passed over, so that one value serves hosts with different pools.
    type: dict
    default: {}
  greenlet_concurrency:
    description: Concurrency C(auto) of gevent and eventlet pools.
    type: int
    default: 100
  events:
    description: Whether the nodes send task events from the start.
    type: bool
    default: false
  includes:
    description: Modules that the node imports besides the application.
    type: list
    elements: str
    default: []
  log_directory:
    description: Directory of the log files.
    type: str
    default: /var/log/celery
  environment_name:
    description: Name of the environment that the queues belong to; another one may have queues of the same names.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Report the nodes of this host
  ansible.builtin.debug:
    msg: >-
      {{ celery_worker_pools | multinode.celery.celery_nodes(inventory_hostname,
         ansible_facts['processor_nproc'], celery_worker_pool_defaults) }}
"""

RETURN = r"""
_value:
  description:
    - One dictionary for each node, in the order of the pools.
    - It holds what is listed here, and every key of its pool but C(name) and C(instances), as in C(celery_worker_pools), with the
      defaults and overrides; a number that is not set is 0.
  type: list
  elements: dict
  contains:
    name:
      description: Name of the node on its host, C(<pool>) for the first process and C(<pool>-<n>) for the next ones.
      type: str
    node:
      description: Celery node name, C(<name>@<host>).
      type: str
    host:
      description: Host of the node.
      type: str
    service:
      description: Name of the systemd unit (without its suffix) or supervisor program.
      type: str
    pool_name:
      description: Name of the pool that the node belongs to.
      type: str
    environment_name:
      description: Name of the environment that the queues belong to.
      type: str
    concurrency:
      description: Number of tasks that the node executes at once (the upper bound when it scales by itself).
      type: int
    autoscale:
      description: Bounds C(min) and C(max), empty when the pool has a fixed size.
      type: dict
    arguments:
      description: Arguments for the launcher, beginning with C(worker).
      type: list
      elements: str
    log_file:
      description: Log file of the node.
      type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.plugin_utils.pools import PoolError, build_nodes


def celery_nodes(pools: t.Any, *args: t.Any, **kwargs: t.Any) -> list[dict[str, t.Any]]:
    """Filter entry point."""
    try:
        return build_nodes(pools, *args, **kwargs)
    except PoolError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"celery_nodes": celery_nodes}
