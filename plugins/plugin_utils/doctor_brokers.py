# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the doctor on Redis, Sentinel, and the way to them."""

from __future__ import annotations

import typing as t

from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt
from ansible_collections.multinode.celery.plugins.plugin_utils.doctor import ERROR, WARNING, Cluster, Finding, Host, shortened

UNITS = {"redis": "redis-broker", "sentinel": "redis-broker-sentinel"}
TITLES = {"redis": "Redis", "sentinel": "Sentinel"}
WAIT = "If it lasts longer than a failover, about a minute, read `journalctl -u redis-broker-sentinel` on the brokers"
JOIN = "Restore the network between the brokers; Sentinel then makes the older master a replica. Never choose one by hand"


class Group(t.NamedTuple):
    """The brokers that belong together, with what each server reported; a host that did not answer is unreachable."""

    brokers: dict[str, t.Any]
    redises: list[rt.RedisView]
    sentinels: list[rt.SentinelView]
    hosts: dict[str, Host]

    def name(self, address: str) -> str:
        """Return the host of an address, with the address."""
        ip = address.rpartition(":")[0]
        host = next((node["host"] for node in self.brokers["nodes"] if node["address"] == ip), "")
        return f"{host} ({address})" if host else address


def groups(cluster: Cluster) -> list[Group]:
    """Return the groups of brokers, each once."""
    hosts = {host.name: host for host in cluster.hosts}
    found: dict[tuple[str, ...], Group] = {}
    for host in cluster.hosts:
        brokers = host.expected.get("brokers")
        if not brokers or not (host.has("redis") or host.has("redis_sentinel")):
            continue
        key = tuple(sorted(node["address"] for node in brokers["nodes"]))
        redises = [_view(hosts, node, "redis", rt.RedisView) for node in brokers["nodes"]]
        sentinels = [_view(hosts, node, "sentinel", rt.SentinelView) for node in brokers["sentinel_nodes"]]
        found.setdefault(key, Group(brokers, redises, sentinels, hosts))
    return list(found.values())


def _view(hosts: dict[str, Host], node: dict[str, str], kind: str, form: t.Any) -> t.Any:
    host = hosts.get(node["host"])
    view = (host.report.get(kind) or {}).get("view") if host else None
    return form(**view) if view else form(node["host"], node["address"], rc.TIMEOUT, "the host gave no report")


def servers(cluster: Cluster) -> t.Iterator[Finding]:
    """Servers that run but do not answer on their own host."""
    for group in groups(cluster):
        for kind, views in (("redis", group.redises), ("sentinel", group.sentinels)):
            for view in views:
                host = group.hosts.get(view.host)
                if not host or not host.answered or view.status in (rt.OK, rt.UNKNOWN_NAME) or not host.runs(UNITS[kind]):
                    continue
                if view.status == rc.DENIED:
                    message = "refuses the administrator's password of the inventory"
                    remedy = "Run brokers.yml; after a change by hand give the previous password as redis_admin_previous_password"
                else:
                    message = f"runs but does not answer: {view.message}"
                    remedy = f"Read `journalctl -u {UNITS[kind]}` there; it may be loading its data or hang"
                yield Finding(ERROR, kind, (view.host,), f"{TITLES[kind]} {message}", remedy)


def masters(cluster: Cluster) -> t.Iterator[Finding]:
    """Agreement on one master, by the Sentinels and by what Redis does."""
    for group in groups(cluster):
        answers = [view for view in group.sentinels if view.status == rt.OK]
        believers: dict[str, list[str]] = {}
        for view in answers:
            believers.setdefault(view.master, []).append(view.host)
        acting = [view for view in group.redises if view.status == rt.OK and view.role == "master"]
        if len(believers) > 1:
            claims = "; ".join(f"{group.name(address)} by the Sentinel of {shortened(names)}" for address, names in sorted(believers.items()))
            yield Finding(ERROR, "masters", tuple(view.host for view in answers), f"{len(believers)} masters are believed: {claims}", JOIN)
        if len(acting) > 1:
            hosts = tuple(view.host for view in acting)
            yield Finding(ERROR, "masters", hosts, f"{len(acting)} brokers act as masters: {shortened(hosts)}", JOIN)
        address, votes = rt.winner(view.master for view in answers)
        if votes < rt.majority(len(group.sentinels)):
            message = f"Only {votes} of {len(group.sentinels)} Sentinels name a master, so no failover is possible"
            yield Finding(ERROR, "quorum", tuple(view.host for view in group.sentinels), message, "Start the brokers and Sentinels that do not answer")
        elif not any(f"{view.address}:{group.brokers['port']}" == address and view.role == "master" for view in acting):
            yield Finding(ERROR, "masters", (), f"The master {group.name(address)} that most Sentinels name does not act as one", WAIT)
        for view in group.sentinels:
            if view.status == rt.UNKNOWN_NAME:
                yield Finding(ERROR, "masters", (view.host,), f"Sentinel watches no master called {group.brokers['master_name']}", "Run brokers.yml")


def failover(cluster: Cluster) -> t.Iterator[Finding]:
    """What stands in the way of a failover."""
    for group in groups(cluster):
        answers = [view for view in group.sentinels if view.status == rt.OK]
        known = {"sentinels": _addresses(group, "sentinel_nodes", "sentinel_port"), "replicas": _addresses(group, "nodes", "port")}
        for view in answers:
            if not view.quorum_reached:
                yield Finding(
                    ERROR, "quorum", (view.host,), f"A failover would fail by this Sentinel: {view.quorum_message}",
                    "Start the other Sentinels, or restore the network between them",
                )  # fmt: skip
            down = sorted(set(view.flags) & {"s_down", "o_down", "failover_in_progress"})
            if down:
                yield Finding(ERROR, "masters", (view.host,), f"Sentinel sees the master {group.name(view.master)} as {', '.join(down)}", WAIT)
            report = group.hosts[view.host].report["sentinel"]
            for kind, wanted in known.items():
                ghosts = sorted(set(report[kind]) - wanted)
                if ghosts:
                    yield Finding(
                        WARNING, "ghosts", (view.host,), f"Sentinel knows {kind} that the inventory does not: {shortened(ghosts)}",
                        "Add them to the brokers of the inventory, or remove them with ops/remove_brokers.yml",
                    )  # fmt: skip
            missing = sorted(known["sentinels"] - set(report["sentinels"]) - {f"{view.address}:{group.brokers['sentinel_port']}"})
            if missing:
                yield Finding(
                    ERROR, "quorum", (view.host,), f"Sentinel does not know the Sentinels {shortened([group.name(name) for name in missing])}",
                    "Run brokers.yml; the Sentinels find each other through the master",
                )  # fmt: skip


def _addresses(group: Group, nodes: str, port: str) -> set[str]:
    return {f"{node['address']}:{group.brokers[port]}" for node in group.brokers[nodes]}


def replication(cluster: Cluster) -> t.Iterator[Finding]:
    """Replicas that do not follow, and servers that are about to refuse writes."""
    for group in groups(cluster):
        for view in group.redises:
            if view.status != rt.OK:
                continue
            if view.role == "replica" and not view.link_up:
                yield Finding(
                    ERROR, "replication", (view.host,), f"The replica has no link to its master {group.name(view.master)}",
                    "Read `journalctl -u redis-broker` there: network, password of the replicas' user, or a full copy in progress",
                )  # fmt: skip
            yield from _load(view, group.hosts[view.host].report["redis"]["info"])


def _load(view: rt.RedisView, info: dict[str, str]) -> t.Iterator[Finding]:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most and used > 0.8 * most:
        yield Finding(
            ERROR if used > 0.95 * most else WARNING, "memory", (view.host,),
            f"Redis uses {used >> 20} of {most >> 20} MB; it refuses tasks when they are used up",
            "See which queue grows and add workers, or raise redis_maxmemory_mb",
        )  # fmt: skip
    clients, allowed = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
    if allowed and clients > 0.9 * allowed:
        yield Finding(WARNING, "clients", (view.host,), f"{clients} of {allowed} connections are in use", "Raise redis_maxclients, or find out who connects")
    broken = [name for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status") if info.get(name, "ok") != "ok"]
    if broken:
        message = f"Redis could not write its files: {', '.join(broken)}"
        yield Finding(ERROR, "persistence", (view.host,), message, "Look for a full disk, then at `journalctl -u redis-broker`")


def connections(cluster: Cluster) -> t.Iterator[Finding]:
    """Servers that a host cannot reach or log in to, where the servers themselves are well."""
    hosts = {host.name: host for host in cluster.hosts}
    for host in cluster.answering():
        failed: dict[tuple[str, str], list[dict[str, t.Any]]] = {}
        for connection in host.report.get("connections", []):
            if connection["status"] != rt.OK and (connection["status"] == rc.DENIED or _well(hosts.get(connection["host"]), connection["kind"])):
                failed.setdefault((connection["kind"], connection["status"]), []).append(connection)
        for (kind, status), entries in failed.items():
            yield _connection(host, kind, status, entries)


def _well(server: Host | None, kind: str) -> bool:
    """Tell whether a server is known to answer on its own host; the way there is then what is broken."""
    return server is None or (server.answered and (server.report.get(kind) or {}).get("view", {}).get("status") in (rt.OK, rt.UNKNOWN_NAME, rc.DENIED))


def _connection(host: Host, kind: str, status: str, entries: list[dict[str, t.Any]]) -> Finding:
    where = f"{TITLES[kind]} of {shortened([entry['host'] for entry in entries])}"
    port = entries[0]["port"]
    if status == rc.DENIED:
        return Finding(
            ERROR, "credentials", (host.name,), f"{where} refuses the user or password that is deployed on the host",
            f"Run site.yml with --limit {host.name}; if all hosts are refused, run brokers.yml first",
        )  # fmt: skip
    if status == rc.TIMEOUT:
        return Finding(
            ERROR, "network", (host.name,), f"{where} cannot be reached on port {port}, although it answers on its own host",
            f"Open port {port} between the hosts: look at `nft list ruleset` on both and at routers between them",
        )  # fmt: skip
    if status == rc.REFUSED:
        return Finding(
            ERROR, "network", (host.name,), f"{where} refuses connections to port {port}, although it answers on its own host",
            "Run site.yml with --tags firewall, which opens the port to the hosts of the inventory; else see whether the server listens on the address "
            "of the inventory, and what other tables of `nft list ruleset` reject",
        )  # fmt: skip
    if status == rc.TLS:
        return Finding(
            ERROR, "certificate", (host.name,), f"{where} cannot be reached with TLS: {entries[0]['message']}",
            f"Run site.yml with --limit {host.name}; if all hosts are refused, see docs/tls.md for the CA, or cluster_tls_enabled",
        )  # fmt: skip
    return Finding(ERROR, "network", (host.name,), f"{where} answers with an error: {entries[0]['message']}", "Look at the broker's journal")


CHECKS = (servers, masters, failover, replication, connections)
