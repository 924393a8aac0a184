# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks at their bounds; whole inventories are in tests/unit/preflight."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.plugin_utils import (
    preflight,
    preflight_brokers,
    preflight_hosts,
    preflight_workers,
    references,
)

ENVIRONMENT = {"name": "prod", "vhost": 0, "key_prefix": "prod:", "user": "prod"}
ROLES = {"brokers": ("redis", "redis_sentinel"), "workers": ("celery_app", "celery_worker")}


def names(inventory: preflight.Inventory, *checks: preflight.Check) -> list[str]:
    return [finding.check for finding in preflight.run_checks(inventory, checks)]


def inventory(*hosts: preflight.Host, **more: t.Any) -> preflight.Inventory:
    return preflight.Inventory(hosts, {}, ROLES, **more)


def broker(name: str, **values: t.Any) -> preflight.Host:
    return preflight.Host(name, ROLES["brokers"], values)


def worker(facts: dict[str, t.Any] | None = None, **values: t.Any) -> preflight.Host:
    return preflight.Host("w", ROLES["workers"], {"cluster_environment": ENVIRONMENT, **values}, facts)


@pytest.mark.parametrize(
    ("count", "single", "expected"),
    [(1, False, ["sentinel_few"]), (1, True, []), (2, False, ["sentinel_few"]), (3, False, []), (3, True, ["standalone"]),
     (4, False, ["sentinel_even"]), (5, False, [])],
)  # fmt: skip
def test_number_of_sentinels(count: int, single: bool, expected: list[str]) -> None:
    hosts = [broker(f"b{number}", redis_standalone=single) for number in range(count)]
    assert names(inventory(*hosts), preflight_brokers.check_sentinels) == expected


@pytest.mark.parametrize(("replicas", "expected"), [(0, []), (1, []), (2, ["min_replicas_all"]), (3, ["min_replicas"])])
def test_replicas_that_the_master_wants(replicas: int, expected: list[str]) -> None:
    hosts = [broker(f"b{number}", redis_min_replicas_to_write=replicas) for number in range(3)]
    assert names(inventory(*hosts), preflight_brokers.check_min_replicas) == expected


@pytest.mark.parametrize(("visibility", "expected"), [(3900, ["visibility_timeout"]), (3901, [])])
def test_visibility_outlasts_the_longest_task_and_the_drain(visibility: int, expected: list[str]) -> None:
    host = worker(
        celery_app_visibility_timeout_seconds=visibility, celery_app_task_time_limit_seconds=3600, celery_worker_drain_timeout_seconds=300
    )
    assert names(inventory(host), preflight_workers.check_times) == expected


@pytest.mark.parametrize(("stop", "expected"), [(310, ["stop_timeout"]), (311, [])])
def test_stop_outlasts_drain_and_soft_shutdown(stop: int, expected: list[str]) -> None:
    host = worker(
        celery_worker_stop_timeout_seconds=stop, celery_worker_drain_timeout_seconds=300, celery_app_soft_shutdown_timeout_seconds=10
    )
    assert names(inventory(host), preflight_workers.check_times) == expected


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [(["gevent"], []), (["gevent>=24"], []), (["celery[redis,gevent]>=5.7"], []), (["-r requirements.txt"], []),
     (["celery[redis]"], ["greenlets_missing"]), (["gevent-websocket"], ["greenlets_missing"])],
)  # fmt: skip
def test_gevent_is_installed(requirements: list[str], expected: list[str]) -> None:
    host = worker(celery_app_requirements=requirements, celery_worker_pools=[{"name": "io", "queues": ["a"], "pool": "gevent"}])
    assert names(inventory(host), preflight_workers.check_greenlets) == expected


@pytest.mark.parametrize(
    ("pool", "problem"),
    [({"concurrency": "many"}, "pool_concurrency"), ({"concurrency": 0}, "pool_concurrency"), ({"instances": 0}, "pool_instances"),
     ({"queues": []}, "pool_queues"), ({"name": "Video 1"}, "pool_name"), ({"pool": "solo", "concurrency": 2}, "pool_solo"),
     ({"pool": "threads", "autoscale": {"min": 1, "max": 2}}, "pool_autoscale"), ({"autoscale": {"min": 3, "max": 2}}, "pool_autoscale"),
     ({"pool": "eventlet", "options": ["--autoscale=10,3"]}, "pool_autoscale")],
)  # fmt: skip
def test_options_of_a_pool(pool: dict[str, t.Any], problem: str) -> None:
    host = worker(celery_worker_pools=[{"name": "video", "queues": ["a"], **pool}])
    assert names(inventory(host), preflight_workers.check_pools) == [problem]


@pytest.mark.parametrize(("manager", "problems"), [("supervisor", ["pool_memory"]), ("systemd", [])])
def test_supervisor_cannot_bound_the_memory_of_a_node(manager: str, problems: list[str]) -> None:
    host = worker(celery_worker_manager=manager, celery_worker_pools=[{"name": "video", "queues": ["a"], "memory_max_mb": 500}])
    assert names(inventory(host), preflight_workers.check_pools) == problems


def test_overrides_are_checked_like_pools() -> None:
    host = worker(celery_worker_pools=[{"name": "io", "queues": ["a"]}], celery_worker_pool_overrides={"io": {"instances": 0}, "other": {}})
    assert names(inventory(host), preflight_workers.check_pools) == ["pool_instances"]


def test_pools_get_their_defaults_before_they_are_checked() -> None:
    host = worker(celery_worker_pool_defaults={"pool": "gevent"}, celery_worker_pools=[{"name": "io", "queues": ["a"], "autoscale": {"min": 1, "max": 2}}])
    assert names(inventory(host), preflight_workers.check_pools) == ["pool_autoscale"]


@pytest.mark.parametrize(("pool", "expected"), [({"concurrency": "auto"}, []), ({"concurrency": 16}, []), ({"concurrency": 17}, ["concurrency"])])
def test_children_for_each_core(pool: dict[str, t.Any], expected: list[str]) -> None:
    host = worker({"processor_nproc": 4, "memtotal_mb": 100000}, celery_worker_pools=[{"name": "cpu", **pool}])
    assert names(inventory(host), preflight_hosts.check_capacity) == expected


@pytest.mark.parametrize(
    ("pool", "expected"),
    [({"memory_max_mb": 750}, []), ({"memory_max_mb": 751}, ["memory"]), ({"memory_max_mb": 400, "instances": 2}, ["memory"]),
     ({"max_memory_per_child_mb": 400}, ["memory"]), ({"pool": "gevent"}, [])],
)  # fmt: skip
def test_memory_of_the_pools(pool: dict[str, t.Any], expected: list[str]) -> None:
    host = worker({"processor_nproc": 2, "memtotal_mb": 1000}, celery_worker_pools=[{"name": "cpu", **pool}])
    assert names(inventory(host, limits={"memory_reserved_mb": 250}), preflight_hosts.check_capacity) == expected


def test_without_facts_nothing_is_reported_about_hosts() -> None:
    host = worker(celery_worker_pools=[{"name": "cpu", "queues": ["a"], "concurrency": 500}])
    assert names(inventory(host, limits={"distributions": {"Debian": ["12"]}}), *preflight_hosts.CHECKS) == []


@pytest.mark.parametrize(
    "values",
    [{}, {"celery_worker_pools": "text", "celery_app_queues": 5, "cluster_environment": [1]}, {"celery_worker_pools": ["text"]}],
)
def test_values_of_a_wrong_type_are_left_to_the_specs(values: dict[str, t.Any]) -> None:
    host = preflight.Host("h", [*ROLES["brokers"], *ROLES["workers"]], {"cluster_environments": [None], **values}, {"processor_nproc": "x"})
    hosts = inventory(host)
    for check in (*preflight_brokers.CHECKS, *preflight_workers.CHECKS, *preflight_hosts.CHECKS):
        list(check(hosts))


def test_one_finding_of_many_hosts_is_reported_once() -> None:
    hosts = [broker(f"b{number}", redis_sentinel_quorum=9) for number in range(7)]
    finding = preflight.run_checks(inventory(*hosts), [preflight_brokers.check_sentinels])[0]
    assert finding.text().startswith("[sentinel_quorum] redis_sentinel_quorum = 9 on b0, b1, b2, b3, b4 and 2 more: 7 Sentinels")


def test_a_random_password_is_not_weak_because_of_a_word_in_it() -> None:
    assert preflight_brokers._password_problem("Hn3wqRedis7Rk1bVz8sXc5tYp2mLd", 16) == ""
    assert preflight_brokers._password_problem("changeme-changeme-changeme", 16) != ""


def test_variables_are_found_through_other_variables() -> None:
    variables = {"a": "{{ b.c | default(d) }}", "b": {"c": "{% if e %}x{% endif %}"}, "hostvars": {"other": "{{ never }}"}}
    assert references.reachable("{{ a }} {{ hostvars }}", variables) == {"a", "b", "d", "e", "hostvars"}


@pytest.mark.parametrize(
    ("brokers", "app", "expected"),
    [((True, True), True, []), ((False, False), False, []), ((True, True), False, ["w"]), ((False, False), True, ["w"]), ((True, False), True, ["b1"])],
)  # fmt: skip
def test_everybody_speaks_tls_or_nobody(brokers: tuple[bool, bool], app: bool, expected: list[str]) -> None:
    hosts = [broker(f"b{number}", cluster_tls_enabled=flag) for number, flag in enumerate(brokers)]
    findings = preflight.run_checks(inventory(*hosts, worker(cluster_tls_enabled=app)), [preflight_brokers.check_shared_facts])
    assert [(finding.check, finding.variable, host) for finding in findings for host in finding.hosts] == [
        ("cluster_differs", "cluster_tls_enabled", host) for host in expected
    ]


@pytest.mark.parametrize("name", preflight_brokers.SHARED)
def test_hosts_agree_on_every_shared_fact(name: str) -> None:
    hosts = [broker(f"b{number}", **{name: "one"}) for number in range(3)]
    assert names(inventory(*hosts, worker(**{name: "one"})), preflight_brokers.check_shared_facts) == []
    [finding] = preflight.run_checks(inventory(*hosts, worker(**{name: "two"})), [preflight_brokers.check_shared_facts])
    assert (finding.variable, finding.hosts) == (name, ("w",))
    assert ("two" in finding.text()) is not name.endswith("password")
