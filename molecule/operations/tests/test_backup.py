"""A backup restores every waiting task on brokers that were emptied, and overwrites nothing by itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from lab.load import NOOP, QUEUE

COUNT = 1200


def services(lab, verb: str, nodes: list[str]) -> None:
    for name, host in (node.split("@") for node in nodes):
        lab.run(host, f"systemctl {verb} celery-worker-{name}.service")


def schedulers(lab, verb: str) -> None:
    for host in lab.group("schedulers"):
        lab.run(host, f"systemctl {verb} celery-beat.service", check=False)


def queued(lab) -> list[str]:
    return lab.settle([QUEUE], 1)["queued"]


@pytest.fixture(scope="module")
def waiting(lab):
    """Tasks that wait, because nobody consumes their queue."""
    producer = lab.scheduler
    lab.install_agent(producer)
    nodes = lab.nodes_of(QUEUE)
    schedulers(lab, "stop")
    services(lab, "stop", nodes)
    sent = lab.agent(
        producer, "send", "--task", NOOP, "--queue", QUEUE, "--rate", "100000", "--catch-up", "--count", str(COUNT), "--seconds", "120"
    ).wait(180)
    ids = {record["id"] for record in sent if "id" in record and "error" not in record}
    yield ids
    services(lab, "start", nodes)
    schedulers(lab, "start")


@pytest.fixture(scope="module")
def dump(lab, waiting, tmp_path_factory) -> Path:
    """A dump of them on the control machine."""
    folder = tmp_path_factory.mktemp("dumps")
    lab.playbook("playbooks/ops/backup.yml", redis_backup_fetch_directory=str(folder))
    (path,) = folder.glob("*.rdb")
    return path


def test_a_restore_refuses_a_live_queue(lab, waiting, dump):
    assert len(waiting) == COUNT
    done = lab.playbook("playbooks/ops/restore.yml", check=False, redis_backup_restore_file=str(dump))
    assert done.returncode != 0
    assert f":{QUEUE} ({COUNT}). Let them be consumed" in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert Counter(queued(lab)) == Counter(waiting)


def test_every_waiting_task_comes_back_and_is_executed(lab, waiting, dump):
    lab.redis(lab.sentinel_master(), "flushall")
    assert queued(lab) == []
    lab.playbook("playbooks/ops/restore.yml", redis_backup_restore_file=str(dump))
    assert Counter(queued(lab)) == Counter(waiting)


def test_the_work_goes_on(lab, waiting):
    for host in lab.group("workers"):
        lab.run(host, "systemctl start 'celery-worker-*.service' --all", check=False)
    left = lab.settle([QUEUE], 120)
    assert left["queued"] == [] and left["unacked"] == []
    times = Counter(one.task_id for one in lab.executions() if one.task_id in waiting)
    assert set(times.values()) == {1} and len(times) == COUNT
