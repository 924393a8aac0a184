# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt


class SwitchoverError(Exception):
    """A switchover that was given up; the old master has gone on as before."""


def missing(sentinels: list[rt.SentinelView], redises: list[rt.RedisView], port: int) -> list[str]:
    """Return what is missing before a node may leave for a moment: here an unreachable server counts too."""
    views: list[rt.RedisView | rt.SentinelView] = [*redises, *sentinels]
    unreachable = [view.message or f"{view.host}: {view.status}" for view in views if view.status not in (rt.OK, rt.UNKNOWN_NAME)]
    return unreachable or rt.problems(sentinels, redises, port)


def wait_for_offsets(master: rc.RedisClient, replicas: t.Sequence[rc.RedisClient], seconds: float) -> None:
    """Wait until a paused master's replicas hold everything it ever acknowledged.

    :raises SwitchoverError: when one does not.
    """
    end = time.monotonic() + seconds
    while True:
        wanted = int(rc.parse_info(master.command("INFO", "replication"))["master_repl_offset"])
        held = [int(rc.parse_info(replica.command("INFO", "replication")).get("slave_repl_offset", -1)) for replica in replicas]
        if all(offset >= wanted for offset in held):
            return
        if time.monotonic() >= end:
            raise SwitchoverError(f"the replicas did not reach offset {wanted} in {seconds:g} s: {held}")
        time.sleep(0.05)


def wait_for_new_master(ask: t.Callable[[], list[rt.SentinelView]], old: str, seconds: float) -> str:
    """Wait until every Sentinel that answers names the same other master, and return it.

    :raises SwitchoverError: when they do not.
    """
    end = time.monotonic() + seconds
    while True:
        views = ask()
        named = {view.master for view in views if view.status == rt.OK}
        if len(named) == 1 and sum(view.status == rt.OK for view in views) >= rt.majority(len(views)):
            address = named.pop()
            if address.rsplit(":", 1)[0] != old:
                return address
        if time.monotonic() >= end:
            raise SwitchoverError(f"the Sentinels did not agree on a new master in {seconds:g} s")
        time.sleep(0.1)


def switch_over(
    master: rc.RedisClient,
    replicas: t.Sequence[rc.RedisClient],
    sentinel: rc.RedisClient,
    ask: t.Callable[[], list[rt.SentinelView]],
    own: str,
    name: str,
    pause: float,
) -> str:
    """Move the master away from a node so that every acknowledged write is on the new one.

    The pause ends by itself, so that an interrupted switchover leaves a master that works.
    """
    end = time.monotonic() + pause
    master.command("CLIENT", "PAUSE", int(pause * 1000), "WRITE")
    try:
        wait_for_offsets(master, replicas, pause / 4)
        sentinel.command("SENTINEL", "FAILOVER", name)
    except (rc.ReplyError, rc.Unavailable, SwitchoverError):
        master.command("CLIENT", "UNPAUSE")
        raise
    # From here on the pause is left to end by itself: a promotion under way may still succeed, and what were written here would be lost.
    # A margin remains, in which clients are disconnected before they could write to the old master.
    address = wait_for_new_master(ask, own, max(0.0, end - time.monotonic() - 3))
    host, port = address.rsplit(":", 1)
    # In one transaction, because a client that reconnects in between would find a writable old master.
    master.transaction(
        [
            ["MULTI"],
            ["REPLICAOF", host, port],
            ["CONFIG", "REWRITE"],
            ["CLIENT", "KILL", "TYPE", "normal"],
            ["CLIENT", "KILL", "TYPE", "pubsub"],
            ["CLIENT", "UNPAUSE"],
            ["EXEC"],
        ]
    )
    return address
