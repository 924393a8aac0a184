"""Workers of the shipped prod inventory, under systemd."""

from __future__ import annotations

import pytest
from lab import workers

testinfra_hosts = ["ansible://workers"]

# node: (queue, a task of it, kind of pool, concurrency; None is the number of cores)
NODES = {
    "cpu": {
        "video": ("video_processing", "proj.tasks.count_primes", [1000], "prefork", None),
        "general": ("default", "multinode.canary", [], "prefork", 2),
    },
    "io": {"export": ("data_export", "proj.tasks.export", [10], "gevent", 100)},
}


@pytest.fixture(name="nodes")
def _nodes(host):
    return NODES[host.backend.get_hostname().partition("-")[0]]


def test_each_node_runs_as_its_pool_is_set(host, nodes):
    units = host.check_output("systemctl list-units --plain --no-legend 'celery-worker-*'").splitlines()
    assert sorted(unit.split()[0] for unit in units) == sorted(f"celery-worker-{node}.service" for node in nodes)
    cores = int(host.check_output("nproc"))
    for node, (queue, _task, _arguments, pool, concurrency) in nodes.items():
        argv = workers.arguments(host, workers.main_process(host, node))
        assert workers.option(argv, "--hostname") == f"{node}@{host.backend.get_hostname()}"
        assert workers.option(argv, "--queues") == queue
        assert workers.option(argv, "--pool") == pool
        assert int(workers.option(argv, "--concurrency")) == (concurrency or cores)
        assert host.service(f"celery-worker-{node}").is_enabled


def test_prefork_pools_have_as_many_children_as_the_host_has_cores(host, nodes):
    cores = int(host.check_output("nproc"))
    for node, (_queue, _task, _arguments, pool, concurrency) in nodes.items():
        if pool == "prefork":
            children = host.check_output(f"pgrep --parent {workers.main_process(host, node)}").split()
            assert len(children) == (concurrency or cores)


def test_tasks_of_each_queue_run_on_the_right_kind_of_worker(host, nodes):
    for node, (queue, task, arguments, _pool, _concurrency) in nodes.items():
        answers = workers.send(host, task, arguments, queue, count=4)["answers"]
        ran_on = {answer["node"] if isinstance(answer, dict) else answer for answer in answers}
        kind = host.backend.get_hostname().partition("-")[0]
        assert ran_on
        assert all(name.startswith(f"{node}@{kind}-") for name in ran_on)


def test_limits_reach_the_live_processes(host, nodes):
    for node in nodes:
        workers.assert_limits(host, workers.main_process(host, node), 65536)


def test_units_are_sandboxed(host, nodes):
    for node in nodes:
        report = host.run(f"sudo systemd-analyze security --no-pager celery-worker-{node}.service").stdout
        score = float(report.rsplit("celery-worker-", 1)[1].split(":")[1].split()[0])
        assert score <= 3.0
        assert host.check_output(f"ps -o user= -p {workers.main_process(host, node)}").strip() == "celery"


def test_no_secret_is_in_a_unit_or_on_a_command_line(host, nodes):
    password = host.check_output("sudo sed -n s/^MULTINODE_REDIS_PASSWORD=//p /etc/celery/proj/env")
    assert password
    for node in nodes:
        assert password not in host.check_output(f"sudo cat /etc/systemd/system/celery-worker-{node}.service")
        assert password not in " ".join(workers.arguments(host, workers.main_process(host, node)))
