"""One master that all Sentinels agree on, users that see only their own, and units that run as in their files."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

testinfra_hosts = ["ansible://brokers"]
pytestmark = pytest.mark.usefixtures("control_machine_allowed")
UNITS = ["redis-broker.service", "redis-broker-sentinel.service"]
CONFIG = "/etc/redis-broker"
STATE = "/var/lib/redis-broker"


@pytest.fixture(scope="module")
def inventory():
    """Variables of each broker by name; ANSIBLE_INVENTORY names the inventories."""
    command = [Path(sys.executable).with_name("ansible-inventory"), "--list"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {name: listed["_meta"]["hostvars"][name] for name in listed["brokers"]["hosts"]}


@pytest.fixture(scope="module")
def secrets(inventory):
    """The secrets that all hosts share."""
    return next(iter(inventory.values()))


@pytest.fixture(scope="module")
def addresses(inventory):
    """Address of each broker by name."""
    return {name: variables["ansible_host"] for name, variables in inventory.items()}


SENTINEL_PORT = 26379
# Filled from the lab before the first test: with TLS, the port and the files of one of its hosts.
CONNECTION: dict = {}


@pytest.fixture(scope="module", autouse=True)
def connection(lab, tmp_path_factory):
    """Have the control machine prove itself as one of the hosts, where the brokers want that."""
    CONNECTION.clear()
    CONNECTION.update(port=6379)
    if lab.tls:
        directory = tmp_path_factory.mktemp("tls")
        for name in ("ca.pem", "host.pem", "host.key"):
            (directory / name).write_text(lab.run(lab.group("brokers")[0], f"cat /etc/multinode-tls/{name}"))
        CONNECTION.update(port=6380, ssl=True, ssl_ca_certs=str(directory / "ca.pem"), ssl_check_hostname=True)
        CONNECTION.update(ssl_certfile=str(directory / "host.pem"), ssl_keyfile=str(directory / "host.key"))


def connect(address, user=None, password=None, port=None, database=0, **changes):
    """Connect once, without any retry that would hide an answer."""
    return redis.Redis(
        host=address,
        **{**CONNECTION, **({"port": port} if port else {}), **changes},
        db=database,
        username=user,
        password=password,
        socket_timeout=3,
        socket_connect_timeout=3,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def stripped(address, port):
    """Connect without TLS."""
    return redis.Redis(host=address, port=port, socket_timeout=3, socket_connect_timeout=3, retry=Retry(NoBackoff(), 0))


@pytest.fixture(scope="module")
def sentinels(addresses, secrets):
    """The administrator's connections to all Sentinels."""
    return {name: connect(address, "admin", secrets["vault_sentinel_admin_password"], SENTINEL_PORT) for name, address in addresses.items()}


@pytest.fixture(scope="module")
def servers(addresses, secrets):
    """The administrator's connections to all Redis servers."""
    return {name: connect(address, "admin", secrets["vault_redis_admin_password"]) for name, address in addresses.items()}


@pytest.fixture(scope="module")
def master(servers):
    """The administrator's connection to the master."""
    return next(server for server in servers.values() if server.role()[0] == "master")


@pytest.fixture(scope="module")
def environment(secrets):
    """The environment of the inventory."""
    return secrets["default_environment"] | {"password": secrets["vault_environment_password"]}


@pytest.fixture
def unlisted(master, environment):
    """A user of another environment, with the same rules for another prefix."""
    (line,) = [line for line in master.acl_list() if line.split()[1] == environment["user"]]
    rules = line.replace(environment["key_prefix"], "unlisted:").split()[2:]
    master.execute_command("ACL", "SETUSER", "unlisted", "reset", *[rule for rule in rules if rule[0] != "#"], ">of another world")
    yield connect(master.connection_pool.connection_kwargs["host"], "unlisted", "of another world", database=environment["vhost"])
    master.acl_deluser("unlisted")


def test_one_master_and_the_others_follow_it(servers, sentinels, addresses):
    """Every Redis and every Sentinel names the same."""
    roles = {name: server.role() for name, server in servers.items()}
    masters = [name for name, role in roles.items() if role[0] == "master"]
    assert len(masters) == 1
    own = addresses[masters[0]]
    assert len(roles[masters[0]][2]) == len(addresses) - 1
    assert {(role[1], role[2], role[3]) for role in roles.values() if role[0] != "master"} == {(own, CONNECTION["port"], "connected")}
    assert {sentinel.sentinel_get_master_addr_by_name("celery") for sentinel in sentinels.values()} == {(own, CONNECTION["port"])}


def test_every_sentinel_could_fail_over(sentinels):
    """Each knows all others and all replicas, no more and no less."""
    for sentinel in sentinels.values():
        state = sentinel.sentinel_master("celery")
        assert sentinel.execute_command("SENTINEL", "CKQUORUM", "celery").startswith("OK")
        assert state["num-other-sentinels"] == len(sentinels) - 1
        assert state["num-slaves"] == len(sentinels) - 1
        assert state["quorum"] == len(sentinels) // 2 + 1


def test_an_unauthenticated_client_gets_nothing(addresses):
    """Not even an answer to a ping, from Redis or Sentinel."""
    for address in addresses.values():
        for port in (CONNECTION["port"], SENTINEL_PORT):
            for command in ("PING", "INFO", "CONFIG GET *", "PUBLISH x y"):
                with pytest.raises(redis.RedisError, match=r"(?i)authenticat"):
                    connect(address, port=port).execute_command(*command.split())


def test_who_has_no_certificate_does_not_reach_the_password(addresses, lab):
    """Neither without TLS, nor with TLS and no certificate; whoever has one is asked for the password."""
    assert lab.tls, "the inventory of this scenario is one with TLS"
    for address in addresses.values():
        for port in (CONNECTION["port"], SENTINEL_PORT):
            for client in (stripped(address, port), connect(address, port=port, ssl_certfile=None, ssl_keyfile=None)):
                with pytest.raises(redis.ConnectionError) as refused:
                    client.ping()
                assert not isinstance(refused.value, redis.AuthenticationError)
            with pytest.raises(redis.AuthenticationError):
                connect(address, port=port).ping()
        with pytest.raises(redis.ConnectionError, match="refused"):
            stripped(address, 6379).ping()


def test_an_environment_cannot_touch_another(unlisted, environment):
    """Neither read, write, publish, listen, nor look around."""
    prefix = environment["key_prefix"]
    channel = f"{prefix}/{environment['vhost']}."
    assert unlisted.set("unlisted:key", "value", ex=10)
    assert unlisted.publish("unlisted:/0.celery.pidbox", "x") == 0
    for command in (
        ("GET", f"{prefix}key"),
        ("SET", f"{prefix}key", "value"),
        ("LPUSH", f"{prefix}default", "task"),
        ("BRPOP", f"{prefix}default", 1),
        ("LLEN", f"{prefix}default"),
        ("DEL", f"{prefix}_kombu.binding.celery"),
        ("EVAL", "return redis.call('get', KEYS[1])", 1, f"{prefix}key"),
        ("EVAL", f"return redis.call('get', '{prefix}key')", 0),
        ("PUBLISH", f"{channel}celery.pidbox", "shutdown"),
        ("SUBSCRIBE", f"{channel}celery.pidbox"),
        ("PSUBSCRIBE", f"{channel}celeryev/*"),
        ("PSUBSCRIBE", "*"),
        ("KEYS", "*"),
        ("SCAN", 0),
        ("RANDOMKEY",),
        ("MONITOR",),
        ("FLUSHALL",),
        ("CONFIG", "GET", "masterauth"),
        ("ACL", "LIST"),
        ("CLIENT", "LIST"),
        ("REPLICAOF", "NO", "ONE"),
        ("SHUTDOWN",),
    ):
        with pytest.raises(redis.ResponseError, match=r"(?i)permission|can't access|NOPERM"):
            unlisted.execute_command(*command)


def test_an_environment_may_do_what_celery_and_redbeat_do(master, environment):
    """Chords, remote control, a lock with its scripts, a sorted schedule."""
    address = master.connection_pool.connection_kwargs["host"]
    client = connect(address, environment["user"], environment["password"], database=environment["vhost"])
    prefix = f"{environment['key_prefix']}test:"
    master.acl_log_reset()
    lock = client.lock(f"{prefix}lock", timeout=5)
    assert lock.acquire(blocking=False)
    lock.reacquire()
    lock.extend(5)
    lock.release()
    with client.pipeline() as pipeline:
        pipeline.zadd(f"{prefix}schedule", {"task": 1}).zrangebyscore(f"{prefix}schedule", 0, 2).zrange(f"{prefix}schedule", 0, -1)
        pipeline.hset(f"{prefix}task", mapping={"a": 1}).hgetall(f"{prefix}task").hmget(f"{prefix}task", ["a"]).sadd(f"{prefix}set", "x")
        pipeline.sdiff(f"{prefix}set").delete(f"{prefix}schedule", f"{prefix}task", f"{prefix}set")
        assert pipeline.execute()[1] == ["task"]
    listener = client.pubsub()
    listener.psubscribe(f"{environment['key_prefix']}/{environment['vhost']}.celeryev/worker.*")
    listener.subscribe(f"{environment['key_prefix']}/{environment['vhost']}.celery.pidbox")
    assert listener.get_message(timeout=3)["type"] == "psubscribe"
    listener.close()
    refused = [entry for entry in master.acl_log() if entry["username"] == environment["user"] and "setinfo" not in entry["object"]]
    assert refused == []


def test_a_program_cannot_change_a_sentinel(addresses, secrets):
    """It may ask for the master and no more."""
    client = connect(next(iter(addresses.values())), "celery", secrets["vault_sentinel_client_password"], SENTINEL_PORT)
    assert client.execute_command("SENTINEL", "MASTERS")
    for command in (("FAILOVER", "celery"), ("SET", "celery", "quorum", 1), ("REMOVE", "celery"), ("RESET", "*")):
        with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            client.execute_command("SENTINEL", *command)


def test_monitoring_sees_lengths_and_no_content(master, environment, secrets):
    """An exporter needs no more."""
    address = master.connection_pool.connection_kwargs["host"]
    client = connect(address, "monitoring", secrets["vault_redis_exporter_password"], database=environment["vhost"])
    assert client.llen(f"{environment['key_prefix']}no-such-queue") == 0
    assert client.info("replication")["role"] == "master"
    for command in (("LRANGE", f"{environment['key_prefix']}default", 0, 1), ("CONFIG", "GET", "masterauth"), ("LPUSH", "x", 1)):
        with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            client.execute_command(*command)


def test_a_master_without_replicas_takes_no_task(host, servers, addresses):
    """And whatever it has taken is on disk."""
    server = servers[host.backend.get_hostname()]
    live = server.config_get("*")
    wanted = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "min-replicas-to-write": "1",
        "min-replicas-max-lag": "3",
        "replica-announce-ip": addresses[host.backend.get_hostname()],
        "timeout": "0",
        "tcp-keepalive": "60",
    }
    assert {name: live[name] for name in wanted} == wanted
    persistence = server.info("persistence")
    assert (persistence["aof_enabled"], persistence["aof_last_write_status"]) == (1, "ok")


def test_open_files_of_the_running_processes(host):
    """As many as the unit sets, or as many as this machine can give at all."""
    with host.sudo():
        ceiling = int(host.check_output("awk '/Max open files/ {print $5}' /proc/1/limits"))
        for unit in UNITS:
            pid = host.check_output(f"systemctl show --property MainPID --value {unit}")
            assert int(host.check_output(f"awk '/Max open files/ {{print $4}}' /proc/{pid}/limits")) == min(65536, ceiling)


def test_an_upgrade_cannot_restart_the_brokers(host):
    """The packages are held, and the units that they install cannot run."""
    assert {"redis-server", "redis-sentinel", "redis-tools"} <= set(host.check_output("apt-mark showhold").split())
    assert host.run("systemctl is-enabled redis-server redis-sentinel").stdout.split() == ["masked", "masked"]
    assert host.check_output("systemctl is-active " + " ".join(UNITS)).split() == ["active", "active"]
    assert host.check_output("pgrep -c redis-") == "2"


def test_who_may_write_which_file(host):
    """What is ours stays root's, and no secret is where others read."""
    with host.sudo():
        for name, mode in {"redis.conf": 0o640, "replication.conf": 0o640, "users.acl": 0o640, "sentinel.conf": 0o640, "sentinel-users.acl": 0o640}.items():
            file = host.file(f"{CONFIG}/{name}")
            assert (file.user, file.group, file.mode) == ("root", "redis", mode)
        assert "replicaof" not in host.check_output(f"grep -v '^#' {CONFIG}/redis.conf")
        assert host.run(f"grep -E '>[^ ]' {CONFIG}/users.acl {CONFIG}/sentinel-users.acl").rc == 1
        for name in ("redis.conf", "sentinel.conf"):
            file = host.file(f"{STATE}/{name}")
            assert (file.user, file.mode & 0o007) == ("redis", 0)
        assert host.run(f"runuser -u redis -- test -w {CONFIG}").rc == 1


def test_the_sandbox(host):
    """At most 2.0 of 10 as systemd rates exposure."""
    host.check_output("systemd-analyze security --no-pager --threshold=20 " + " ".join(UNITS))


def test_a_starting_broker_asks_before_it_acts(host, servers):
    """The guard names nobody else on the master, and leaves a replica where it is."""
    before = servers[host.backend.get_hostname()].role()[0]
    with host.sudo("redis"):
        assert host.run("/usr/local/lib/redis-broker/boot-guard").rc == 0
    time.sleep(0.1)
    assert servers[host.backend.get_hostname()].role()[0] == before
