# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the configuration module with TLS and connects to servers of several kinds with it."""

from __future__ import annotations

import contextlib
import importlib.util
import pathlib
import socket
import ssl
import threading

import pytest
from ansible_collections.multinode.celery.plugins.plugin_utils import tls
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

_SPEC = importlib.util.spec_from_file_location("celeryconfig_tests", pathlib.Path(__file__).with_name("test_celeryconfig.py"))
plain = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(plain)


def files(directory: pathlib.Path, ca: tls.CertificateAuthority, trusted: tls.CertificateAuthority, *names: str) -> dict[str, str]:
    """Make what a host has: a key, a certificate for its names, and the CA that it trusts."""
    directory.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    texts = {
        "host.key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        "host.pem": tls.issue(ca, tls.public_pem(key), names, 1),
        "ca.pem": trusted.certificate,
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
    return {name: str(directory / name) for name in texts}


@contextlib.contextmanager
def server(host: dict[str, str]):
    """Listen with the certificate of a host; whoever has none of its CA is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(host["host.pem"], host["host.key"])
    context.load_verify_locations(host["ca.pem"])
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    connection, unused = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                    secured.sendall(b"seen")

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        # Closing alone does not wake the thread.
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def ca():
    return tls.new_ca("cluster", 2)


@pytest.fixture(scope="module")
def own(tmp_path_factory, ca):
    return files(tmp_path_factory.mktemp("own") / "host", ca, ca, "cpu-1", "127.0.0.1")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, own):
    variables = {"cluster_tls_ca_path": own["ca.pem"], "cluster_tls_certificate_path": own["host.pem"], "cluster_tls_key_path": own["host.key"]}
    return plain.render(tmp_path_factory.mktemp("rendered"), cluster_tls_enabled=True, **variables)


def connect(rendered: pathlib.Path, port: int, **environment: str) -> str:
    """Connect to a server as every program of the environment does."""
    code = f"""
import redis
app.conf.broker_url
connection = redis.SSLConnection(host="127.0.0.1", port={port}, socket_timeout=5, **app.conf.broker_use_ssl)
try:
    answer = connection._connect().recv(9).decode()
except OSError as error:
    answer = str(error)
"""
    return str(plain.settings(rendered, "answer", code, **environment))


def test_the_own_host_is_reached(rendered, own):
    with server(own) as port:
        assert connect(rendered, port) == "seen"


def test_a_certificate_of_another_ca_is_refused(rendered, tmp_path):
    unlisted = tls.new_ca("unlisted", 2)
    with server(files(tmp_path / "host", unlisted, unlisted, "broker-1", "127.0.0.1")) as port:
        assert "certificate verify failed" in connect(rendered, port)


def test_a_certificate_for_another_address_is_refused(rendered, ca, tmp_path):
    with server(files(tmp_path / "host", ca, ca, "broker-1", "127.0.0.2")) as port:
        assert "IP address mismatch" in connect(rendered, port)


def test_a_ca_of_the_system_is_not_trusted(rendered, tmp_path):
    unlisted = tls.new_ca("unlisted", 2)
    host = files(tmp_path / "host", unlisted, unlisted, "broker-1", "127.0.0.1")
    code = "import ssl\nimport celeryconfig\nnumber = len(ssl.create_default_context().get_ca_certs())"
    assert plain.settings(rendered, "number", code, SSL_CERT_FILE=host["ca.pem"]) == 1
    with server(host) as port:
        assert "certificate verify failed" in connect(rendered, port, SSL_CERT_FILE=host["ca.pem"])


def test_a_server_of_the_application_is_verified_as_ever(rendered):
    code = """
import ssl
app.conf.broker_url
import redis
seen = []
ssl.create_default_context = lambda: seen.append("default") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
try:
    redis.SSLConnection(host="127.0.0.1")._wrap_socket_with_ssl(None)
except AttributeError:
    pass
"""
    assert plain.settings(rendered, "seen", code) == ["default"]


def test_each_way_to_the_brokers_is_encrypted(rendered, own):
    code = """
from redbeat.schedulers import ensure_conf, get_redis
channel = app.connection_for_write().transport.Channel
class Probe(channel):
    connection = app.connection_for_write()
    connection.client = connection
    def __init__(self):
        pass
pools = {
    "broker": Probe()._connparams(),
    "results": app.backend.connparams,
    "schedule": get_redis(app).connection_pool.connection_kwargs,
    "sentinels": app.conf.broker_transport_options["sentinel_kwargs"],
    "sentinels of results": app.conf.result_backend_transport_options["sentinel_kwargs"],
    "sentinels of the schedule": app.conf.redbeat_redis_options["sentinel_kwargs"],
}
kinds = {name: pool["connection_class"] for name, pool in pools.items() if "connection_class" in pool}
kinds["schedule"] = get_redis(app).connection_pool.connection_class
import redis
answer = {
    "files": sorted({(p["ssl_ca_certs"], p["ssl_certfile"], p["ssl_keyfile"], p["ssl_check_hostname"]) for p in pools.values()}),
    "kinds": {name: issubclass(kind, redis.SSLConnection) for name, kind in kinds.items()},
    "sentinels": [pool["ssl"] for name, pool in pools.items() if name.startswith("sentinels")],
}
"""
    answer = plain.settings(rendered, "answer", code)
    assert answer["files"] == [[own["ca.pem"], own["host.pem"], own["host.key"], True]]
    assert answer["kinds"] == {"broker": True, "results": True, "schedule": True}
    assert answer["sentinels"] == [True] * 3


def test_nothing_of_it_is_there_without(tmp_path):
    plain.render(tmp_path, cluster_tls_enabled=False)
    assert "ssl" not in (tmp_path / "celeryconfig.py").read_text().lower()
    assert plain.settings(tmp_path, "[app.conf.broker_use_ssl, app.conf.redis_backend_use_ssl]") == [False, None]
