# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import ssl
import time
import typing as t

# Reasons why a node gave no answer; "refused" means that its host lives and nothing listens there, "tls" that one of
# the two does not trust the other's certificate, or that only one of them speaks TLS.
REFUSED = "refused"
TIMEOUT = "timeout"
DENIED = "denied"
TLS = "tls"
ERROR = "error"

# Files by name: ca_path, certificate_path, key_path. Empty without TLS.
TlsFiles: t.TypeAlias = "t.Mapping[str, str] | None"

_DENIED_CODES = ("WRONGPASS", "NOAUTH", "NOPERM", "DENIED")


class ReplyError(Exception):
    """An error that the server replied."""

    @property
    def code(self) -> str:
        """Return the first word of the error, such as C(NOAUTH)."""
        return str(self).split(" ", 1)[0]


class Unavailable(Exception):
    """A server that cannot be used; ``reason`` names in one word why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RedisClient:
    """The few lines of the Redis protocol that the modules need.

    It depends on Python alone, so that a host can be asked about before any package is installed on it.

    :param host: address of the server, or the path of its socket on this host.
    :param tls: files on this host with which the server is verified and this side proves itself; no TLS without them.
    """

    def __init__(self, host: str, port: int, timeout: float = 2.0, tls: TlsFiles = None) -> None:
        self.host = host
        self.port = port
        self.timeout = timeout
        # Whether values are returned as they are, in bytes, instead of as text.
        self.raw = False
        try:
            self._socket = connect(host, port, timeout)
        except ConnectionRefusedError as exc:
            raise Unavailable(REFUSED, f"{self.name}: nothing listens there") from exc
        except OSError as exc:
            raise Unavailable(TIMEOUT, f"{self.name}: {exc}") from exc
        if tls and not host.startswith("/"):
            self._socket = self._secured(tls)
        self._reader = self._socket.makefile("rb")

    def _secured(self, tls: t.Mapping[str, str]) -> ssl.SSLSocket:
        """Speak TLS on the connection, with a server whose certificate is for the address that it connects to."""
        try:
            return client_context(tls).wrap_socket(self._socket, server_hostname=self.host)
        except OSError as exc:
            self._socket.close()
            raise self._lost(exc) from exc

    def _lost(self, exc: OSError) -> Unavailable:
        """Explain why a connection cannot be used."""
        if isinstance(exc, ssl.SSLError) and not isinstance(exc, TimeoutError):
            return Unavailable(TLS, f"{self.name}: TLS fails: {tls_message(exc)}")
        if isinstance(exc, FileNotFoundError):
            return Unavailable(TLS, f"{self.name}: a file of the certificate is missing on this host")
        return Unavailable(TIMEOUT, f"{self.name}: {exc}")

    def certificate(self) -> bytes:
        """Return the certificate that the server showed, in binary form; nothing without TLS."""
        return self._socket.getpeercert(binary_form=True) or b"" if isinstance(self._socket, ssl.SSLSocket) else b""

    @property
    def name(self) -> str:
        """Return the address for messages."""
        return f"{self.host}:{self.port}"

    def __enter__(self) -> RedisClient:
        return self

    def __exit__(self, *unused: t.Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        try:
            self._reader.close()
            self._socket.close()
        except OSError:
            pass

    def login(self, username: str, passwords: t.Sequence[str]) -> None:
        """Authenticate with the first password that is accepted.

        :raises Unavailable: when none is.
        """
        error: Exception | None = None
        for password in passwords:
            try:
                self.command("AUTH", username, password)
                return
            except ReplyError as exc:
                error = exc
        if error is not None:
            raise Unavailable(DENIED, f"{self.name}: user {username} is refused ({error})")

    def command(self, *argv: t.Any) -> t.Any:
        """Send one command and return its reply.

        :raises ReplyError: when the server replies with an error.
        :raises Unavailable: when the connection breaks or times out.
        """
        return self.transaction([argv])[0]

    def transaction(self, commands: t.Sequence[t.Sequence[t.Any]]) -> list[t.Any]:
        """Send commands in one write and return their replies.

        :raises ReplyError: for the first reply that is an error.
        """
        try:
            self._socket.sendall(b"".join(encode(argv) for argv in commands))
            replies = [self._read() for unused in commands]
        except OSError as exc:
            raise self._lost(exc) from exc
        for reply in replies:
            # EXEC hides the errors of its commands in its reply.
            for part in reply if isinstance(reply, list) else [reply]:
                if isinstance(part, ReplyError):
                    raise part
        return replies

    def _read(self) -> t.Any:
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the connection was closed")
        kind, rest = line[:1], line[1:-2].decode("utf-8", "replace")
        if kind == b"-":
            return ReplyError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            if length < 0:
                return None
            value = self._reader.read(length + 2)[:-2]
            return value if self.raw else value.decode("utf-8", "replace")
        if kind == b"*":
            return [self._read() for unused in range(int(rest))] if int(rest) >= 0 else None
        return rest


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to an address, or to a socket of this host where a path is given."""
    if not host.startswith("/"):
        return socket.create_connection((host, port), timeout)
    local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    local.settimeout(timeout)
    local.connect(host)
    return local


def client_context(tls: t.Mapping[str, str]) -> ssl.SSLContext:
    """Return what a client needs for TLS; its defaults verify the server's certificate and address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=tls["ca_path"])
    if tls.get("certificate_path"):
        context.load_cert_chain(tls["certificate_path"], tls["key_path"])
    return context


def tls_message(exc: ssl.SSLError) -> str:
    """Return the telling part of an error of TLS."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted, {exc.verify_message}"
    reason = (exc.reason or str(exc)).replace("_", " ").lower()
    return "the server does not speak it" if reason in ("wrong version number", "record layer failure") else reason


def speaks(host: str, port: int, with_tls: bool, timeout: float = 2.0) -> bool:
    """Tell whether a Redis or Sentinel listens at an address with TLS, or without; who it is and whether it accepts us is left open."""
    try:
        with socket.create_connection((host, port), timeout) as connection:
            if with_tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                context.wrap_socket(connection).close()
                return True
            connection.sendall(encode(["PING"]))
            return connection.recv(1)[:1] in (b"+", b"-")
    except ssl.SSLError as exc:
        # A server that wants a certificate from us requests it in TLS.
        return "alert" in str(exc).lower() and "certificate" in str(exc).lower()
    except OSError:
        return False


def encode(argv: t.Sequence[t.Any]) -> bytes:
    """Return a command in the protocol's form."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in argv]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def pairs(flat: t.Sequence[t.Any]) -> dict[str, t.Any]:
    """Turn a flat reply of names and values into a dictionary."""
    return dict(zip(flat[::2], flat[1::2]))


def parse_clients(listing: str) -> list[dict[str, str]]:
    """Return the fields of each connection in a C(CLIENT LIST) reply."""
    return [dict(word.partition("=")[::2] for word in line.split()) for line in listing.splitlines() if line.strip()]


def parse_info(text: str) -> dict[str, str]:
    """Return the fields of an C(INFO) reply."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))


def replicas(info: dict[str, str]) -> list[dict[str, str]]:
    """Return the replicas that a master lists in C(INFO replication)."""
    found = []
    for index in range(int(info.get("connected_slaves", 0))):
        fields = info.get(f"slave{index}", "")
        found.append(dict(part.split("=", 1) for part in fields.split(",") if "=" in part))
    return found


def open_client(
    host: str, port: int, username: str, passwords: t.Sequence[str], timeout: float = 2.0, wait: float = 0, tls: TlsFiles = None
) -> RedisClient:
    """Connect and log in; wait up to ``wait`` seconds for a server that is starting.

    :raises Unavailable: when the server cannot be used in that time.
    """
    end = time.monotonic() + wait
    while True:
        client: RedisClient | None = None
        try:
            client = RedisClient(host, port, timeout, tls)
            client.login(username, [word for word in passwords if word])
            client.command("PING")
            return client
        except (ReplyError, Unavailable) as exc:
            if client:
                client.close()
            reason = failure(exc)
            if reason == DENIED or time.monotonic() >= end:
                raise Unavailable(reason, str(exc) if isinstance(exc, Unavailable) else f"{host}:{port}: {exc}") from exc
        time.sleep(0.25)


def failure(exc: Exception) -> str:
    """Return the reason for a failure in one word."""
    if isinstance(exc, Unavailable):
        return exc.reason
    if isinstance(exc, ReplyError) and exc.code in _DENIED_CODES:
        return DENIED
    return ERROR
