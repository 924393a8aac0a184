# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake of a Redis or a Sentinel on the loopback interface: real clients talk to it, and it holds what a test looks at."""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import socket
import socketserver
import threading
import typing as t

IMMUTABLE = "CONFIG SET failed (possibly related to argument '{0}') - can't set immutable config"


class Failure(Exception):
    """An error that the server replies."""


def encoded(value: t.Any) -> bytes:
    """Return a reply as the protocol has it; a mapping and a float are of version 3, which redis-py speaks."""
    if isinstance(value, Failure):
        return f"-{value}\r\n".encode()
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, bool):
        return b"+OK\r\n"
    if isinstance(value, int):
        return f":{value}\r\n".encode()
    if isinstance(value, float):
        return f",{value}\r\n".encode()
    if isinstance(value, dict):
        return f"%{len(value)}\r\n".encode() + b"".join(encoded(entry) for pair in value.items() for entry in pair)
    if isinstance(value, (list, tuple)):
        return f"*{len(value)}\r\n".encode() + b"".join(encoded(entry) for entry in value)
    data = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


class Connection(socketserver.StreamRequestHandler):
    """One client."""

    def handle(self) -> None:
        fake = t.cast(Server, self.server).fake
        user, queued = "", None
        while not fake.away:
            argv = self._argv()
            if not argv or fake.away:
                return
            name = argv[0].upper()
            fake.commands.append(argv)
            if name == "AUTH":
                accepted = fake.passwords.get(argv[1]) == argv[2]
                user, reply = (argv[1], True) if accepted else (user, Failure("WRONGPASS invalid username-password pair"))
            elif fake.passwords and not user:
                reply = Failure("NOAUTH Authentication required.")
            elif name == "MULTI":
                queued, reply = [], True
            elif name == "EXEC":
                reply, queued = [fake.reply(one) for one in queued or []], None
            elif queued is not None:
                queued.append(argv)
                reply = "QUEUED"
            else:
                reply = fake.reply(argv)
            self.wfile.write(encoded(reply))

    def _argv(self) -> list[str]:
        try:
            head = self.rfile.readline()
            argv = []
            for _number in range(int(head[1:] or 0)):
                length = int(self.rfile.readline()[1:])
                argv.append(self.rfile.read(length + 2)[:-2].decode())
            return argv
        except (OSError, ValueError):
            return []


class Server(socketserver.ThreadingTCPServer):
    """The listening socket, which knows its connections so that they can be cut."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, fake: FakeRedis) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.fake = fake
        self.open: list[socket.socket] = []

    def process_request(self, request: t.Any, client_address: t.Any) -> None:
        self.open.append(request)
        super().process_request(request, client_address)


class FakeRedis:
    """The state of a server and the few commands that the tests need; ``commands`` has each one that came."""

    def __init__(self, passwords: dict[str, str] | None = None) -> None:
        self.passwords = passwords or {}
        self.commands: list[list[str]] = []
        #: While it is true every connection ends, as with a broker that is gone.
        self.away = False
        self.strings: dict[str, str] = {}
        self.hashes: dict[str, dict[str, str]] = {}
        self.scores: dict[str, dict[str, float]] = {}
        self.lists: dict[str, list[str]] = {}
        self.settings: dict[str, str] = {}
        #: Settings that the server takes over only at its start.
        self.immutable: set[str] = set()
        #: Rules of the ACL users as the server lists them.
        self.users: dict[str, list[str]] = {}
        self.info = {"server": {"process_id": str(os.getpid())}, "replication": {"role": "master", "connected_slaves": "0"}, "keyspace": {}}
        #: What a Sentinel knows of each master, and its own settings.
        self.masters: dict[str, dict[str, str]] = {}
        self.sentinel_settings: dict[str, str] = {}
        self._server = Server(self)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> FakeRedis:
        return self

    def __exit__(self, *_exc: t.Any) -> None:
        self.leave()
        self._server.shutdown()
        self._server.server_close()

    def leave(self) -> None:
        """End every connection, and each new one at once."""
        self.away = True
        for one in self._server.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._server.open.clear()

    def come_back(self) -> None:
        self.away = False

    def sent(self, *start: str) -> list[list[str]]:
        """The commands that came and begin with these words."""
        return [argv for argv in self.commands if [word.upper() for word in argv[: len(start)]] == [word.upper() for word in start]]

    def reply(self, argv: list[str]) -> t.Any:
        """Execute one command."""
        name = "_".join(word.lower() for word in argv[:2]) if argv[0].upper() in ("CONFIG", "ACL", "SENTINEL", "CLIENT") else argv[0].lower()
        command: c.Callable[..., t.Any] | None = getattr(self, f"do_{name.replace('-', '_')}", None)
        if command is None:
            return Failure(f"ERR unknown command '{' '.join(argv)}'")
        try:
            return command(*argv[2 if "_" in name else 1 :])
        except Failure as failure:
            return failure

    def do_hello(self, version: str, *_argv: str) -> dict[str, t.Any]:
        return {"server": "redis", "version": "7.4.0", "proto": int(version), "role": "master", "modules": []}

    def do_ping(self) -> str:
        return "PONG"

    def do_select(self, _number: str) -> bool:
        return True

    def do_client_setinfo(self, *_argv: str) -> bool:
        return True

    def do_client_setname(self, *_argv: str) -> bool:
        return True

    def do_info(self, section: str = "") -> str:
        sections = [section] if section else list(self.info)
        return "".join(f"# {name}\r\n" + "".join(f"{key}:{value}\r\n" for key, value in self.info[name].items()) for name in sections)

    def do_hset(self, key: str, field: str, value: str) -> int:
        self.hashes.setdefault(key, {})[field] = value
        return 1

    def do_hget(self, key: str, field: str) -> str | None:
        return self.hashes.get(key, {}).get(field)

    def do_hdel(self, key: str, field: str) -> int:
        return int(self.hashes.get(key, {}).pop(field, None) is not None)

    def do_zadd(self, key: str, score: str, member: str) -> int:
        self.scores.setdefault(key, {})[member] = float(score)
        return 1

    def do_zrem(self, key: str, member: str) -> int:
        return int(self.scores.get(key, {}).pop(member, None) is not None)

    def do_zrange(self, key: str, most: str, least: str, *_options: str) -> list[list[t.Any]]:
        return [[member, score] for member, score in self.scores.get(key, {}).items() if float(least) <= score <= float(most)]

    def do_rpush(self, key: str, value: str) -> int:
        self.lists.setdefault(key, []).append(value)
        return len(self.lists[key])

    def do_lpush(self, key: str, value: str) -> int:
        self.lists.setdefault(key, []).insert(0, value)
        return len(self.lists[key])

    def do_watch(self, *_keys: str) -> bool:
        return True

    def do_unwatch(self) -> bool:
        return True

    def do_set(self, key: str, value: str, *_options: str) -> bool:
        self.strings[key] = value
        return True

    def do_evalsha(self, _digest: str, _count: str, key: str, *_argv: str) -> int:
        """The release of a lock is the only script."""
        self.strings.pop(key, None)
        return 1

    def do_config_get(self, _pattern: str) -> list[str]:
        return [word for pair in self.settings.items() for word in pair]

    def do_config_set(self, *argv: str) -> bool:
        pairs = dict(zip(argv[::2], argv[1::2], strict=True))
        for name in pairs:
            if name in self.immutable:
                raise Failure("ERR " + IMMUTABLE.format(name))
        self.settings.update(pairs)
        return True

    def do_acl_list(self) -> list[str]:
        return [" ".join(["user", name, *rules]) for name, rules in self.users.items()]

    def do_acl_setuser(self, name: str, *rules: str) -> bool:
        for rule in rules:
            if rule == "reset":
                self.users[name] = ["off"]
            elif rule in ("on", "off"):
                self.users[name] = [rule, *[one for one in self.users[name] if one not in ("on", "off")]]
            else:
                self.users[name].append(rule)
        return True

    def do_acl_deluser(self, *names: str) -> int:
        return len([self.users.pop(name) for name in names if name in self.users])

    def do_sentinel_get_master_addr_by_name(self, name: str) -> list[str] | None:
        return [self.masters[name]["ip"], self.masters[name]["port"]] if name in self.masters else None

    def do_sentinel_monitor(self, name: str, address: str, port: str, quorum: str) -> bool:
        self.masters[name] = {"ip": address, "port": port, "quorum": quorum, "flags": "master"}
        return True

    def do_sentinel_master(self, name: str) -> list[str]:
        if name not in self.masters:
            raise Failure("ERR No such master with that name")
        return [word for pair in self.masters[name].items() for word in pair]

    def do_sentinel_ckquorum(self, _name: str) -> str:
        return "OK 1 usable Sentinels. Quorum and failover authorization can be reached"

    def do_sentinel_sentinels(self, _name: str) -> list[str]:
        return []

    def do_sentinel_replicas(self, _name: str) -> list[str]:
        return []

    def do_sentinel_set(self, name: str, *argv: str) -> bool:
        self.masters[name].update(zip(argv[::2], argv[1::2], strict=True))
        return True

    def do_sentinel_config(self, verb: str, *argv: str) -> t.Any:
        if verb.upper() == "GET":
            return [word for pair in self.sentinel_settings.items() for word in pair]
        self.sentinel_settings[argv[0]] = argv[1]
        return True
