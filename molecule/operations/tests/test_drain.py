"""Hosts are emptied for maintenance under load, stay empty over a reboot and a deployment, and no task is lost."""

from __future__ import annotations

import pytest
from lab import drains, report
from lab.hosts import wait_until


@pytest.fixture(scope="module")
def results():
    """Filled by the tests in their order, written even when one of them fails."""
    collected: dict = {}
    yield collected
    text = drains.table(collected)
    print("\n" + text)
    report.write("drain", collected, text)


@pytest.fixture(scope="module")
def host(lab):
    """A worker whose queues others consume, too."""
    return lab.group("workers_cpu")[-1]


@pytest.fixture(scope="module")
def seconds(lab):
    """Seconds that long tasks take."""
    return drains.pace(lab)


@pytest.fixture(scope="module", autouse=True)
def _everything_runs(lab):
    yield
    for name in dict.fromkeys(lab.group("workers") + lab.group("schedulers")):
        if "drained" in lab.run(name, "ls /etc/celery"):
            lab.playbook("playbooks/ops/undrain.yml", celery_drain_hosts=[name])


def assert_nothing_lost(result: dict, on_the_way: int = 0) -> None:
    """Expect that every accepted task was executed, but for those that were on the way to a process that was killed."""
    assert result["accepted"] > 100, "too little load to prove anything"
    assert (result["refused"], result["failed"], result["waiting"]) == (0, 0, 0), result
    assert result["lost"] <= on_the_way, result
    assert result["executed"] == result["accepted"] - result["lost"]


@pytest.mark.parametrize(("named", "message"), [("no-such-host", "is neither a host nor a group"), ("", "names no host")])
def test_bad_input_is_refused_before_anything_changes(lab, host, named, message):
    before = drains.nodes_up(lab, host)
    done = lab.playbook("playbooks/ops/drain.yml", check=False, celery_drain_hosts=named)
    assert done.returncode != 0
    assert message in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert "celery_drain_hosts" in done.stdout
    assert drains.nodes_up(lab, host) == before


def test_running_tasks_go_back_to_the_queue_when_their_time_is_over(lab, host, seconds, results):
    result = results["drain_bounded"] = drains.drain(lab, host, seconds, celery_drain_timeout_seconds=4)
    assert_nothing_lost(result)
    # At least once: one task of a node that stops may have reached its process in that very moment.
    assert result["doubled"] <= len(result["nodes"]), result
    assert result["still_up"] == []
    assert result["nodes"]["video"]["outcome"] == "timed out", result
    assert result["nodes"]["video"]["given_back"] > 0
    assert sum(node["lost"] for node in result["nodes"].values()) == 0


def test_a_node_that_hangs_is_ended_and_its_tasks_run_elsewhere(lab, host, results):
    # Its tasks hang with it, so they need not be long.
    result = results["drain_hung"] = drains.drain(lab, host, 10, hang="video", celery_worker_answer_timeout_seconds=4)
    # Redis may have given it one more message in the second after it was suspended, see the README.
    assert_nothing_lost(result, on_the_way=1)
    assert result["nodes"]["video"]["outcome"] == "killed", result
    assert result["nodes"]["video"]["given_back"] > 0
    assert result["drain_seconds"] < 60


def test_a_drained_host_stays_empty_over_a_deployment_and_a_reboot(lab, host):
    before = drains.nodes_up(lab, host)
    lab.playbook("playbooks/ops/drain.yml", celery_drain_hosts=host, celery_drain_reason="a new kernel")
    again = lab.playbook("playbooks/workers.yml", "--limit", host, "--tags", "celery_worker")
    assert "changed=0" in again.stdout.splitlines()[-2] + again.stdout.splitlines()[-1]
    assert "a new kernel" in lab.run(host, "cat /etc/celery/drained")
    lab.kill(host)
    lab.start(host)
    assert wait_until(lambda: lab.run(host, "systemctl is-active multi-user.target", check=False).strip() == "active", 60) is not None
    assert drains.nodes_up(lab, host) == []
    lab.playbook("playbooks/ops/undrain.yml", celery_drain_hosts=host)
    assert drains.nodes_up(lab, host) == before


def test_the_master_leaves_a_broker_that_is_drained(lab):
    if len(lab.group("brokers")) == 1:
        pytest.skip("a single broker has no replica to switch over to")
    master = lab.sentinel_master()
    lab.playbook("playbooks/ops/drain.yml", celery_drain_hosts=[master])
    assert lab.sentinel_master() != master
