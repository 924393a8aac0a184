# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.plugin_utils import tls
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


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
    with server(b"*2\r\n+OK\r\n-ERR no\r\n") as port, rc.RedisClient("127.0.0.1", port) as client, pytest.raises(rc.ReplyError, match="ERR no"):
        client.command("EXEC")


def test_a_closed_port_is_distinguished_from_a_lost_connection() -> None:
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


def test_fields_of_connections() -> None:
    """A value may be empty or hold an equals sign."""
    listing = "id=7 addr=192.0.2.21:50312 name=a=b lib-name=\n\nid=8 addr=/run/redis.sock:0 name=\n"
    assert rc.parse_clients(listing) == [
        {"id": "7", "addr": "192.0.2.21:50312", "name": "a=b", "lib-name": ""},
        {"id": "8", "addr": "/run/redis.sock:0", "name": ""},
    ]


def test_info_and_its_replicas() -> None:
    """The one reply that is text."""
    info = rc.parse_info("# Replication\r\nrole:master\r\nconnected_slaves:1\r\nslave0:ip=192.0.2.2,port=6379,state=online,offset=7,lag=0\r\n")
    assert info["role"] == "master"
    assert rc.replicas(info) == [{"ip": "192.0.2.2", "port": "6379", "state": "online", "offset": "7", "lag": "0"}]


def test_pairs() -> None:
    """As CONFIG GET replies."""
    assert rc.pairs(["a", "1", "b", "2"]) == {"a": "1", "b": "2"}


def certificate(directory: t.Any, ca: t.Any, name: str) -> dict[str, str]:
    """Write the files of a host with a certificate for one name."""
    key = ec.generate_private_key(ec.SECP256R1())
    texts = {
        "ca_path": ca.certificate,
        "certificate_path": tls.issue(ca, tls.public_pem(key), [name], 1),
        "key_path": key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
    }
    directory.mkdir()
    for kind, text in texts.items():
        (directory / kind).write_text(text)
    return {kind: str(directory / kind) for kind in texts}


@contextlib.contextmanager
def tls_server(files: dict[str, str]) -> t.Iterator[int]:
    """Answer PING by TLS to whoever shows a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["certificate_path"], files["key_path"])
    context.load_verify_locations(files["ca_path"])
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, unused = listener.accept()
            connection.settimeout(5)
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                while secured.recv(65536):
                    secured.sendall(b"+PONG\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


@pytest.fixture(name="cluster")
def cluster_fixture(tmp_path: t.Any) -> dict[str, dict[str, str]]:
    """Files of a server, of a client, of a server at another address, and of an unlisted host's CA."""
    ours, theirs = tls.new_ca("ours", 1), tls.new_ca("theirs", 1)
    return {
        "server": certificate(tmp_path / "server", ours, "127.0.0.1"),
        "client": certificate(tmp_path / "client", ours, "127.0.0.9"),
        "elsewhere": certificate(tmp_path / "elsewhere", ours, "127.0.0.2"),
        "unlisted": certificate(tmp_path / "unlisted", theirs, "127.0.0.1"),
    }


def test_tls_with_certificates_of_both_sides(cluster: dict[str, dict[str, str]]) -> None:
    """And the certificate that was shown is known."""
    with tls_server(cluster["server"]) as port, rc.RedisClient("127.0.0.1", port, tls=cluster["client"]) as client:
        assert client.command("PING") == "PONG"
        with open(cluster["server"]["certificate_path"], encoding="utf-8") as handle:
            assert client.certificate() == ssl.PEM_cert_to_DER_cert(handle.read())


@pytest.mark.parametrize(("server_files", "message"), [("elsewhere", "not valid for"), ("unlisted", "not accepted")])
def test_a_server_that_is_another_is_refused(cluster: dict[str, dict[str, str]], server_files: str, message: str) -> None:
    """Neither one of ours at another address nor an unlisted host gets a word."""
    with tls_server(cluster[server_files]) as port, pytest.raises(rc.Unavailable, match=message) as caught:
        rc.RedisClient("127.0.0.1", port, tls=cluster["client"])
    assert caught.value.reason == rc.TLS


def test_a_client_without_a_certificate_gets_that_answer(cluster: dict[str, dict[str, str]]) -> None:
    """The server reports it only after the client has spoken."""
    files = {"ca_path": cluster["client"]["ca_path"]}
    with tls_server(cluster["server"]) as port, pytest.raises(rc.Unavailable) as caught, rc.RedisClient("127.0.0.1", port, tls=files) as client:
        client.command("PING")
    assert caught.value.reason in (rc.TLS, rc.TIMEOUT)


def test_a_file_that_is_missing_is_named_as_the_reason(cluster: dict[str, dict[str, str]]) -> None:
    """A host may not have its certificate yet."""
    with tls_server(cluster["server"]) as port, pytest.raises(rc.Unavailable, match="missing on this host") as caught:
        rc.RedisClient("127.0.0.1", port, tls={**cluster["client"], "ca_path": "/nonexistent"})
    assert caught.value.reason == rc.TLS


def test_who_speaks_tls_and_who_does_not(cluster: dict[str, dict[str, str]]) -> None:
    """Without any certificate of ours."""
    with tls_server(cluster["server"]) as port:
        assert rc.speaks("127.0.0.1", port, with_tls=True)
    with tls_server(cluster["server"]) as port:
        assert not rc.speaks("127.0.0.1", port, with_tls=False)
    with server(b"-NOAUTH no\r\n") as port:
        assert rc.speaks("127.0.0.1", port, with_tls=False)
    with server(b"-ERR no\r\n") as port:
        assert not rc.speaks("127.0.0.1", port, with_tls=True)
