# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc

SCAN_COUNT = 1000
# So many messages are moved in one step, so that nobody else waits long for the server.
CHUNK = 500
UNACKED = b"unacked"
# Answers to remote control; whoever asked is gone.
REPLIES = b"reply.celery.pidbox"


@dataclasses.dataclass
class Copied:
    """What a copy of keys did."""

    keys: int = 0
    kept: int = 0
    queues: dict[str, int] = dataclasses.field(default_factory=dict)
    unacked: int = 0

    @property
    def messages(self) -> int:
        """Return the number of waiting messages."""
        return sum(self.queues.values())


def databases(info: str) -> list[int]:
    """Return the numbers of the databases that hold keys, from C(INFO keyspace)."""
    return sorted(int(name[2:]) for name in rc.parse_info(info) if name.startswith("db"))


def in_scope(key: bytes, prefixes: t.Sequence[str]) -> bool:
    """Tell whether a key belongs to what is copied: no reply to remote control, and of the prefixes where some are given."""
    if key.endswith(REPLIES):
        return False
    return not prefixes or any(key.startswith(prefix.encode()) for prefix in prefixes)


def is_unacked(key: bytes) -> bool:
    """Tell whether a key holds messages that were delivered and not acknowledged, or their times."""
    return key.endswith((UNACKED, UNACKED + b"_index"))


def text(key: bytes) -> str:
    """Return a key for a message."""
    return key.decode("utf-8", "backslashreplace")


def scan(client: rc.RedisClient, database: int, prefixes: t.Sequence[str]) -> t.Iterator[list[tuple[bytes, bytes]]]:
    """Yield the keys of a database with their types, in portions."""
    client.command("SELECT", database)
    cursor: t.Any = b"0"
    seen: set[bytes] = set()
    while True:
        cursor, keys = client.command("SCAN", cursor, "COUNT", SCAN_COUNT)
        # A key may be listed twice while the server resizes its table.
        wanted = [key for key in dict.fromkeys(keys) if in_scope(key, prefixes) and key not in seen]
        seen.update(wanted)
        if wanted:
            types = client.transaction([["TYPE", key] for key in wanted])
            yield [(key, kind.encode()) for key, kind in zip(wanted, types)]
        if int(cursor) == 0:
            return


def live_queues(client: rc.RedisClient, prefixes: t.Sequence[str]) -> dict[tuple[int, bytes], int]:
    """Return the queues with waiting messages, and the notes of unacknowledged ones, with their lengths."""
    found = {}
    client.raw = True
    for database in databases(client.command("INFO", "keyspace").decode()):
        for portion in scan(client, database, prefixes):
            for key, kind in portion:
                if kind == b"list":
                    found[database, key] = client.command("LLEN", key)
                elif kind == b"hash" and is_unacked(key):
                    found[database, key] = client.command("HLEN", key)
    return {place: length for place, length in found.items() if length}


def drop_queues(client: rc.RedisClient, places: t.Iterable[tuple[int, bytes]]) -> None:
    """Delete queues and notes of unacknowledged messages."""
    for database, key in places:
        client.command("SELECT", database)
        client.command("UNLINK", key, *([key + b"_index"] if is_unacked(key) else []))


def copy_list(source: rc.RedisClient, target: rc.RedisClient, key: bytes) -> int:
    """Copy a queue, oldest messages first, so that the order holds while it is consumed already."""
    length = source.command("LLEN", key)
    done = 0
    while done < length:
        oldest = source.command("LRANGE", key, -done - CHUNK, -done - 1)
        target.command("LPUSH", key, *reversed(oldest))
        done += len(oldest)
    return length


def copy_others(source: rc.RedisClient, target: rc.RedisClient, keys: t.Sequence[bytes], result: Copied) -> None:
    """Copy keys of any type that do not exist in the target."""
    exists = target.transaction([["EXISTS", key] for key in keys])
    wanted = [key for key, there in zip(keys, exists) if not there]
    result.kept += len(keys) - len(wanted)
    if not wanted:
        return
    dumps = source.transaction([command for key in wanted for command in (["DUMP", key], ["PTTL", key])])
    rows = [(key, dumps[2 * index], dumps[2 * index + 1]) for index, key in enumerate(wanted)]
    # A key without a dump expired a moment ago.
    rows = [row for row in rows if row[1] is not None]
    if rows:
        target.transaction([["RESTORE", key, max(0, ttl), dump] for key, dump, ttl in rows])
    result.keys += len(rows)


def copy(source: rc.RedisClient, target: rc.RedisClient, prefixes: t.Sequence[str]) -> Copied:
    """Copy all keys in scope: queues and sets are added to, of the rest only what the target lacks is copied."""
    result = Copied()
    source.raw = target.raw = True
    for database in databases(source.command("INFO", "keyspace").decode()):
        target.command("SELECT", database)
        for portion in scan(source, database, prefixes):
            others = []
            for key, kind in portion:
                if kind == b"list":
                    result.queues[f"{database}/{text(key)}"] = copy_list(source, target, key)
                    result.keys += 1
                elif kind == b"set":
                    target.command("SADD", key, *source.command("SMEMBERS", key))
                    result.keys += 1
                else:
                    if kind == b"hash" and is_unacked(key):
                        result.unacked += source.command("HLEN", key)
                    others.append(key)
            for start in range(0, len(others), CHUNK):
                copy_others(source, target, others[start : start + CHUNK], result)
    return result
