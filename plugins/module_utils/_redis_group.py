# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils import _redis_switchover as switchover
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt

# A Sentinel reads the priorities of the replicas every ten seconds.
PRIORITY_KNOWN_SECONDS = 25.0
PREFERRED = 1


@dataclasses.dataclass
class Moved:
    """A switchover that was done."""

    address: str
    seconds: float
    offset: int


def wait_for(check: t.Callable[[], str], seconds: float) -> str:
    """Repeat a check until it finds nothing missing; return what was missing last."""
    end = time.monotonic() + seconds
    while True:
        missing = check()
        if not missing or time.monotonic() >= end:
            return missing
        time.sleep(0.25)


class Group:
    """The brokers as one module sees them."""

    def __init__(self, params: dict[str, t.Any], without: t.Collection[str] = ()) -> None:
        self.redis, self.sentinel = rm.services(params["brokers"])
        self.name: str = params["brokers"]["master_name"]
        self.timeout: float = params["timeout_seconds"]
        self.redis.nodes = [node for node in self.redis.nodes if node["host"] not in without]
        self.sentinel.nodes = [node for node in self.sentinel.nodes if node["host"] not in without]

    def survey(self, timeout: float | None = None) -> tuple[list[rt.SentinelView], list[rt.RedisView]]:
        """Ask every server."""
        return rt.survey(self.redis, self.sentinel, self.name, timeout or self.timeout)

    def missing(self) -> str:
        """Return what is missing for every server to be in step."""
        return "; ".join(switchover.missing(*self.survey(), self.redis.port))

    def watched(self) -> bool:
        """Tell whether any Sentinel watches this group; before the first one does there is no replica to switch over to."""
        return any(view.status == rt.OK for view in self.survey()[0])

    def address(self, host: str) -> str:
        """Return the address of a host of the group."""
        return next(node["address"] for node in self.redis.nodes if node["host"] == host)

    def host(self, address: str) -> str:
        """Return the host that has an address, or the address of an unlisted host."""
        return next((node["host"] for node in self.redis.nodes if node["address"] == address), address)

    def open(self, address: str) -> rc.RedisClient:
        """Connect to one Redis as the user who may switch over."""
        return self.redis.open(address, self.timeout)

    def open_sentinel(self, near: str = "") -> rc.RedisClient:
        """Connect to a Sentinel; the one at the address given would do, any other does as well."""
        error: rc.Unavailable | None = None
        for node in sorted(self.sentinel.nodes, key=lambda node: node["address"] != near):
            try:
                return self.sentinel.open(node["address"], self.timeout)
            except rc.Unavailable as exc:
                error = exc
        raise error or rc.Unavailable(rc.ERROR, "no Sentinel is known")

    def switch_over(self, own: str, pause: float, wanted: str = "") -> Moved | None:
        """Make another node the master if the one at C(own) is; return what was done, or nothing where it is a replica.

        :param wanted: address of the replica that must be chosen; any of them when it is empty.
        """
        with contextlib.ExitStack() as stack:
            master = stack.enter_context(self.open(own))
            info = rc.parse_info(master.command("INFO", "replication"))
            if info["role"] != "master" or not rc.replicas(info):
                return None
            replicas = [stack.enter_context(self.open(replica["ip"])) for replica in rc.replicas(info)]
            sentinel = stack.enter_context(self.open_sentinel(own))
            if wanted:
                stack.enter_context(self._preferred(sentinel, wanted))
            begin = time.monotonic()
            address = switchover.switch_over(master, replicas, sentinel, lambda: self.survey(1.0)[0], own, self.name, pause)
            seconds = round(time.monotonic() - begin, 2)
            return Moved(address.rsplit(":", 1)[0], seconds, int(info["master_repl_offset"]))

    @contextlib.contextmanager
    def _preferred(self, sentinel: rc.RedisClient, wanted: str) -> t.Iterator[None]:
        """Give one replica the lowest priority number for as long as the context lasts, and wait until the Sentinel knows it."""
        with self.open(wanted) as replica:
            before = rc.pairs(replica.command("CONFIG", "GET", "replica-priority"))["replica-priority"]
            replica.command("CONFIG", "SET", "replica-priority", PREFERRED)
        try:
            missing = wait_for(lambda: not_preferred(sentinel.command("SENTINEL", "REPLICAS", self.name), wanted), PRIORITY_KNOWN_SECONDS)
            if missing:
                raise switchover.SwitchoverError(missing)
            yield
        finally:
            # A promotion disconnects every client of the new master.
            with self.open(wanted) as promoted:
                promoted.command("CONFIG", "SET", "replica-priority", before)


def not_preferred(replies: t.Sequence[t.Sequence[t.Any]], wanted: str) -> str:
    """Return why a Sentinel that lists these replicas would not choose the wanted one; nothing when it would."""
    priorities = {str(fields["ip"]): int(fields.get("slave-priority", 100)) for fields in map(rc.pairs, replies)}
    if wanted not in priorities:
        return f"the Sentinel does not know the replica {wanted}"
    rivals = [address for address, priority in priorities.items() if address != wanted and 0 < priority <= priorities[wanted]]
    return f"the Sentinel would choose {', '.join(sorted(rivals))} as well, see replica-priority there" if rivals else ""
