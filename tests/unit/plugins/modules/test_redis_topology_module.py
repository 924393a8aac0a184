# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is master, asked of a Redis and a Sentinel that are fakes; the decision itself is tested with its module_utils."""

from __future__ import annotations

import collections.abc as c
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.modules import redis_topology
from fake_redis import FakeRedis
from module_run import ModuleRun

NODE = {"host": "broker-1", "address": "127.0.0.1"}


@pytest.fixture(name="redis")
def _redis() -> c.Iterator[FakeRedis]:
    with FakeRedis({"admin": "redis-password"}) as redis:
        yield redis


@pytest.fixture(name="sentinel")
def _sentinel(redis: FakeRedis) -> c.Iterator[FakeRedis]:
    with FakeRedis({"admin": "sentinel-password"}) as sentinel:
        known = {"num-other-sentinels": "0", "num-slaves": "0"}
        sentinel.masters = {"celery": {"ip": "127.0.0.1", "port": str(redis.port), "quorum": "1", "flags": "master", **known}}
        yield sentinel


@pytest.fixture(name="run")
def _run(redis: FakeRedis, sentinel: FakeRedis, capsys: pytest.CaptureFixture[str]) -> c.Callable[..., dict[str, t.Any]]:
    run = ModuleRun(redis_topology, capsys)

    def ask(fails: bool = False, state_files: dict[str, t.Any] | None = None, **brokers: t.Any) -> dict[str, t.Any]:
        given = {
            "nodes": [NODE], "port": redis.port, "password": "redis-password", "sentinel_port": sentinel.port,
            "sentinel_password": "sentinel-password", **brokers,
        }  # fmt: skip
        return run(fails=fails, brokers=given, wait_seconds=0, timeout_seconds=1, **({"state_files": state_files} if state_files is not None else {}))

    return ask


def closed() -> int:
    """A port on which nothing listens."""
    with FakeRedis() as gone:
        return gone.port


def test_the_sentinels_answer_and_the_redis_confirms_it(run, redis) -> None:
    result = run()
    assert (result["changed"], result["source"]) == (False, "sentinels")
    assert result["master"] == {"host": "broker-1", "address": "127.0.0.1", "port": redis.port}
    assert [(view["host"], view["role"], view["status"]) for view in result["nodes"]] == [("broker-1", "master", "ok")]
    assert [(view["quorum"], view["known_sentinels"], view["quorum_reached"]) for view in result["sentinels"]] == [(1, 1, True)]


def test_a_replica_is_not_taken_for_the_master(run, redis) -> None:
    redis.info["replication"] = {"role": "slave", "master_host": "192.0.2.9", "master_port": "6379", "master_link_status": "up"}
    result = run(fails=True)
    assert "but it is a replica of 192.0.2.9:6379" in result["msg"] and result["nodes"][0]["link_up"]


def test_without_sentinels_the_replication_answers(run, redis) -> None:
    result = run(sentinel_port=closed())
    assert (result["source"], result["master"]["port"]) == ("replication", redis.port)
    assert result["sentinels"][0]["status"] == "refused"


def test_hosts_without_sentinels_may_be_others(run) -> None:
    assert run(sentinel_nodes=[])["source"] == "replication"


def test_where_nothing_runs_the_state_files_answer(run) -> None:
    port = closed()
    result = run(port=port, sentinel_port=closed(), state_files={"broker-1": None})
    assert (result["source"], result["master"]) == ("bootstrap", {"host": "broker-1", "address": "127.0.0.1", "port": port})
    assert run(port=port, sentinel_port=closed(), state_files={"broker-1": ""})["source"] == "state"


def test_where_nothing_runs_and_nothing_is_known_there_is_no_master(run) -> None:
    result = run(port=closed(), sentinel_port=closed())
    assert (result["source"], result["master"]) == ("none", {"host": "", "address": "", "port": 0})


@pytest.mark.parametrize("wrong", ["password", "sentinel_password"])
def test_a_refused_password_is_an_error_and_never_an_empty_host(run, wrong: str) -> None:
    result = run(fails=True, state_files={"broker-1": None}, **{wrong: "other"})
    assert "refuses the password" in result["msg"] and result["source"] == "fail"


def test_previous_passwords_are_good_enough(run) -> None:
    given = {"previous_password": "redis-password", "sentinel_previous_password": "sentinel-password"}
    assert run(password="next", sentinel_password="next", **given)["source"] == "sentinels"


def test_nothing_is_changed_on_any_server(run, redis, sentinel) -> None:
    run()
    asked = {" ".join(argv[:2]).upper() for server in (redis, sentinel) for argv in server.commands if argv[0] not in ("AUTH", "PING")}
    assert asked == {"INFO REPLICATION", "INFO KEYSPACE", "SENTINEL GET-MASTER-ADDR-BY-NAME", "SENTINEL MASTER", "SENTINEL CKQUORUM"}
