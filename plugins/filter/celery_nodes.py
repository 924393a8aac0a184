# -*- coding: utf-8 -*-
# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where pools of Celery workers become nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: celery_nodes
short_description: Turn the pools of a host into its list of Celery worker nodes
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Merges each pool with the defaults, expands its processes into nodes, resolves the concurrency C(auto),
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
  greenlets:
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
- name: Show the nodes of this host
  ansible.builtin.debug:
    msg: >-
      {{ celery_worker_pools | multinode.celery.celery_nodes(inventory_hostname,
         ansible_facts['processor_nproc'], celery_worker_pool_defaults) }}
"""

RETURN = r"""
_value:
  description: One dictionary for each node, in the order of the pools.
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
    pool:
      description: Celery pool implementation.
      type: str
    queues:
      description: Queues that the node consumes.
      type: list
      elements: str
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
    environment:
      description: Environment variables of the node.
      type: dict
    memory_max_mb:
      description: Memory bound of the whole node in MiB, 0 for none.
      type: int
    max_memory_per_child_mb:
      description: Resident memory in MiB after which a child is replaced, 0 for none.
      type: int
    time_limit_seconds:
      description: Hard time limit of the pool in seconds, 0 for that of the application.
      type: int
    soft_time_limit_seconds:
      description: Soft time limit of the pool in seconds, 0 for that of the application.
      type: int
    log_file:
      description: Log file of the node.
      type: str
    log_level:
      description: Log level of the node.
      type: str
"""

import re
import typing as t

from ansible.errors import AnsibleFilterError

POOL_TYPES = ("prefork", "gevent", "eventlet", "threads", "solo")
GREENLET_TYPES = ("gevent", "eventlet")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
NAME_PATTERN = re.compile(r"^[a-z0-9][a-z0-9_-]*$")
QUEUE_PATTERN = re.compile(r"^[^\s,]+$")
COUNTS = (
    "max_tasks_per_child",
    "max_memory_per_child_mb",
    "memory_max_mb",
    "prefetch_multiplier",
    "time_limit_seconds",
    "soft_time_limit_seconds",
)
BUILT_IN: dict[str, t.Any] = {
    "pool": "prefork",
    "concurrency": "auto",
    "processes": 1,
    "autoscale": {},
    "log_level": "INFO",
    "options": [],
    "environment": {},
    **dict.fromkeys(COUNTS, 0),
}
KEYS = ("name", "queues", *BUILT_IN)


class PoolError(ValueError):
    """A pool that cannot be turned into nodes."""


def _number(pool: str, key: str, value: t.Any, minimum: int) -> int:
    # Jinja may hand over "4" where the inventory says 4 through a template.
    text = str(value)
    if isinstance(value, bool) or not text.isdigit() or int(text) < minimum:
        raise PoolError(f"pool '{pool}': {key} is {value!r}; set a whole number of at least {minimum}")
    return int(text)


def merge_pool(pool: t.Mapping[str, t.Any], defaults: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the pool with every key set and validated."""
    if not isinstance(pool, t.Mapping):
        raise PoolError(f"{pool!r} is not a dictionary; a pool has at least a name and queues")
    name = str(pool.get("name", ""))
    if not NAME_PATTERN.match(name):
        raise PoolError(f"pool name {name!r} is invalid; use lower case letters, digits, '-' and '_'")
    unknown = sorted(set(pool) - set(KEYS)) or sorted(set(defaults) - set(KEYS))
    if unknown:
        raise PoolError(f"pool '{name}': unknown key {unknown[0]!r}; known are {', '.join(KEYS)}")

    merged = {**BUILT_IN, **defaults, **pool, "name": name}
    merged["environment"] = {
        str(key): str(value)
        for key, value in {**(defaults.get("environment") or {}), **(pool.get("environment") or {})}.items()
    }
    queues = merged.get("queues")
    if isinstance(queues, str) or not queues or not all(QUEUE_PATTERN.match(str(queue)) for queue in queues):
        raise PoolError(f"pool '{name}': queues is {queues!r}; give a list of at least one queue name")
    merged["queues"] = [str(queue) for queue in queues]
    if merged["pool"] not in POOL_TYPES:
        raise PoolError(f"pool '{name}': pool is {merged['pool']!r}; choose one of {', '.join(POOL_TYPES)}")
    if merged["log_level"] not in LOG_LEVELS:
        raise PoolError(f"pool '{name}': log_level is {merged['log_level']!r}; choose one of {', '.join(LOG_LEVELS)}")
    merged["processes"] = _number(name, "processes", merged["processes"], 1)
    for key in COUNTS:
        merged[key] = _number(name, key, merged[key], 0)
    hard, soft = merged["time_limit_seconds"], merged["soft_time_limit_seconds"]
    if hard and soft >= hard:
        raise PoolError(f"pool '{name}': soft_time_limit_seconds {soft} must be below time_limit_seconds {hard}")
    if merged["autoscale"]:
        merged["autoscale"] = _autoscale(merged)
    merged["options"] = [str(option) for option in merged["options"]]
    return merged


def override_pool(pool: t.Any, overrides: t.Mapping[str, t.Any]) -> t.Any:
    """Return the pool with the keys that the overrides have for its name."""
    if not isinstance(pool, t.Mapping):
        return pool
    name = str(pool.get("name", ""))
    keys = overrides.get(name) or {}
    if not isinstance(keys, t.Mapping):
        raise PoolError(f"pool '{name}': its override is {keys!r}; give a dictionary of keys of the pool")
    if "name" in keys:
        raise PoolError(f"pool '{name}': an override cannot rename a pool; remove its key 'name'")
    return {**pool, **keys}


def _autoscale(pool: t.Mapping[str, t.Any]) -> dict[str, int]:
    name, bounds = pool["name"], pool["autoscale"]
    if pool["pool"] != "prefork":
        raise PoolError(f"pool '{name}': autoscale works with prefork only, not with {pool['pool']}; remove it")
    if not isinstance(bounds, t.Mapping) or set(bounds) != {"min", "max"}:
        raise PoolError(f"pool '{name}': autoscale is {bounds!r}; give min and max")
    low = _number(name, "autoscale.min", bounds["min"], 1)
    high = _number(name, "autoscale.max", bounds["max"], 1)
    if low > high:
        raise PoolError(f"pool '{name}': autoscale.min {low} is above autoscale.max {high}")
    return {"min": low, "max": high}


def resolve_concurrency(pool: t.Mapping[str, t.Any], cores: int, greenlets: int) -> int:
    """Return the number of tasks that one node of the pool executes at once."""
    kind, wanted = pool["pool"], pool["concurrency"]
    if pool["autoscale"]:
        return pool["autoscale"]["max"]
    if kind == "solo":
        if str(wanted) not in ("auto", "1"):
            raise PoolError(f"pool '{pool['name']}': concurrency is {wanted!r}, but a solo pool executes one task at a time")
        return 1
    if wanted == "auto":
        return greenlets if kind in GREENLET_TYPES else cores
    return _number(pool["name"], "concurrency", wanted, 1)


def build_arguments(node: t.Mapping[str, t.Any], pool: t.Mapping[str, t.Any], events: bool, includes: t.Sequence[str]) -> list[str]:
    """Return the arguments of the launcher for one node."""
    arguments = [
        "worker",
        f"--hostname={node['node']}",
        f"--queues={','.join(node['queues'])}",
        f"--pool={node['pool']}",
        f"--loglevel={node['log_level']}",
        f"--logfile={node['log_file']}",
        # Both cost messages that grow with the square of the number of workers; the heartbeat stays.
        "--without-gossip",
        "--without-mingle",
    ]
    if node["autoscale"]:
        arguments.append(f"--autoscale={node['autoscale']['max']},{node['autoscale']['min']}")
    else:
        arguments.append(f"--concurrency={node['concurrency']}")
    if node["pool"] == "prefork":
        if pool["max_tasks_per_child"]:
            arguments.append(f"--max-tasks-per-child={pool['max_tasks_per_child']}")
        if pool["max_memory_per_child_mb"]:
            arguments.append(f"--max-memory-per-child={pool['max_memory_per_child_mb'] * 1024}")
    if pool["prefetch_multiplier"]:
        arguments.append(f"--prefetch-multiplier={pool['prefetch_multiplier']}")
    if pool["time_limit_seconds"]:
        arguments.append(f"--time-limit={pool['time_limit_seconds']}")
    if pool["soft_time_limit_seconds"]:
        arguments.append(f"--soft-time-limit={pool['soft_time_limit_seconds']}")
    if events:
        arguments.append("--events")
    if includes:
        arguments.append(f"--include={','.join(includes)}")
    return arguments + pool["options"]


def build_nodes(
    pools: t.Sequence[t.Mapping[str, t.Any]],
    host: str,
    cores: int,
    defaults: t.Mapping[str, t.Any] | None = None,
    greenlets: int = 100,
    events: bool = False,
    includes: t.Sequence[str] = (),
    log_directory: str = "/var/log/celery",
    overrides: t.Mapping[str, t.Any] | None = None,
    environment_name: str = "",
) -> list[dict[str, t.Any]]:
    """Return the nodes of one host."""
    if isinstance(pools, (str, t.Mapping)):
        raise PoolError(f"{pools!r} is not a list of pools")
    nodes: list[dict[str, t.Any]] = []
    owners: dict[str, str] = {}
    for given in pools:
        pool = merge_pool(override_pool(given, overrides or {}), defaults or {})
        concurrency = resolve_concurrency(pool, int(cores), int(greenlets))
        for number in range(1, pool["processes"] + 1):
            # The first process has the pool's own name, so that scaling never renames a node.
            name = pool["name"] if number == 1 else f"{pool['name']}-{number}"
            if name in owners:
                raise PoolError(
                    f"node name '{name}' on host {host} comes from pool '{owners[name]}' and from pool '{pool['name']}'; "
                    "rename one of them"
                )
            owners[name] = pool["name"]
            node = {
                "name": name,
                "node": f"{name}@{host}",
                "host": host,
                "service": f"celery-worker-{name}",
                "pool_name": pool["name"],
                "environment_name": environment_name,
                "concurrency": concurrency,
                "log_file": f"{log_directory}/{name}.log",
                **{
                    key: pool[key]
                    for key in (
                        "pool",
                        "queues",
                        "autoscale",
                        "environment",
                        "memory_max_mb",
                        "max_memory_per_child_mb",
                        "time_limit_seconds",
                        "soft_time_limit_seconds",
                        "log_level",
                    )
                },
            }
            node["arguments"] = build_arguments(node, pool, events, includes)
            nodes.append(node)
    return nodes


def celery_nodes(pools: t.Any, *args: t.Any, **kwargs: t.Any) -> list[dict[str, t.Any]]:
    """Filter entry point."""
    try:
        return build_nodes(pools, *args, **kwargs)
    except PoolError as error:
        raise AnsibleFilterError(f"celery_worker_pools: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"celery_nodes": celery_nodes}
