# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt
from ansible_collections.multinode.celery.plugins.modules import redis_switchover as module

NODES = [{"host": host} for host in ("b-1", "b-2", "b-3")]


def view(host: str, offset: int, link_up: bool = True, status: str = rt.OK, role: str = "replica") -> rt.RedisView:
    """One broker."""
    return rt.RedisView(host, host, status, role=role, link_up=link_up, offset=offset)


VIEWS = [view("b-1", 30, role="master"), view("b-2", 20), view("b-3", 30)]


@pytest.mark.parametrize(
    ("to", "avoid", "expected"),
    [
        ("", [], "*"),
        ("b-2", [], "b-2"),
        ("b-1", [], ""),
        ("", ["b-2"], ""),
        ("", ["b-1"], "b-3"),
        ("", ["b-1", "b-3"], "b-2"),
    ],
)
def test_who_becomes_the_master(to: str, avoid: list[str], expected: str) -> None:
    """Nobody where the master is well placed already."""
    assert module.choose(VIEWS, "b-1", to, avoid) == expected


def test_a_replica_that_is_behind_is_not_chosen() -> None:
    """Nor one that gives no answer."""
    views = [VIEWS[0], view("b-2", 20), view("b-3", 30, link_up=False), view("b-4", 40, status="timeout")]
    assert module.choose(views, "b-1", "", ["b-1"]) == "b-2"


@pytest.mark.parametrize(
    ("to", "avoid", "message"),
    [
        ("", [], ""),
        ("b-3", ["b-1"], ""),
        ("b-9", [], "b-9: no such broker"),
        ("", ["b-1", "b-8"], "b-8: no such broker"),
        ("b-1", ["b-1"], "cannot both"),
        ("", ["b-1", "b-2", "b-3"], "no broker is left"),
    ],
)
def test_hosts_that_make_no_sense(to: str, avoid: list[str], message: str) -> None:
    """Are named before anything is asked."""
    answer = module.unknown({"brokers": {"nodes": NODES}, "to": to, "avoid": avoid})
    assert message in answer
    assert bool(answer) == bool(message)


def test_clients_are_counted_by_user() -> None:
    """Replicas are no clients."""
    listing = "id=1 addr=x flags=N user=prod cmd=brpop\nid=2 flags=P user=prod\nid=3 flags=S user=prod\nid=4 flags=N user=admin\n"
    assert module.count_clients(listing, ["prod"]) == 2
    assert module.count_clients("", ["prod"]) == 0
