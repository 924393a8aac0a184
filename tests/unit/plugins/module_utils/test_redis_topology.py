# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt

NODES = [{"host": f"broker-{number}", "address": f"192.0.2.{number}"} for number in (1, 2, 3)]
ADDRESS = {node["host"]: f"{node['address']}:6379" for node in NODES}


def sentinel(number: int, master: int | str = "", status: str = rt.OK, flags: tuple[str, ...] = ("master",), **more: t.Any) -> rt.SentinelView:
    """Return what a Sentinel reports; a number names the master by its host."""
    named = f"192.0.2.{master}:6379" if isinstance(master, int) else master
    facts = {"quorum_reached": True, "known_sentinels": 3, "known_replicas": 2, **more}
    return rt.SentinelView(f"broker-{number}", f"192.0.2.{number}", status, message=f"broker-{number}: {status}", master=named, flags=flags, **facts)


def redis(number: int, master: int = 0, status: str = rt.OK, **more: t.Any) -> rt.RedisView:
    """Return what a Redis reports; without a master it is one."""
    view = rt.RedisView(f"broker-{number}", f"192.0.2.{number}", status, message=f"broker-{number}: {status}")
    if status == rt.OK:
        view.role, view.master = ("replica", f"192.0.2.{master}:6379") if master else ("master", "")
        view.link_up = bool(master)
    for name, value in more.items():
        setattr(view, name, value)
    return view


def down(number: int, status: str = rc.REFUSED) -> rt.RedisView:
    """Return a Redis that gives no answer."""
    return redis(number, status=status)


def no_sentinels(status: str = rc.REFUSED) -> list[rt.SentinelView]:
    """Return three Sentinels that give no answer."""
    return [sentinel(number, status=status) for number in (1, 2, 3)]


def decide(sentinels: list[rt.SentinelView], redises: list[rt.RedisView]) -> rt.Decision:
    """Decide with the port and name that all tests share."""
    return rt.decide(sentinels, redises, 6379, "celery")


def test_the_majority_of_the_sentinels_is_believed() -> None:
    """After a failover the group's order means nothing."""
    decision = decide([sentinel(n, 2) for n in (1, 2, 3)], [redis(1, 2), redis(2), redis(3, 2)])
    assert (decision.state, decision.address, decision.source) == ("found", ADDRESS["broker-2"], "sentinels")


@pytest.mark.parametrize("failure", [rc.TIMEOUT, rc.REFUSED, rt.UNKNOWN_NAME])
def test_one_unreachable_broker_does_not_matter(failure: str) -> None:
    """Two of three are a majority."""
    decision = decide([sentinel(1, status=failure), sentinel(2, 2), sentinel(3, 2)], [down(1), redis(2), redis(3, 2)])
    assert decision.address == ADDRESS["broker-2"]


@pytest.mark.parametrize("flags", [("master", "o_down"), ("master", "failover_in_progress")])
def test_a_failover_is_waited_for(flags: tuple[str, ...]) -> None:
    """One Sentinel that is at it is enough."""
    decision = decide([sentinel(1, 2), sentinel(2, 2, flags=flags), sentinel(3, 2)], [redis(1, 2), redis(2), redis(3, 2)])
    assert decision.state == "wait"


def test_one_sentinel_that_finds_the_master_down_does_not_matter() -> None:
    """It may be the one that is cut off."""
    decision = decide([sentinel(1, 2, flags=("master", "s_down")), sentinel(2, 2), sentinel(3, 2)], [redis(1, 2), redis(2), redis(3, 2)])
    assert decision.state == "found"


@pytest.mark.parametrize("second", [redis(2, 1), down(2), down(2, rc.TIMEOUT)])
def test_a_named_master_must_report_that_it_is_one(second: rt.RedisView) -> None:
    """Otherwise a failover is about to happen."""
    assert decide([sentinel(n, 2) for n in (1, 2, 3)], [redis(1), second, redis(3, 2)]).state == "wait"


def test_disagreement_is_waited_for_and_named() -> None:
    """No majority names one."""
    decision = decide([sentinel(1, 1), sentinel(2, 2), sentinel(3, status=rc.TIMEOUT)], [redis(1), redis(2), down(3, rc.TIMEOUT)])
    assert decision.state == "wait"
    assert "broker-2 reports 192.0.2.2:6379" in decision.message


def test_a_master_outside_the_inventory_is_refused() -> None:
    """Its host was taken out of the group while it was master."""
    decision = decide([sentinel(n, 9) for n in (1, 2, 3)], [redis(n, 9) for n in (1, 2, 3)])
    assert decision.state == "fail"
    assert "192.0.2.9:6379" in decision.message


def test_a_wrong_password_is_never_taken_for_an_empty_host() -> None:
    """Bootstrapping over a running group would be the worst that can happen."""
    decision = decide(no_sentinels(), [down(1, rc.DENIED), down(2), down(3)])
    assert decision.state == "fail"
    assert "refuses the password" in decision.message


def test_nothing_anywhere() -> None:
    """Only then may the state files, and at last the order of the group, decide."""
    assert decide(no_sentinels(), [down(1), down(2), down(3)]).state == "none"


def test_an_unreachable_broker_forbids_a_first_deployment() -> None:
    """It could hold all the data."""
    assert decide(no_sentinels(rc.TIMEOUT), [down(1, rc.TIMEOUT), down(2), down(3)]).state == "wait"


def test_replication_names_the_master_without_sentinels() -> None:
    """As after a first run that ended between Redis and Sentinel."""
    decision = decide(no_sentinels(), [redis(1, 3), redis(2, 3), redis(3, replicas=2)])
    assert (decision.address, decision.source) == (ADDRESS["broker-3"], "replication")


def test_a_stopped_master_is_found_by_its_replicas() -> None:
    """The first run failed on the host that was to be master."""
    assert decide(no_sentinels(), [down(1), redis(2, 1), redis(3, 1)]).address == ADDRESS["broker-1"]


def test_an_empty_second_master_does_not_count() -> None:
    """It is a node that was set up anew."""
    assert decide(no_sentinels(), [redis(1), redis(2, has_keys=True), down(3)]).address == ADDRESS["broker-2"]


def test_two_masters_with_data_are_never_guessed_between() -> None:
    """One of them would lose everything."""
    decision = decide(no_sentinels(), [redis(1, has_keys=True, offset=10), redis(2, has_keys=True, offset=20), redis(3, 2)])
    assert decision.state == "fail"
    assert "broker-1 (192.0.2.1, offset 10), broker-2 (192.0.2.2, offset 20)" in decision.message


def test_a_master_seen_alone_is_not_believed() -> None:
    """The others may have another master on their side of a partition."""
    decision = decide(no_sentinels(rc.TIMEOUT), [redis(1, has_keys=True), down(2, rc.TIMEOUT), down(3, rc.TIMEOUT)])
    assert decision.state == "wait"


def test_a_single_node_may_grow() -> None:
    """One Sentinel of three answers, and the others are known to be empty."""
    decision = decide([sentinel(1, 1), *no_sentinels()[1:]], [redis(1, has_keys=True), down(2), down(3)])
    assert (decision.state, decision.address) == ("found", ADDRESS["broker-1"])


@pytest.mark.parametrize(
    ("states", "address", "source"),
    [
        ({}, "broker-1", "bootstrap"),
        ({"broker-1": None, "broker-2": None}, "broker-1", "bootstrap"),
        ({"broker-1": None, "broker-2": "", "broker-3": "replicaof 192.0.2.2 6379"}, "broker-2", "state"),
        ({"broker-1": None, "broker-2": "replicaof 192.0.2.3 6379", "broker-3": None}, "broker-3", "state"),
    ],
)
def test_state_files_decide_where_nothing_runs(states: dict[str, str | None], address: str, source: str) -> None:
    """A host that was set up anew must not become master because it is first."""
    decision = rt.decide_from_state(states, NODES, 6379)
    assert (decision.address, decision.source) == (ADDRESS[address], source)


@pytest.mark.parametrize(
    "states",
    [{"broker-1": "", "broker-2": ""}, {"broker-1": "", "broker-2": "replicaof 192.0.2.3 6379"}, {"broker-1": "replicaof 198.51.100.1 6379"}],
)
def test_contradicting_state_files_are_refused(states: dict[str, str | None]) -> None:
    """Nobody is asked who would know."""
    assert rt.decide_from_state(states, NODES, 6379).state == "fail"


def test_a_healthy_group_has_no_problems() -> None:
    """Also with one broker away, as long as the others are in step."""
    sentinels = [sentinel(n, 2) for n in (1, 2, 3)]
    assert rt.problems(sentinels, [redis(1, 2), redis(2), redis(3, 2)], 6379) == []
    assert rt.problems([sentinel(1, status=rc.TIMEOUT), *sentinels[1:]], [down(1), redis(2), redis(3, 2)], 6379) == []


@pytest.mark.parametrize(
    ("sentinels", "redises", "message"),
    [
        ([sentinel(n, 2, known_sentinels=1) for n in (1, 2, 3)], [redis(1, 2), redis(2), redis(3, 2)], "knows 1 of 3 Sentinels"),
        ([sentinel(n, 2, known_replicas=0) for n in (1, 2, 3)], [redis(1, 2), redis(2), redis(3, 2)], "knows 0 of 2 replicas"),
        ([sentinel(n, 2, quorum_reached=False, quorum_message="NOQUORUM") for n in (1, 2, 3)], [redis(2)], "NOQUORUM"),
        ([sentinel(n, 2) for n in (1, 2, 3)], [redis(1), redis(2), redis(3, 2)], "second master"),
        ([sentinel(n, 2) for n in (1, 2, 3)], [redis(1, 2, link_up=False), redis(2), redis(3, 2)], "not in step"),
        ([sentinel(n, 2) for n in (1, 2, 3)], [redis(1, 2), down(2), redis(3, 2)], "gives no answer"),
        (no_sentinels(), [redis(1)], "only 0 of 3"),
    ],
)
def test_problems_are_named(sentinels: list[rt.SentinelView], redises: list[rt.RedisView], message: str) -> None:
    """Each in a sentence a person can act on."""
    assert message in "; ".join(rt.problems(sentinels, redises, 6379))


def test_describe_names_the_host() -> None:
    """Roles compare it with inventory_hostname."""
    facts = rt.describe(rt.Decision("found", ADDRESS["broker-3"], "sentinels"), NODES, [], [redis(1)])
    assert facts["master"] == {"host": "broker-3", "address": "192.0.2.3", "port": 6379}
    assert rt.describe(rt.Decision("none"), NODES, [], [])["master"] == {"host": "", "address": "", "port": 0}


def test_brokers_that_run_the_other_way_are_not_changed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TLS is wanted and plain servers answer, and the other way round."""
    monkeypatch.setattr(rt, "survey", lambda *unused: ([sentinel(1, status=rc.TLS)], [redis(1, status=rc.REFUSED)]))
    asked: list[tuple[str, int, bool]] = []

    def speaks(host: str, port: int, with_tls: bool, timeout: float) -> bool:
        asked.append((host, port, with_tls))
        return port == 26379

    monkeypatch.setattr(rc, "speaks", speaks)
    for files in ({"ca_path": "/ca"}, {}):
        both = (rt.Service(NODES[:1], 6380 if files else 6379, "admin", ["x"], files), rt.Service(NODES[:1], 26379, "admin", ["y"], files))
        decision, *unused = rt.find_master(*both, "celery", 1.0, 30)
        assert decision.state == "fail" and "docs/brokers.md" in decision.message
        assert f"runs {'without' if files else 'with'} TLS" in decision.message
    assert {port for unused, port, with_tls in asked if not with_tls} == {6379, 6380, 26379}
