# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what the hosts are against what the inventory wants of them; they need the hosts' facts."""

from __future__ import annotations

import typing as t

from ansible_collections.multinode.celery.plugins.plugin_utils.pools import PREFORK, concurrency_of, memory_mb
from ansible_collections.multinode.celery.plugins.plugin_utils.preflight import Check, Finding, Inventory, number
from ansible_collections.multinode.celery.plugins.plugin_utils.preflight_workers import check_pools, pools_of


def check_platform(inventory: Inventory) -> t.Iterator[Finding]:
    """The hosts run a release of a distribution that the roles were made for."""
    supported = inventory.limits.get("distributions") or {}
    for host in inventory.hosts:
        name, release = host.facts.get("distribution"), str(host.facts.get("distribution_major_version"))
        if name and release not in [str(entry) for entry in supported.get(name, ())]:
            known = ", ".join(f"{name} {'/'.join(map(str, releases))}" for name, releases in supported.items())
            yield Finding(
                "platform", "distribution", f"{name} {release}", (host.name,), f"only {known} is supported",
                "Install a supported release on the host, or take it out of the inventory",
            )  # fmt: skip
        manager = host.facts.get("service_mgr")
        if manager and manager != "systemd":
            yield Finding(
                "service_manager", "service manager", str(manager), (host.name,), "the services are systemd units",
                "Boot the host with systemd, or take it out of the inventory",
            )  # fmt: skip


def check_own_address(inventory: Inventory) -> t.Iterator[Finding]:
    """A broker announces an address that it has."""
    for host in inventory.having("redis"):
        own, address = host.facts.get("all_ipv4_addresses"), host.get("cluster_address")
        if own is not None and isinstance(address, str) and address not in own and not address.startswith("127."):
            yield Finding(
                "address_foreign", "cluster_address", address, (host.name,),
                f"the host has no such address, only {', '.join(own) or 'none'}",
                f"Set cluster_address to one of them in host_vars/{host.name}/cluster.yml",
            )  # fmt: skip


def check_capacity(inventory: Inventory) -> t.Iterator[Finding]:
    """The host has the cores and the memory for its pools and, on a broker, for Redis beside them."""
    per_core = number(inventory.limits.get("prefork_children_per_core_max")) or 4
    child_mb = number(inventory.limits.get("child_memory_mb")) or 64
    reserved = number(inventory.limits.get("memory_reserved_mb")) or 0
    for host in inventory.hosts:
        cores, memory = number(host.facts.get("processor_nproc")), number(host.facts.get("memtotal_mb"))
        pools = pools_of(host) if "celery_worker" in host.roles else []
        prefork = [pool for pool in pools if pool["pool"] == PREFORK]
        children = sum(concurrency_of(pool, cores or 1) * pool["instances"] for pool in prefork)
        names = ", ".join(pool["name"] for pool in prefork)
        # Several pools with `auto` are a choice, a number far above the cores a mistake.
        if cores and children > per_core * cores and children > len(prefork) * cores:
            yield Finding(
                "concurrency", "celery_worker_pools", f"{children} prefork children ({names})", (host.name,),
                f"the host has {cores} cores, and more than {per_core} children each only wait for each other",
                f"Lower concurrency or instances in {inventory.where('celery_worker')} to at most {per_core * cores} children, "
                "use a greenlet pool for work that waits, or raise preflight_prefork_children_per_core_max",
            )  # fmt: skip
        redis_mb = (host.number("redis_maxmemory_mb") or 0) if "redis" in host.roles else 0
        parts = {pool["name"]: memory_mb(pool, cores or 1, child_mb) for pool in pools}
        wanted = sum(parts.values()) + redis_mb
        if memory and wanted and wanted + reserved > memory:
            reported = ", ".join([f"{name} {size} MB" for name, size in parts.items()] + ([f"Redis {redis_mb} MB"] if redis_mb else []))
            yield Finding(
                "memory", "celery_worker_pools" if pools else "redis_maxmemory_mb", f"{wanted} MB ({reported})", (host.name,),
                f"the host has {memory} MB, of which {reserved} MB are left to the system",
                "Lower concurrency, instances, max_memory_per_child_mb or memory_max_mb of the pools"
                + (", or redis_maxmemory_mb" if redis_mb else "") + f" in {inventory.where('celery_worker' if pools else 'redis')}",
            )  # fmt: skip


# Pools that are made of facts can be checked only now.
CHECKS: tuple[Check, ...] = (check_platform, check_own_address, check_pools, check_capacity)
