# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_switchover as switchover
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt


class Server:
    """A server that gives the listed replies and records its commands."""

    def __init__(self, info: str = "", failing: str = "") -> None:
        self.info = info
        self.failing = failing
        self.asked: list[str] = []

    def command(self, *argv: t.Any) -> str:
        """Note and reply."""
        self.asked.append(" ".join(str(word) for word in argv))
        if self.failing and self.asked[-1].startswith(self.failing):
            raise rc.ReplyError("ERR no")
        return self.info

    def transaction(self, commands: list[list[str]]) -> list[str]:
        """Note all."""
        self.asked += [" ".join(argv) for argv in commands]
        return []


def views(*masters: str) -> t.Callable[[], list[rt.SentinelView]]:
    """Return a question to the Sentinels that is answered with these masters."""
    return lambda: [rt.SentinelView("x", "x", rt.OK, master=master) for master in masters]


def run(master: Server, replica: Server, sentinel: Server, ask: t.Callable[[], list[rt.SentinelView]], pause: float = 4.0) -> str:
    """Switch over with servers that only pretend."""
    clients = t.cast(t.Any, (master, replica, sentinel))
    return switchover.switch_over(clients[0], [clients[1]], clients[2], ask, "192.0.2.1", "celery", pause)


def test_order_of_a_switchover() -> None:
    """Writes are paused first, and clients are cut off in the step that makes the node a replica."""
    master, replica = Server("master_repl_offset:100\r\n"), Server("slave_repl_offset:100\r\n")
    sentinel = Server()
    assert run(master, replica, sentinel, views(*["192.0.2.2:6379"] * 3)) == "192.0.2.2:6379"
    assert master.asked[0] == "CLIENT PAUSE 4000 WRITE"
    assert sentinel.asked == ["SENTINEL FAILOVER celery"]
    assert master.asked[-7:-4] == ["MULTI", "REPLICAOF 192.0.2.2 6379", "CONFIG REWRITE"]
    assert master.asked[-1] == "EXEC"


def test_a_replica_that_lags_ends_it_before_anything_happened() -> None:
    """The master goes on at once."""
    master, sentinel = Server("master_repl_offset:100\r\n"), Server()
    with pytest.raises(switchover.SwitchoverError, match="did not reach offset 100"):
        run(master, Server("slave_repl_offset:99\r\n"), sentinel, views(), pause=0.4)
    assert master.asked[-1] == "CLIENT UNPAUSE"
    assert not sentinel.asked


def test_a_sentinel_that_refuses_ends_it() -> None:
    """For example while another failover is in progress."""
    master = Server("master_repl_offset:100\r\n")
    with pytest.raises(rc.ReplyError):
        run(master, Server("slave_repl_offset:100\r\n"), Server(failing="SENTINEL FAILOVER"), views())
    assert master.asked[-1] == "CLIENT UNPAUSE"


def test_without_agreement_the_old_master_is_not_cut_off() -> None:
    """Nor is the pause ended early, because a promotion may still succeed."""
    master = Server("master_repl_offset:100\r\n")
    with pytest.raises(switchover.SwitchoverError, match="did not agree"):
        run(master, Server("slave_repl_offset:100\r\n"), Server(), views("192.0.2.1:6379", "192.0.2.2:6379", "192.0.2.2:6379"), pause=0.2)
    assert "MULTI" not in master.asked
    assert "CLIENT UNPAUSE" not in master.asked


def test_an_unreachable_server_forbids_a_restart() -> None:
    """The next one to leave might be the last."""
    lost = rt.RedisView("broker-2", "192.0.2.2", rc.TIMEOUT, message="192.0.2.2:6379: timed out")
    assert switchover.missing([], [lost], 6379) == ["192.0.2.2:6379: timed out"]
