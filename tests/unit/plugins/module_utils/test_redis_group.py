# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.multinode.celery.plugins.module_utils import _redis_group as rg


def replica(address: str, priority: int) -> list[str]:
    """One row of SENTINEL REPLICAS."""
    return ["name", address, "ip", address, "port", "6379", "slave-priority", str(priority)]


def params() -> dict[str, object]:
    """What a module is given about three brokers."""
    nodes = [{"host": f"b-{number}", "address": f"192.0.2.{number}"} for number in (1, 2, 3)]
    brokers = {"nodes": nodes, "port": 6379, "user": "admin", "password": "x", "previous_password": "", "sentinel_nodes": None}
    brokers.update(sentinel_port=26379, sentinel_user="admin", sentinel_password="y", sentinel_previous_password="", master_name="celery", tls={})
    return {"brokers": brokers, "timeout_seconds": 1.0, "wait_seconds": 1.0}


def test_the_sentinel_prefers_the_replica_with_the_lowest_priority() -> None:
    """Alone, and not one that must never be chosen."""
    assert rg.not_preferred([replica("192.0.2.2", 1), replica("192.0.2.3", 100)], "192.0.2.2") == ""
    assert rg.not_preferred([replica("192.0.2.2", 1), replica("192.0.2.3", 0)], "192.0.2.2") == ""
    assert "192.0.2.3" in rg.not_preferred([replica("192.0.2.2", 100), replica("192.0.2.3", 100)], "192.0.2.2")
    assert "does not know" in rg.not_preferred([replica("192.0.2.3", 100)], "192.0.2.2")


def test_hosts_can_be_left_out_of_a_group() -> None:
    """Of both kinds of servers, and those who are given keep their lists."""
    given = params()
    group = rg.Group(given, without=["b-3"])
    assert [node["host"] for node in group.redis.nodes] == [node["host"] for node in group.sentinel.nodes] == ["b-1", "b-2"]
    assert len(rg.Group(given).redis.nodes) == 3
    assert (group.address("b-2"), group.host("192.0.2.2"), group.host("192.0.2.9")) == ("192.0.2.2", "b-2", "192.0.2.9")


def test_waiting_returns_what_was_missing_last() -> None:
    """And nothing as soon as nothing is."""
    answers = iter(["one", "two", ""])
    assert rg.wait_for(lambda: next(answers, ""), 5) == ""
    assert rg.wait_for(lambda: "still", 0) == "still"
