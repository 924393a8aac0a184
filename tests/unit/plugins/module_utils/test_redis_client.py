# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t

import pytest

from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc


@contextlib.contextmanager
def server(*replies: bytes) -> t.Iterator[int]:
    """Listen on a port, send one reply for each request, then hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, unused = listener.accept()
            with connection:
                for reply in replies:
                    connection.recv(65536)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_encode() -> None:
    """Lengths are in bytes."""
    assert rc.encode(["SET", "ä", 1]) == b"*3\r\n$3\r\nSET\r\n$2\r\n\xc3\xa4\r\n$1\r\n1\r\n"


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (b"+OK\r\n", "OK"),
        (b":12\r\n", 12),
        (b"$5\r\nhello\r\n", "hello"),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", ["a", [1]]),
    ],
)
def test_replies(reply: bytes, value: t.Any) -> None:
    """Every kind that Redis sends."""
    with server(reply) as port, rc.RedisClient("127.0.0.1", port) as client:
        assert client.command("X") == value


def test_errors_are_raised_also_from_within_a_transaction() -> None:
    """EXEC itself succeeds."""
    with server(b"*2\r\n+OK\r\n-ERR no\r\n") as port, rc.RedisClient("127.0.0.1", port) as client:
        with pytest.raises(rc.ReplyError, match="ERR no"):
            client.command("EXEC")


def test_a_closed_port_is_told_from_a_lost_connection() -> None:
    """The first means that the host lives and is empty."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(rc.Unavailable) as caught:
        rc.open_client("127.0.0.1", port, "admin", ["x"])
    assert caught.value.reason == rc.REFUSED
    with server(b"") as port, rc.RedisClient("127.0.0.1", port) as client, pytest.raises(rc.Unavailable) as lost:
        client.command("PING")
    assert lost.value.reason == rc.TIMEOUT


def test_the_previous_password_is_tried() -> None:
    """While passwords change, either may be the valid one."""
    with server(b"-WRONGPASS no\r\n", b"+OK\r\n", b"+PONG\r\n") as port:
        rc.open_client("127.0.0.1", port, "admin", ["new-one", "old-one"]).close()


def test_a_refused_password_is_not_waited_for() -> None:
    """Nor is it ever taken for a host that is not there."""
    with server(b"-WRONGPASS no\r\n") as port, pytest.raises(rc.Unavailable) as caught:
        rc.open_client("127.0.0.1", port, "admin", ["new-one", ""], wait=30)
    assert caught.value.reason == rc.DENIED


def test_info_and_its_replicas() -> None:
    """The one reply that is text."""
    info = rc.parse_info("# Replication\r\nrole:master\r\nconnected_slaves:1\r\nslave0:ip=192.0.2.2,port=6379,state=online,offset=7,lag=0\r\n")
    assert info["role"] == "master"
    assert rc.replicas(info) == [{"ip": "192.0.2.2", "port": "6379", "state": "online", "offset": "7", "lag": "0"}]


def test_pairs() -> None:
    """As CONFIG GET replies."""
    assert rc.pairs(["a", "1", "b", "2"]) == {"a": "1", "b": "2"}
