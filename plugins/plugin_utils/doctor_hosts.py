# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the doctor that look at each host by itself."""

from __future__ import annotations

import typing as t

from ansible_collections.multinode.celery.plugins.module_utils._limits import enough, same_value
from ansible_collections.multinode.celery.plugins.plugin_utils.doctor import ERROR, INFO, STOPPED_STATES, WARNING, Cluster, Finding, Host, shortened

SITE = "Run site.yml"
DRAINED_SERVICES = ("celery-", "supervisor.")


def reached(cluster: Cluster) -> t.Iterator[Finding]:
    """Hosts that gave no report."""
    for host in cluster.hosts:
        if host.status == "unreachable":
            yield Finding(
                ERROR, "unreachable", (host.name,), f"The host cannot be reached: {host.message}",
                "See whether it is up, and whether ssh and ansible_host are right",
            )  # fmt: skip
        elif not host.answered:
            yield Finding(
                ERROR, "no_report", (host.name,), f"The host is reached but gives no report: {host.message}",
                "Look for a hanging disk or service manager, and for a full disk or memory",
            )  # fmt: skip
        for section, message in host.report.get("errors", {}).items():
            yield Finding(WARNING, "no_report", (host.name,), f"It could not be read what the host reports on {section}: {message}", "Look at the host by hand")


def inventory(cluster: Cluster) -> t.Iterator[Finding]:
    """Inputs that cannot be read."""
    for host in cluster.hosts:
        for name, message in host.expected.get("problems", {}).items():
            yield Finding(
                ERROR, "inventory", (host.name,), f"{name} cannot be read from the inventory: {message}",
                "Correct the inventory; preflight names what to set and where",
            )  # fmt: skip


def services(cluster: Cluster) -> t.Iterator[Finding]:
    """Services that do not run, hang, run with low limits, or run something old."""
    for host in cluster.answering():
        if host.drained:
            yield Finding(
                INFO, "drained", (host.name,), "The host is drained for maintenance: its workers and scheduler stand still",
                "Run ops/undrain.yml when the maintenance is over",
            )  # fmt: skip
        for service in host.report.get("services", []):
            if not (host.drained and service["name"].startswith(DRAINED_SERVICES)):
                yield from _service(host, service)


def _service(host: Host, service: dict[str, t.Any]) -> t.Iterator[Finding]:
    name, process = service["name"], service["process"]
    if not service["known"]:
        yield Finding(ERROR, "service", (host.name,), f"{name} is not installed", f"{SITE} with --limit {host.name}")
        return
    if service["active"] != "active" and not (service["oneshot"] and service["active"] != "failed"):
        detail = f" ({service['detail']})" if service["detail"] else ""
        yield Finding(
            ERROR, "service", (host.name,), f"{name} is {service['active'] or 'not running'}{detail}",
            f"Read `journalctl -u {name}` there, then start it: `systemctl start {name}`, or {SITE[0].lower()}{SITE[1:]}",
        )  # fmt: skip
        return
    if not service["enabled"]:
        yield Finding(WARNING, "service", (host.name,), f"{name} would not start with the host", f"{SITE} with --limit {host.name}")
    if not process:
        return
    if process["state"] in STOPPED_STATES:
        yield Finding(
            ERROR, "hung", (host.name,), f"{name} (process {process['pid']}) is stopped by a signal, it does nothing and answers nothing",
            f"Find out who stopped it; `kill -CONT {process['pid']}` lets it go on, `systemctl restart {name}` replaces it",
        )  # fmt: skip
    if service["wanted_nofile"] and not enough(process["nofile"], service["wanted_nofile"], host.report.get("ceiling", service["wanted_nofile"])):
        yield Finding(
            ERROR, "nofile", (host.name,), f"{name} may open {process['nofile']} files, the inventory sets {service['wanted_nofile']}",
            f"Restart it: `systemctl restart {name}`; if that does not help, {SITE[0].lower()}{SITE[1:]}",
        )  # fmt: skip
    elif process["nofile"] > 0 and process["opened"] > 0.9 * process["nofile"]:
        yield Finding(
            ERROR, "nofile", (host.name,), f"{name} has {process['opened']} files open of {process['nofile']} that it may open",
            "Raise the limit of its role in the inventory, or find out what it leaves open",
        )  # fmt: skip
    if process["newer"]:
        yield Finding(
            WARNING, "stale", (host.name,), f"{name} runs with something older than what is deployed: {process['newer']} is newer than its process",
            f"{SITE} with --limit {host.name}: it drains and restarts what is older than its files",
        )  # fmt: skip


def resources(cluster: Cluster) -> t.Iterator[Finding]:
    """Disks, memory and clocks."""
    limits = cluster.limits
    for host in cluster.answering():
        for disk in host.report.get("disks", []):
            yield from _disk(host, disk, limits)
        memory = host.report.get("memory", {})
        total, available = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
        if total and 100 * available < limits["memory_available_percent_min"] * total:
            yield Finding(
                WARNING, "memory", (host.name,), f"{available} of {total} MB of memory are available",
                "Lower concurrency or redis_memory_percent, or give the host more memory",
            )  # fmt: skip
        if abs(host.clock_offset) > limits["clock_offset_seconds_max"]:
            way = "ahead of" if host.clock_offset > 0 else "behind"
            yield Finding(
                ERROR, "clock", (host.name,), f"The clock is {abs(host.clock_offset):g} s {way} the control machine's",
                "Run a time service there (chrony or systemd-timesyncd): ETAs, expiry and schedules depend on the clock",
            )  # fmt: skip


def _disk(host: Host, disk: dict[str, t.Any], limits: dict[str, t.Any]) -> t.Iterator[Finding]:
    if disk.get("hangs"):
        yield Finding(ERROR, "disk", (host.name,), f"The file system of {disk['path']} does not answer", "Look for a dead network disk")
        return
    low = disk["free_percent"] < limits["disk_free_percent_min"] and disk["free_mb"] < limits["disk_free_mb_enough"]
    if low or disk["free_inodes_percent"] < limits["disk_free_percent_min"]:
        what = f"{disk['free_mb']} MB ({disk['free_percent']:g} %) are free" if low else f"{disk['free_inodes_percent']:g} % of the inodes are free"
        severity = ERROR if min(disk["free_percent"], disk["free_inodes_percent"]) < 2 else WARNING
        message = f"The disk of {disk['path']} is filling up: {what}"
        yield Finding(severity, "disk", (host.name,), message, "Free space or enlarge the disk; logs and old releases come first")


def kernel(cluster: Cluster) -> t.Iterator[Finding]:
    """Kernel parameters that differ from the inventory."""
    for host in cluster.answering():
        live = host.report.get("sysctl", {})
        for name, wanted in host.expected.get("sysctl", {}).items():
            if live.get(name) and not same_value(live[name], wanted):
                yield Finding(
                    WARNING, "kernel", (host.name,), f"{name} is {live[name]}, the inventory sets {wanted}",
                    f"{SITE} with --tags limits, and look for who sets it in /etc/sysctl.d",
                )  # fmt: skip


def drift(cluster: Cluster) -> t.Iterator[Finding]:
    """What is deployed and differs from the inventory."""
    for host in cluster.answering():
        release, wanted = host.report.get("program", {}).get("release"), host.expected.get("release")
        differing = dict(host.differences)
        if wanted and release != wanted:
            differing = {path: way for path, way in differing.items() if not path.endswith("/current")}
            yield Finding(
                WARNING, "release", (host.name,), f"Release {release or 'none'} is deployed, the inventory sets {wanted}",
                "Run ops/rolling_update.yml, or set celery_app_version to what should run",
            )  # fmt: skip
        if differing:
            shown = shortened([f"{path} {way}" for path, way in sorted(differing.items())])
            yield Finding(
                WARNING, "drift", (host.name,), f"Deployed and inventory differ: {shown}",
                f"See it with site.yml --check --diff --limit {host.name}, then run it without --check",
            )  # fmt: skip
        if host.not_compared:
            shown = shortened([f"{name}: {why}" for name, why in sorted(host.not_compared.items())])
            yield Finding(INFO, "drift", (host.name,), f"Not compared with the inventory: {shown}", "Correct the inventory if it sets too little")
        services = {node["service"] for node in host.expected.get("nodes", [])}
        extra = [name for name in host.report.get("program", {}).get("nodes", []) if name not in services]
        if extra and host.has("celery_worker"):
            yield Finding(
                WARNING, "drift", (host.name,), f"Worker nodes that the inventory does not name: {shortened(extra)}",
                "Add their pools to celery_worker_pools, or run workers.yml, which drains and removes them",
            )  # fmt: skip


def firewall(cluster: Cluster) -> t.Iterator[Finding]:
    """Rules that are not live, or not those that were deployed."""
    for host in cluster.having("firewall"):
        answer = host.report.get("firewall")
        if answer and not answer["loaded"]:
            yield Finding(
                ERROR, "firewall", (host.name,), "The rules of the firewall are not loaded: the host's ports are open to everybody",
                "`systemctl restart multinode-firewall` there; somebody flushed them or stopped the unit",
            )  # fmt: skip
        elif answer and not answer["as_kept"]:
            yield Finding(
                WARNING, "firewall", (host.name,), "The live rules of the firewall are not those that were deployed",
                f"See it with site.yml --tags firewall --check --diff --limit {host.name}, then run it without --check",
            )  # fmt: skip


def environments(cluster: Cluster) -> t.Iterator[Finding]:
    """Programs that are configured for another vhost, prefix or user than the inventory sets."""
    names = {"vhost": "vhost", "key_prefix": "key prefix", "user": "Redis user"}
    for host in cluster.having("celery_app"):
        found, wanted = host.report.get("program", {}).get("configured", {}), host.expected.get("environment", {})
        for key, label in names.items():
            # Without a wanted value the inventory itself is what is wrong.
            if key in found and wanted.get(key) and str(found[key]) != str(wanted[key]):
                yield Finding(
                    ERROR, "environment", (host.name,), f"The programs of the host use the {label} {found[key]}, the inventory sets {wanted[key]}",
                    f"{SITE} with --limit {host.name} --tags celery_app, or correct cluster_environment",
                )  # fmt: skip


CHECKS = (reached, inventory, services, resources, kernel, firewall, environments, drift)
