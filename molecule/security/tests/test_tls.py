"""TLS of Redis and Sentinel: who connects with which certificate, whom the clients trust, and renewal under load.

Hosts of the cluster ask each other, because a firewall may keep the control machine out.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import time

import pytest
from lab.hosts import wait_until
from lab.load import Load, Stream

FILES = "/etc/multinode-tls"
# A certificate of an authority that nobody here trusts lies there while the tests run.
FOREIGN = "/var/tmp/foreign-tls"
REDIS_PORT, SENTINEL_PORT = 6380, 26379
# What a worker may wait for while a certificate is replaced; nothing has to be elected.
GAP_SECONDS = 10
# Runs on a host: what each port answers to a client without TLS, without a certificate, with one of another CA, and with the host's.
CONNECT = """
import json, socket, ssl, sys

def answer(address, port, certificate, key):
    try:
        with socket.create_connection((address, port), 5) as connection:
            if certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations("FILES/ca.pem")
                if certificate:
                    context.load_cert_chain(certificate, key)
                connection = context.wrap_socket(connection, server_hostname=address)
            connection.sendall(b"PING\\r\\n")
            return "answered " + connection.recv(100).decode(errors="replace").strip()
    except OSError as error:
        return f"{type(error).__name__}: {error}"

clients = {"plain": (None, ""), "nameless": ("", ""), "foreign": ("FOREIGN/host.pem", "FOREIGN/host.key"), "own": ("FILES/host.pem", "FILES/host.key")}
print(json.dumps([[*place, name, answer(*place, *files)] for place in json.load(sys.stdin) for name, files in clients.items()]))
""".replace("FILES", FILES).replace("FOREIGN", FOREIGN)
# Runs on a host: each client connects to an impostor on this host, whose certificate is for the address it connects to but of another
# authority, and then the real server. An impostor that was trusted would have got a user and a password.
IMPOSTOR = """
import json, socket, ssl, sys, threading, time

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("FOREIGN/host.pem", "FOREIGN/host.key")
listener = socket.create_server(("127.0.0.1", 0))
reported = []

def deceive():
    while True:
        connection, _address = listener.accept()
        connection.settimeout(5)
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                reported.append(["believed", secured.recv(100).decode(errors="replace")])
        except OSError as error:
            reported.append(["refused", str(error)])

threading.Thread(target=deceive, daemon=True).start()

def outcome(client, *words):
    try:
        return ["ok", str(client(*words))]
    except Exception as error:
        return [type(error).__name__, str(error)[:300]]

def try_all(clients):
    answers = {}
    for name, (client, address, port) in clients.items():
        reported.clear()
        mistaken = outcome(client, "127.0.0.1", listener.getsockname()[1])
        end = time.time() + 5
        while not reported and time.time() < end:
            time.sleep(0.05)
        answers[name] = {"mistaken": mistaken, "reported": list(reported), "real": outcome(client, address, port)}
    print(json.dumps(answers))

sentinel, broker_address, ports = json.load(sys.stdin)
""".replace("FOREIGN", FOREIGN)
PROGRAMS = """
import celeryconfig, redis
from celery import Celery
from urllib.parse import urlsplit

def application(address, port, **settings):
    app = Celery("impostor", set_as_current=False)
    app.config_from_object("celeryconfig")
    url = urlsplit(celeryconfig.broker_url.split(";")[0])
    app.conf.broker_url = app.conf.result_backend = url._replace(netloc=f"{url.netloc.rpartition('@')[0]}@{address}:{port}").geturl()
    app.conf.redbeat_redis_options = {**app.conf.redbeat_redis_options, "sentinels": [(address, port)]}
    return app

def broker(address, port):
    with application(address, port).connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
        return connection.default_channel.client.ping()

def results(address, port):
    app = application(address, port)
    return app.backend.client.ping()

def schedule(address, port):
    from redbeat.schedulers import get_redis
    return get_redis(application(address, port)).ping()

def master(address, port):
    url = urlsplit(celeryconfig.broker_url.split(";")[0])
    from urllib.parse import unquote
    options = {**celeryconfig.broker_use_ssl, "socket_timeout": 5, "retry": celeryconfig.broker_transport_options["sentinel_kwargs"]["retry"]}
    return redis.Redis(host=address, port=port, ssl=True, username=unquote(url.username), password=unquote(url.password), **options).ping()

try_all({
    "broker": (broker, sentinel, ports[1]),
    "results": (results, sentinel, ports[1]),
    "schedule": (schedule, sentinel, ports[1]),
    "master": (master, broker_address, ports[0]),
})
"""
WATCHDOG = """
sys.path.insert(0, "/usr/local/lib/celery-watchdog")
import multinode_watchdog

def watchdog(address, port):
    with open("/etc/celery/proj/watchdog.json") as file:
        settings = json.load(file)
    answer = multinode_watchdog.backlogs({**settings, "sentinels": [address], "sentinel_port": port}, ["default"])
    if answer is None:
        raise RuntimeError("no answer")
    return answer

def module(address, port):
    client = multinode_watchdog.redis
    with open("/etc/celery/proj/watchdog.json") as file:
        files = json.load(file)["tls"]
    try:
        client.RedisClient(address, port, 5.0, files).command("PING")
    except client.ReplyError as error:
        return error

try_all({"watchdog": (watchdog, sentinel, ports[1]), "module": (module, broker_address, ports[0])})
"""
QUEUES = """
sys.path.insert(0, "/usr/local/lib/celery-exporter")
import celeryconfig
from multinode_queues import broker_of, open_master

def queues(address, port):
    with open_master(broker_of(celeryconfig)._replace(sentinels=[(address, port)])) as client:
        return client.ping()

try_all({"queues": (queues, sentinel, ports[1])})
"""
COMMANDS = """
import subprocess

def guard(address, port):
    # The function of the boot guard as it is deployed, but for the port.
    script = "eval \\"$(sed -n '/^ask()/,/^}/p' /usr/local/lib/redis-broker/boot-guard | sed 's/-p [0-9]*/-p PORT/')\\"; ask ADDRESS"
    script = "export REDISCLI_AUTH=$(cat /etc/redis-broker/boot-guard.secret); " + script.replace("PORT", str(port)).replace("ADDRESS", address)
    answer = subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout.strip()
    if not answer:
        raise RuntimeError("no answer")
    return answer

try_all({"guard": (guard, sentinel, ports[1])})
"""
EXPORTERS = """
import urllib.request

def exporter(own_port):
    def scrape(address, port):
        url = f"http://127.0.0.1:{own_port}/scrape?target=rediss://{address}:{port}"
        text = urllib.request.urlopen(url, timeout=20).read().decode()
        if "\\nredis_up 1" not in text:
            raise RuntimeError("redis_up is not 1")
        return "redis_up 1"
    return scrape

try_all({"redis_exporter": (exporter(9121), broker_address, ports[0]), "sentinel_exporter": (exporter(9122), sentinel, ports[1])})
"""


def run(lab, host: str, code: str, question: object, *argv: str) -> object:
    """Run Python code on a host and return what it prints."""
    command = ["docker", "exec", "--interactive", lab.container(host), *argv, *([] if argv else ["python3"]), "-c", code]
    done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def as_celery(python: str) -> list[str]:
    """Run Python as the programs of Celery do."""
    return ["runuser", "-u", "celery", "--", "env", "-C", "/", "PYTHONPATH=/etc/celery/proj", "PYTHONDONTWRITEBYTECODE=1", python]


@pytest.fixture(name="worker", scope="module")
def _worker(lab):
    return lab.group("workers")[0]


@pytest.fixture(name="foreign", scope="module", autouse=True)
def _foreign(lab, worker):
    """Have the certificate of another authority on a host of each kind, for the address of an impostor there."""
    if not lab.tls:
        # The scenario states how many tests must pass.
        pytest.skip("the brokers of this inventory speak no TLS, there is nothing to test")
    make = "openssl req -x509 -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    command = (
        f"mkdir -p {FOREIGN} && cd {FOREIGN} && {make} -subj /CN=foreign -keyout ca.key -out ca.pem"
        f" && {make} -CA ca.pem -CAkey ca.key -subj /CN={worker} -addext subjectAltName=IP:127.0.0.1,DNS:{worker} -keyout host.key -out host.pem"
        f" && chmod 0755 {FOREIGN} && chmod 0644 host.key host.pem"
    )
    hosts = {worker, lab.group("brokers")[0], lab.group("monitoring")[0]}
    for host in hosts:
        lab.run(host, command)
    yield
    for host in hosts:
        lab.run(host, f"rm -r {FOREIGN}")


@pytest.fixture(name="question", scope="module")
def _question(lab):
    """Where the real servers are."""
    address = lab.address(lab.sentinel_master())
    return [address, address, [REDIS_PORT, SENTINEL_PORT]]


def test_brokers_listen_on_no_other_port(lab):
    for host in lab.group("brokers"):
        lines = [line for line in lab.run(host, "ss -ltnpH").splitlines() if "redis" in line]
        places = {line.split()[3].rpartition(":") for line in lines}
        assert {int(port) for _address, _colon, port in places} == {REDIS_PORT, SENTINEL_PORT}, (host, places)
        assert lab.address(host) in {address for address, _colon, _port in places}


def test_only_a_certificate_of_the_cluster_is_accepted(lab, worker):
    places = [[lab.address(host), port] for host in lab.group("brokers") for port in (REDIS_PORT, SENTINEL_PORT)]
    answers = {(address, port, client): answer for address, port, client, answer in run(lab, worker, CONNECT, places)}
    assert len(answers) == 4 * len(places)
    for (address, port, client), answer in answers.items():
        # Accepted, and asked for a password next.
        expected = answer.startswith("answered -NOAUTH") if client == "own" else "NOAUTH" not in answer and "PONG" not in answer
        assert expected, (address, port, client, answer)
        # Refused by the server while its port is open; the reason is lost where the server closes before it sends its answer.
        assert client == "own" or answer.startswith(("SSLError", "SSLEOFError", "ConnectionResetError", "BrokenPipeError")), (address, port, client, answer)


def test_the_plain_port_is_closed(lab, worker):
    places = [[lab.address(host), 6379] for host in lab.group("brokers")]
    answers = run(lab, worker, CONNECT, places)
    assert {(address, port) for address, port, _client, _answer in answers} == {tuple(place) for place in places}
    for address, port, client, answer in answers:
        assert "refused" in answer.lower() or "timed out" in answer.lower(), (address, port, client, answer)


@pytest.mark.parametrize(
    ("group", "code", "expected"),
    [
        ("workers", PROGRAMS, {"broker", "results", "schedule", "master"}),
        ("workers", WATCHDOG, {"watchdog", "module"}),
        ("monitoring", QUEUES, {"queues"}),
        ("monitoring", EXPORTERS, {"redis_exporter", "sentinel_exporter"}),
        ("brokers", COMMANDS, {"guard"}),
    ],
    ids=["programs", "watchdog", "queues", "exporters", "guard"],
)
def test_a_man_in_the_middle_is_refused(lab, worker, question, group, code, expected):
    host = worker if group == "workers" else lab.group(group)[0]
    argv = {
        PROGRAMS: as_celery("/opt/celery/proj/current/venv/bin/python"),
        WATCHDOG: as_celery("/usr/bin/python3"),
        QUEUES: as_celery(lab.run(lab.group("monitoring")[0], "ls -d /opt/celery/tools/celery-exporter/releases/*/venv/bin/python").split()[0]),
    }.get(code, [])
    answers = run(lab, host, IMPOSTOR + code, question, *argv)
    assert set(answers) == expected
    for name, answer in answers.items():
        assert answer["real"][0] == "ok", (name, answer)
        assert answer["mistaken"][0] != "ok", (name, answer)
        # The client connected, and sent nothing.
        assert answer["reported"] and all(kind == "refused" for kind, _what in answer["reported"]), (name, answer)


def served(lab, host: str, port: int) -> str:
    """The serial number of the certificate that a server shows."""
    command = f"echo | openssl s_client -connect {lab.address(host)}:{port} 2>/dev/null | openssl x509 -noout -serial"
    return lab.run(host, command, check=False).strip()


def test_certificates_are_renewed_under_load(lab):
    brokers = lab.group("brokers")
    places = [(host, port) for host in brokers for port in (REDIS_PORT, SENTINEL_PORT)]
    before = {place: served(lab, *place) for place in places}
    assert all(text.startswith("serial=") for text in before.values()), before
    ends = ssl.cert_time_to_seconds(lab.run(brokers[0], f"openssl x509 -in {FILES}/host.pem -noout -enddate").strip().partition("=")[2])
    left = int((ends - time.time()) / 86400)
    master = lab.sentinel_master()
    with Load(lab, [Stream("proj.tasks.noop", [], "default", 30)]) as load:
        assert wait_until(lambda: load.accepted() > 60, 30, 0.2) is not None
        renewed = {"tls_certificate_days": left + 20, "tls_renew_before_days": left + 10}
        arguments = ["--tags", "tls,redis,redis_sentinel", "--limit", "brokers,workers,schedulers"]
        lab.playbook("playbooks/site.yml", *arguments, **renewed)
        sent = load.accepted()
        # New connections are made with the new files.
        assert wait_until(lambda: load.accepted() > sent + 60, 30, 0.2) is not None
    result = load.result(settle_seconds=60)
    after = {place: served(lab, *place) for place in places}
    files = {host: lab.run(host, f"openssl x509 -in {FILES}/host.pem -noout -serial").strip() for host in brokers}
    assert after == {(host, port): files[host] for host, port in places}
    assert all(after[place] != before[place] for place in places)
    assert lab.sentinel_master() == master
    assert (result["lost"], result["refused"], result["failed"], result["producers_hanging"]) == (0, 0, 0, 0), result
    assert result["accepted"] > 120
    assert max(result["execution_gap_seconds"], result["producer_gap_seconds"]) < GAP_SECONDS, result
