# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.multinode.celery.plugins.module_utils import _redis_copy as cp


class Server:
    """A Redis in memory that knows the commands of a copy."""

    def __init__(self, **keys: t.Any) -> None:
        self.databases: dict[int, dict[bytes, t.Any]] = {1: {name.encode(): value for name, value in keys.items()}}
        self.selected = 1
        self.raw = False

    @property
    def data(self) -> dict[bytes, t.Any]:
        """The keys of the database in use."""
        return self.databases.setdefault(self.selected, {})

    def command(self, name: str, *argv: t.Any) -> t.Any:
        """Do one command."""
        return getattr(self, name.lower())(*argv)

    def transaction(self, commands: list[list[t.Any]]) -> list[t.Any]:
        """Do several."""
        return [self.command(*argv) for argv in commands]

    def info(self, unused: str) -> bytes:
        """Databases that hold keys."""
        return "\r\n".join(f"db{number}:keys={len(keys)}" for number, keys in self.databases.items() if keys).encode()

    def select(self, database: int) -> None:
        """Use another database."""
        self.selected = database

    def scan(self, cursor: bytes, unused: str, count: int) -> tuple[bytes, list[bytes]]:
        """All keys in two portions, one of them twice."""
        keys = sorted(self.data)
        return (b"0", keys[1:]) if cursor == b"7" else (b"7", keys[:2])

    def type(self, key: bytes) -> str:
        """The type of a key."""
        return {list: "list", set: "set", dict: "hash", str: "string"}[type(self.data[key])]

    def llen(self, key: bytes) -> int:
        """Length of a list."""
        return len(self.data[key])

    hlen = llen

    def lrange(self, key: bytes, first: int, last: int) -> list[bytes]:
        """Part of a list, counted from its end."""
        items = self.data[key]
        return items[max(0, len(items) + first) : len(items) + last + 1]

    def lpush(self, key: bytes, *values: bytes) -> None:
        """Put values before a list, one after the other."""
        for value in values:
            self.data.setdefault(key, []).insert(0, value)

    def smembers(self, key: bytes) -> list[bytes]:
        """Members of a set."""
        return list(self.data[key])

    def sadd(self, key: bytes, *values: bytes) -> None:
        """Add to a set."""
        self.data.setdefault(key, set()).update(values)

    def exists(self, key: bytes) -> int:
        """Whether there is a key."""
        return int(key in self.data)

    def dump(self, key: bytes) -> t.Any:
        """The value stands for its dump."""
        return self.data[key]

    def pttl(self, unused: bytes) -> int:
        """No key expires."""
        return -1

    def restore(self, key: bytes, ttl: int, value: t.Any) -> None:
        """Set a value that does not exist."""
        assert ttl == 0 and key not in self.data
        self.data[key] = value

    def unlink(self, *keys: bytes) -> None:
        """Delete keys."""
        for key in keys:
            self.data.pop(key, None)


def client(**keys: t.Any) -> t.Any:
    """A server as the functions expect it."""
    return Server(**keys)


def test_a_queue_keeps_its_order_whatever_its_length() -> None:
    """The oldest message stays at the end from which it is taken."""
    messages = [b"%d" % number for number in range(2 * cp.CHUNK + 3)]
    source, target = client(queue=list(messages)), client()
    copied = cp.copy(source, target, [])
    assert target.databases[1] == {b"queue": messages}
    assert (copied.messages, copied.queues, copied.keys) == (len(messages), {"1/queue": len(messages)}, 1)


def test_what_the_target_has_stays() -> None:
    """Bindings are added to, a lock is not taken back, messages are put before what waits."""
    source = client(binding={b"a", b"b"}, lock="old", queue=[b"1"], unacked={b"x": b"y"}, unacked_index="score")
    target = client(binding={b"c"}, lock="new", queue=[b"2"])
    copied = cp.copy(source, target, [])
    assert target.databases[1] == {
        b"binding": {b"a", b"b", b"c"}, b"lock": "new", b"queue": [b"1", b"2"], b"unacked": {b"x": b"y"}, b"unacked_index": "score",
    }  # fmt: skip
    assert (copied.kept, copied.unacked) == (1, 1)


def test_only_the_keys_of_some_environments_are_copied() -> None:
    """And never answers to remote control."""
    keys = {"test:queue": [b"1"], "prod:queue": [b"2"], "test:uuid.reply.celery.pidbox": [b"3"]}
    target = client()
    cp.copy(client(**keys), target, ["test:"])
    assert target.databases[1] == {b"test:queue": [b"1"]}
    assert not cp.in_scope(b"uuid.reply.celery.pidbox", [])


def test_live_queues_are_found_and_dropped() -> None:
    """With the notes of unacknowledged messages; empty ones and everything else do not count."""
    server = client(queue=[b"1", b"2"], empty=[], unacked={b"x": b"y"}, unacked_index="score", binding={b"a"}, other={b"a": b"b"})
    found = cp.live_queues(server, [])
    assert found == {(1, b"queue"): 2, (1, b"unacked"): 1}
    cp.drop_queues(server, found)
    assert sorted(server.databases[1]) == [b"binding", b"empty", b"other"]


def test_databases_with_keys() -> None:
    """In the words of Redis."""
    assert cp.databases("# Keyspace\r\ndb10:keys=1,expires=0\r\ndb2:keys=3,expires=0\r\n") == [2, 10]
