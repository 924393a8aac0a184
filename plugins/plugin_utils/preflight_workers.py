# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of queues, pools, nodes and times."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
import weakref

from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.service_command import service_command
from ansible_collections.multinode.celery.plugins.filter.service_environment import service_environment
from ansible_collections.multinode.celery.plugins.plugin_utils import pools, requirements_lock
from ansible_collections.multinode.celery.plugins.plugin_utils.findings import shortened
from ansible_collections.multinode.celery.plugins.plugin_utils.preflight import (
    Check,
    Finding,
    Host,
    Inventory,
    did_you_mean,
)

# Parsed once for all checks of a host.
_PARSED: weakref.WeakKeyDictionary[Host, tuple[list[dict[str, t.Any]], list[Finding]]] = weakref.WeakKeyDictionary()


def _parsed(host: Host) -> tuple[list[dict[str, t.Any]], list[Finding]]:
    if host not in _PARSED:
        _PARSED[host] = pools.read_pools(host.get(pools.POOLS), host.get(pools.DEFAULTS), host.get(pools.OVERRIDES))
    return _PARSED[host]


def pools_of(host: Host) -> list[dict[str, t.Any]]:
    """The pools of a host with every key set; a value that is refused is not in them."""
    return _parsed(host)[0]


def queues_of(values: t.Any) -> list[str]:
    """Names of queues, which may be alone or in dictionaries."""
    if not isinstance(values, (list, tuple)):
        return []
    return [str(entry.get("name")) if isinstance(entry, dict) else str(entry) for entry in values]


def _pools_file(inventory: Inventory) -> str:
    return f"celery_worker_pools in {inventory.where('celery_worker')}"


def check_queues(inventory: Inventory) -> t.Iterator[Finding]:
    """Every queue has a consumer, and every consumer a queue that somebody sends to."""
    sent: dict[str, dict[str, list[str]]] = {}
    consumed: dict[str, dict[str, list[tuple[str, str]]]] = {}
    workers: list[tuple[str, Host]] = []
    for host in inventory.having("celery_app"):
        environment = str(host.mapping("cluster_environment").get("name"))
        for queue in queues_of(host.get("celery_app_queues")):
            sent.setdefault(environment, {}).setdefault(queue, []).append(host.name)
        if "celery_worker" in host.roles:
            workers.append((environment, host))
            for pool in pools_of(host):
                for queue in pool["queues"]:
                    consumed.setdefault(environment, {}).setdefault(queue, []).append((host.name, pool["name"]))
    # What pools that are made of facts consume is not known yet.
    unknown = {environment for environment, host in workers if host.get(pools.POOLS) is None}
    # Without any worker in the inventory there is nothing to compare: the groups are checked elsewhere.
    for environment, queues in sent.items() if workers else ():
        consumers = consumed.get(environment, {})
        for queue, hosts in queues.items():
            if queue not in consumers and environment not in unknown:
                yield Finding(
                    "queue_unconsumed", "celery_app_queues", queue, tuple(hosts),
                    f"no pool of any worker consumes this queue{did_you_mean(queue, set(consumers) - set(queues))}",
                    f"Add it to the queues of a pool in {_pools_file(inventory)}, or remove it from celery_app_queues",
                )  # fmt: skip
        if queues:
            for queue, users in consumers.items():
                if queue not in queues:
                    yield Finding(
                        "queue_unknown", "celery_worker_pools",
                        f"queue {queue} of the pool {shortened(sorted({pool for _host, pool in users}))}",
                        tuple(host for host, _pool in users),
                        f"the application sends nothing to this queue{did_you_mean(queue, queues)}",
                        f"Correct its name, or add it to celery_app_queues in {inventory.where('celery_app')}",
                    )  # fmt: skip


def check_routes(inventory: Inventory) -> t.Iterator[Finding]:
    """What the application is configured to send to is one of its queues, and can be named on a command line."""
    for host in inventory.having("celery_app"):
        queues = queues_of(host.get("celery_app_queues"))
        targets = {"celery_app_default_queue": host.get("celery_app_default_queue")}
        for task, route in host.mapping("celery_app_task_routes").items():
            targets[f"celery_app_task_routes[{task}]"] = route.get("queue") if isinstance(route, dict) else route
        for variable, queue in targets.items():
            if isinstance(queue, str) and queues and queue not in queues:
                yield Finding(
                    "queue_route", variable, queue, (host.name,),
                    f"it is not among celery_app_queues{did_you_mean(queue, queues)}",
                    f"Add it to celery_app_queues, or correct it in {inventory.where('celery_app')}",
                )  # fmt: skip
        for queue in queues:
            if not pools.QUEUE_NAME.fullmatch(queue):
                yield Finding(
                    "queue_name", "celery_app_queues", repr(queue), (host.name,),
                    pools.QUEUE_NAME_RULE,
                    f"Rename the queue in {inventory.where('celery_app')} and in the application",
                )  # fmt: skip


def check_pools(inventory: Inventory) -> t.Iterator[Finding]:
    """Pools are what the role can make nodes of, and what its service manager can run."""
    where = inventory.where("celery_worker")
    for host in inventory.having("celery_worker"):
        if host.get(pools.POOLS) == []:
            yield Finding(
                "pools_empty", pools.POOLS, "[]", (host.name,), "this worker would run nothing",
                f"List its pools in {where}, or take it out of the group",
            )  # fmt: skip
        found, problems = _parsed(host)
        for problem in problems:
            yield dataclasses.replace(problem, hosts=(host.name,), remedy=f"{problem.remedy} in {where}")
        for pool in found:
            yield from _manager(host, pool, where)


def _manager(host: Host, pool: dict[str, t.Any], where: str) -> t.Iterator[Finding]:
    """What the service manager cannot do for a pool."""
    manager, variable = host.get("celery_worker_manager"), f"{pools.POOLS}[{pool['name']}]"
    if manager != "supervisor":
        return
    if pool["memory_max_mb"]:
        yield Finding(
            "pool_memory", variable, f"memory_max_mb {pool['memory_max_mb']}", (host.name,),
            "supervisor has no bound for the memory of a program, so it would be ignored",
            f"Remove it, set max_memory_per_child_mb, or use celery_worker_manager: systemd, in {where}",
        )  # fmt: skip
    for key, quote in (("options", service_command), ("env", service_environment)):
        try:
            quote(pool[key], manager)
        except AnsibleFilterError as exc:
            yield Finding(f"pool_{key}", variable, key, (host.name,), str(exc).partition(": ")[2], f"Correct it in {where}")


def check_greenlets(inventory: Inventory) -> t.Iterator[Finding]:
    """The application's virtual environment gets the library that a greenlet pool needs."""
    for host in inventory.having("celery_worker"):
        requirements = [
            str(entry) for name in ("celery_app_requirements", "celery_app_extra_requirements") for entry in host.items(name)
        ]
        # What a requirements file or an address installs cannot be seen from here.
        if not requirements or any(entry.lstrip().startswith("-") for entry in requirements):
            continue
        words = {word.lower() for entry in requirements for word in re.findall(r"[A-Za-z0-9_.-]+", re.split(r"[<>=!~;@ ]", entry)[0])}
        for kind in pools.GREENLET_TYPES:
            users = [pool["name"] for pool in pools_of(host) if pool["pool"] == kind]
            if users and kind not in words:
                yield Finding(
                    "greenlets_missing", "celery_app_extra_requirements", str(host.items("celery_app_extra_requirements")),
                    (host.name,), f"the pool {shortened(users)} is of type {kind}, which nothing installs",
                    f"Add {kind} to celery_app_extra_requirements in {inventory.where('celery_app')}",
                )  # fmt: skip


def check_lock(inventory: Inventory) -> t.Iterator[Finding]:
    """The application's lock has hashes for everything that the inventory asks for, and the folder of wheels has the files."""
    where = inventory.where("celery_app")
    installing = [host for host in inventory.having("celery_app") if host.roles & {"celery_worker", "celery_beat"}]
    for host in installing:
        path, folder = (str(host.get(name) or "") for name in ("celery_app_lock", "celery_app_wheel_folder"))
        wanted = [str(entry) for name in ("celery_app_requirements", "celery_app_extra_requirements") for entry in host.items(name)]
        remote = host.flag("celery_app_wheel_folder_remote")
        for variable, value, problem in _supply(path, tuple(wanted), "" if remote else folder):
            yield Finding("lock" if variable == "celery_app_lock" else "wheels", variable, value, (host.name,), problem, f"Correct it in {where}")


@functools.cache
def _supply(path: str, wanted: tuple[str, ...], folder: str) -> tuple[tuple[str, str, str], ...]:
    """What is wrong with a lock and a folder of wheels; read once, however many hosts name them."""
    lock = None
    if path:
        try:
            lock = requirements_lock.read(path)
            problems = requirements_lock.uncovered(lock, wanted)
        except requirements_lock.LockError as exc:
            problems = [str(exc)]
        if problems:
            return (("celery_app_lock", path, "; ".join(problems)),)
    if folder:
        try:
            if lock:
                requirements_lock.matching(folder, lock)
            else:
                requirements_lock.distributions(folder)
        except requirements_lock.LockError as exc:
            return (("celery_app_wheel_folder", folder, str(exc)),)
    return ()


def _limits(host: Host) -> t.Iterator[tuple[str, int | None, int | None]]:
    """Where a time limit is set, the hard and the soft limit."""
    hard, soft = host.number("celery_app_task_time_limit_seconds"), host.number("celery_app_task_soft_time_limit_seconds")
    yield "celery_app_task_time_limit_seconds", hard, soft
    if "celery_worker" in host.roles:
        for pool in pools_of(host):
            own_hard, own_soft = pool["time_limit_seconds"], pool["soft_time_limit_seconds"]
            if own_hard or own_soft:
                # Two limits of one pool are compared where pools are.
                other = None if own_hard and own_soft else own_soft or soft
                yield f"{pools.POOLS}[{pool['name']}].time_limit_seconds", own_hard or hard, other


def check_times(inventory: Inventory) -> t.Iterator[Finding]:
    """No time ends before the one that it must outlast."""
    longest: dict[str, tuple[int, str]] = {}
    drains: dict[str, int] = {}
    visibilities: dict[str, dict[int, str]] = {}
    for host in inventory.having("celery_app"):
        environment = str(host.mapping("cluster_environment").get("name"))
        for variable, hard, soft in _limits(host):
            if hard and soft and soft >= hard:
                yield Finding(
                    "time_limits", variable, str(hard), (host.name,),
                    f"the soft time limit of {soft} s is not below it, so no task could end by itself",
                    "Set the soft time limit some seconds below the hard one",
                )  # fmt: skip
            longest[environment] = max(longest.get(environment, (0, "")), (hard or 0, variable))
        drain = host.number("celery_worker_drain_timeout_seconds")
        if "celery_worker" in host.roles and drain is not None:
            drains[environment] = max(drains.get(environment, 0), drain)
            stop, soft_stop = host.number("celery_worker_stop_timeout_seconds"), host.number("celery_app_soft_shutdown_timeout_seconds") or 0
            if stop is not None and stop <= drain + soft_stop:
                yield Finding(
                    "stop_timeout", "celery_worker_stop_timeout_seconds", str(stop), (host.name,),
                    f"a worker would be killed while it drains: celery_worker_drain_timeout_seconds is {drain} "
                    f"and celery_app_soft_shutdown_timeout_seconds {soft_stop}",
                    f"Set it above {drain + soft_stop} in {inventory.where('celery_worker')}",
                )  # fmt: skip
        visibility = host.number("celery_app_visibility_timeout_seconds")
        if visibility is not None:
            visibilities.setdefault(environment, {}).setdefault(visibility, host.name)
    for environment, values in visibilities.items():
        needed = longest.get(environment, (0, ""))[0] + drains.get(environment, 0)
        for visibility, name in values.items():
            if visibility <= needed:
                yield Finding(
                    "visibility_timeout", "celery_app_visibility_timeout_seconds", str(visibility), (name,),
                    f"a task that still runs would be delivered again: the longest time limit is {needed - drains.get(environment, 0)} "
                    f"({longest[environment][1]}) and celery_worker_drain_timeout_seconds {drains.get(environment, 0)}",
                    f"Set it above {needed} in {inventory.where('celery_app')}",
                )  # fmt: skip
        if len(values) > 1:
            yield Finding(
                "visibility_differs", "celery_app_visibility_timeout_seconds", " and ".join(map(str, sorted(values))),
                tuple(values.values()), f"the programs of the environment {environment} share one database and must agree",
                "Set it once, in group_vars/all/celery_app.yml",
            )  # fmt: skip


CHECKS: tuple[Check, ...] = (check_queues, check_routes, check_pools, check_greenlets, check_lock, check_times)
