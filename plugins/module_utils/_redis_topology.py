# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import concurrent.futures
import dataclasses
import time
import typing as t

from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc

OK = "ok"
UNKNOWN_NAME = "unknown_name"
# Where Redis listens unless the inventory sets another.
PLAIN_PORT = 6379
TLS_PORT = 6380


@dataclasses.dataclass
class Service:
    """The nodes of one kind of server, their port, and who asks there."""

    nodes: list[dict[str, str]]
    port: int
    username: str
    passwords: list[str]
    tls: dict[str, str] = dataclasses.field(default_factory=dict)

    def open(self, address: str, timeout: float) -> rc.RedisClient:
        """Connect to one of the servers and log in."""
        return rc.open_client(address, self.port, self.username, self.passwords, timeout, tls=self.tls)


@dataclasses.dataclass
class SentinelView:
    """What one Sentinel reports about the master."""

    host: str
    address: str
    status: str
    message: str = ""
    master: str = ""
    flags: tuple[str, ...] = ()
    quorum: int = 0
    known_sentinels: int = 0
    known_replicas: int = 0
    quorum_reached: bool = False
    quorum_message: str = ""


@dataclasses.dataclass
class RedisView:
    """What one Redis reports about its part in the replication."""

    host: str
    address: str
    status: str
    message: str = ""
    role: str = ""
    master: str = ""
    link_up: bool = False
    offset: int = 0
    replicas: int = 0
    has_keys: bool = False

    @property
    def has_data(self) -> bool:
        """Tell whether something would be lost if this node were made a replica."""
        return self.has_keys or self.replicas > 0


@dataclasses.dataclass
class Decision:
    """An answer to the question who is master; ``state`` is one of found, wait, none, fail."""

    state: str
    address: str = ""
    source: str = ""
    message: str = ""


def ask_sentinel(node: dict[str, str], login: Service, name: str, timeout: float) -> SentinelView:
    """Ask one Sentinel for the master it watches under a name."""
    view = SentinelView(node["host"], node["address"], OK)
    try:
        with login.open(node["address"], timeout) as client:
            _fill_sentinel(view, client, name)
    except (rc.ReplyError, rc.Unavailable) as exc:
        view.status, view.message = rc.failure(exc), str(exc)
    return view


def _fill_sentinel(view: SentinelView, client: rc.RedisClient, name: str) -> None:
    if client.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name) is None:
        view.status = UNKNOWN_NAME
        return
    fields = rc.pairs(client.command("SENTINEL", "MASTER", name))
    view.master = f"{fields['ip']}:{fields['port']}"
    view.flags = tuple(fields.get("flags", "").split(","))
    view.quorum = int(fields.get("quorum", 0))
    view.known_sentinels = int(fields.get("num-other-sentinels", 0)) + 1
    view.known_replicas = int(fields.get("num-slaves", 0))
    try:
        view.quorum_message = client.command("SENTINEL", "CKQUORUM", name)
        view.quorum_reached = True
    except rc.ReplyError as exc:
        view.quorum_message = str(exc)


def ask_redis(node: dict[str, str], login: Service, timeout: float) -> RedisView:
    """Ask one Redis for its role, its link and whether it holds data."""
    view = RedisView(node["host"], node["address"], OK)
    try:
        with login.open(node["address"], timeout) as client:
            info = rc.parse_info(client.command("INFO", "replication"))
            view.has_keys = bool(rc.parse_info(client.command("INFO", "keyspace")))
    except (rc.ReplyError, rc.Unavailable) as exc:
        view.status, view.message = rc.failure(exc), str(exc)
        return view
    view.role = "master" if info["role"] == "master" else "replica"
    if view.role == "replica":
        view.master = f"{info['master_host']}:{info['master_port']}"
        view.link_up = info.get("master_link_status") == "up"
        view.offset = int(info.get("slave_repl_offset", 0))
    else:
        view.offset = int(info.get("master_repl_offset", 0))
        view.replicas = int(info.get("connected_slaves", 0))
    return view


def survey(redis: Service, sentinel: Service, name: str, timeout: float) -> tuple[list[SentinelView], list[RedisView]]:
    """Ask every node at the same time, so that dead hosts cost one timeout together."""
    count = len(redis.nodes) + len(sentinel.nodes)
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, min(32, count))) as pool:
        asked_sentinels = [pool.submit(ask_sentinel, node, sentinel, name, timeout) for node in sentinel.nodes]
        asked_redises = [pool.submit(ask_redis, node, redis, timeout) for node in redis.nodes]
        return [future.result() for future in asked_sentinels], [future.result() for future in asked_redises]


def majority(count: int) -> int:
    """Return the smallest number of nodes that is more than half."""
    return count // 2 + 1


def winner(addresses: t.Iterable[str]) -> tuple[str, int]:
    """Return the address named most often and how often; the first in order where several are equal."""
    votes: dict[str, int] = {}
    for address in addresses:
        votes[address] = votes.get(address, 0) + 1
    if not votes:
        return "", 0
    best = max(sorted(votes), key=lambda address: votes[address])
    return best, votes[best]


def decide(sentinels: list[SentinelView], redises: list[RedisView], port: int, name: str) -> Decision:
    """Answer who is master, asking the Sentinels first and the replication second; never guess."""
    views: list[SentinelView | RedisView] = [*sentinels, *redises]
    denied = [view.message for view in views if view.status == rc.DENIED]
    if denied:
        return Decision("fail", message="A running broker refuses the password it was asked with. " + "; ".join(denied))
    answers = [view for view in sentinels if view.status == OK]
    address, votes = winner(view.master for view in answers)
    if votes >= majority(len(sentinels)):
        return _confirmed(address, answers, redises, port, name)
    survey_result = _by_replication(redises, port)
    if not answers:
        return survey_result
    # A minority of the Sentinels counts only while the others have yet to be set up, as when a single node grows.
    rest = [view for view in sentinels if view.status != OK]
    if votes == len(answers) and all(view.status in (rc.REFUSED, UNKNOWN_NAME) for view in rest) and survey_result.address == address:
        return survey_result
    claims = ", ".join(f"{view.host} reports {view.master or view.status}" for view in sentinels)
    return Decision("wait", message=f"No majority of the Sentinels agrees on the master of {name}: {claims}")


def _confirmed(address: str, answers: list[SentinelView], redises: list[RedisView], port: int, name: str) -> Decision:
    """Check the master that the Sentinels name against what its Redis reports."""
    flags = [flag for view in answers for flag in view.flags]
    down = sum("s_down" in view.flags for view in answers)
    if "failover_in_progress" in flags or "o_down" in flags or down >= majority(len(answers)):
        return Decision("wait", message=f"The Sentinels find the master {address} of {name} down, or a failover is in progress")
    node = next((view for view in redises if f"{view.address}:{port}" == address), None)
    if node is None:
        known = ", ".join(f"{view.host} ({view.address}:{port})" for view in redises)
        return Decision(
            "fail",
            message=f"The Sentinels name {address} as master of {name}, which is none of this inventory's brokers: {known}. "
            "Put that host back into the group, or move the master to a listed one, and run again",
        )
    if node.status != OK:
        return Decision("wait", message=f"The Sentinels name {node.host} ({address}) as master, but it gives no answer: {node.message}")
    if node.role != "master":
        return Decision("wait", message=f"The Sentinels name {node.host} ({address}) as master, but it is a replica of {node.master}")
    return Decision("found", address, "sentinels")


def _by_replication(redises: list[RedisView], port: int) -> Decision:
    """Find the master from the replication alone, where no Sentinel knows it."""
    answering = [view for view in redises if view.status == OK]
    unreachable = [view for view in redises if view.status not in (OK, rc.REFUSED)]
    masters = [view for view in answering if view.role == "master"]
    if not answering:
        if unreachable:
            claims = "; ".join(view.message for view in unreachable)
            return Decision(
                "wait",
                message=f"No broker answers, and some could not be reached at all, so it is not known whether data exists: {claims}. "
                "A first deployment needs every broker to be reachable",
            )
        return Decision("none")
    with_data = [view for view in masters if view.has_data]
    if len(with_data) > 1:
        claims = ", ".join(f"{view.host} ({view.address}, offset {view.offset})" for view in with_data)
        return Decision(
            "fail",
            message=f"Several brokers are masters with data and no majority of the Sentinels names one: {claims}. "
            "Decide which to keep, stop Redis on the others, empty their data directories, and run again",
        )
    chosen = with_data or masters
    if chosen:
        return _sure(f"{chosen[0].address}:{port}", chosen[0].host, answering, unreachable, redises)
    address, votes = winner(view.master for view in answering)
    node = next((view for view in redises if f"{view.address}:{port}" == address), None)
    if votes == len(answering) and node is not None:
        return _sure(address, node.host, answering, unreachable, redises)
    return Decision("wait", message="The brokers are replicas of a master that is not among them: " + ", ".join(f"{v.host} of {v.master}" for v in answering))


def _sure(address: str, host: str, answering: list[RedisView], unreachable: list[RedisView], redises: list[RedisView]) -> Decision:
    """Accept a master found by replication only where no unreachable broker could be another one."""
    followers = sum(address in (f"{view.address}:{address.rsplit(':', 1)[1]}", view.master) for view in answering)
    if unreachable and followers < majority(len(redises)):
        claims = "; ".join(view.message for view in unreachable)
        return Decision("wait", message=f"{host} ({address}) acts as master without Sentinels, and other brokers cannot be reached: {claims}")
    return Decision("found", address, "replication")


def decide_from_state(states: dict[str, str | None], nodes: list[dict[str, str]], port: int) -> Decision:
    """Answer who is master when nothing runs: from the state files, else the first host of the group.

    :param states: per host the C(replicaof) of its state file as C(address port); empty for a master's, None where there is no file.
    """
    addresses = {node["host"]: f"{node['address']}:{port}" for node in nodes}
    held = {host: value for host, value in states.items() if value is not None and host in addresses}
    if not held:
        return Decision("found", addresses[nodes[0]["host"]], "bootstrap")
    masters = {addresses[host] for host, value in held.items() if not value}
    masters |= {":".join(value.split()[-2:]) for value in held.values() if value}
    if len(masters) == 1 and masters <= set(addresses.values()):
        return Decision("found", masters.pop(), "state")
    claims = ", ".join(f"{host}: {'replica of ' + value if value else 'master'}" for host, value in sorted(held.items()))
    return Decision(
        "fail",
        message=f"Nothing answers, and the state files do not agree on one master of this inventory ({claims}). "
        "Start redis-broker.service and redis-broker-sentinel.service on these hosts, let the Sentinels agree, and run again",
    )


def other_way(redis: Service, sentinel: Service, views: t.Sequence[SentinelView | RedisView], timeout: float) -> list[str]:
    """Return the hosts without an answer on which servers run that do with TLS what is asked without, or the other way round."""
    wanted = bool(redis.tls)
    unreachable = {view.address: view.host for view in views if view.status not in (OK, rc.DENIED, UNKNOWN_NAME)}
    ports = {sentinel.port, redis.port, PLAIN_PORT if wanted else TLS_PORT}
    places = [(address, port) for address in unreachable for port in sorted(ports)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, min(32, len(places)))) as pool:
        found = pool.map(lambda place: rc.speaks(place[0], place[1], not wanted, timeout), places)
        return sorted({unreachable[place[0]] for place, speaks in zip(places, found) if speaks})


def other_way_message(hosts: t.Sequence[str], wanted: bool) -> str:
    """Report that the brokers run with TLS and the inventory disables it, or the reverse."""
    return (
        f"Redis or Sentinel of {', '.join(hosts)} runs {'without' if wanted else 'with'} TLS, and cluster_tls_enabled is {str(wanted).lower()}. "
        f"Nothing was changed: brokers that run are not changed over by this playbook, because half of them could not talk to the other half. "
        f"Set cluster_tls_enabled: {str(not wanted).lower()}, or change all of them over in a planned stop, see docs/brokers.md"
    )


def find_master(
    redis: Service,
    sentinel: Service,
    name: str,
    timeout: float,
    wait: float,
    states: dict[str, str | None] | None = None,
) -> tuple[Decision, list[SentinelView], list[RedisView]]:
    """Survey the nodes until there is an answer, for at most ``wait`` seconds."""
    end = time.monotonic() + wait
    asked = False
    while True:
        sentinels, redises = survey(redis, sentinel, name, timeout)
        decision = decide(sentinels, redises, redis.port, name)
        if decision.state in ("none", "wait") and not asked:
            asked = True
            others = other_way(redis, sentinel, [*sentinels, *redises], timeout)
            if others:
                decision = Decision("fail", message=other_way_message(others, bool(redis.tls)))
        if decision.state == "none" and states is not None:
            decision = decide_from_state(states, redis.nodes, redis.port)
        if decision.state != "wait" or time.monotonic() >= end:
            return decision, sentinels, redises
        time.sleep(1)


def describe(decision: Decision, nodes: list[dict[str, str]], sentinels: list[SentinelView], redises: list[RedisView]) -> dict[str, t.Any]:
    """Return the survey as plain data for a module's result."""
    ip, unused, port = decision.address.rpartition(":")
    host = next((node["host"] for node in nodes if node["address"] == ip), "")
    return {
        "source": decision.source or decision.state,
        "master": {"host": host, "address": ip, "port": int(port or 0)},
        "sentinels": [dataclasses.asdict(view) for view in sentinels],
        "nodes": [dataclasses.asdict(view) for view in redises],
    }


def problems(sentinels: list[SentinelView], redises: list[RedisView], port: int) -> list[str]:
    """Return what stands in the way of a failover, as sentences; servers that cannot be reached are left out of account."""
    answers = [view for view in sentinels if view.status == OK]
    alive = [view for view in redises if view.status == OK]
    address, votes = winner(view.master for view in answers)
    found = [f"{view.host} does not know the master yet" for view in sentinels if view.status == UNKNOWN_NAME]
    if votes < majority(len(sentinels)):
        return [*found, f"only {votes} of {len(sentinels)} Sentinels name the same master"]
    for view in answers:
        if view.master != address:
            found.append(f"Sentinel {view.host} names {view.master}, most name {address}")
        if not view.quorum_reached:
            found.append(f"Sentinel {view.host}: {view.quorum_message}")
        if view.known_sentinels < len(answers):
            found.append(f"Sentinel {view.host} knows {view.known_sentinels} of {len(answers)} Sentinels")
        if view.known_replicas < len(alive) - 1:
            found.append(f"Sentinel {view.host} knows {view.known_replicas} of {len(alive) - 1} replicas")
        if set(view.flags) & {"s_down", "o_down", "failover_in_progress"}:
            found.append(f"Sentinel {view.host} reports the master as {','.join(view.flags)}")
    for node in alive:
        own = f"{node.address}:{port}"
        if own == address and node.role != "master":
            found.append(f"{node.host} is named as master but is a replica of {node.master}")
        elif own != address and node.role == "master":
            found.append(f"{node.host} acts as a second master")
        elif own != address and (node.master != address or not node.link_up):
            found.append(f"{node.host} is not in step with the master: its link to {node.master} is {'up' if node.link_up else 'down'}")
    if not any(f"{node.address}:{port}" == address for node in alive):
        found.append(f"the master {address} gives no answer")
    return found
