# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the exporters report of workers, tasks and queues is what Redis and the workers report."""

from __future__ import annotations

import json
import time

import pytest
from lab import metrics
from lab.hosts import wait_until
from lab.load import Load, Stream

QUEUE = "data_export"


@pytest.fixture(scope="module", autouse=True)
def monitor(lab):
    """A monitoring host whose exporters have heard of every node."""
    host = lab.group("monitoring")[0]
    wanted = {f"{name}@{worker}" for worker in lab.group("workers") for name in heartbeats(lab, worker)}
    assert wait_until(lambda: metrics.sees_all(lab, host, wanted), 60), wanted
    return host


def heartbeats(lab, host):
    """Names of the nodes that run on a host."""
    units = lab.run(host, "systemctl list-units --plain --no-legend --state=running 'celery-worker-*'").split("\n")
    return [unit.split(".service")[0].removeprefix("celery-worker-") for unit in units if unit]


def consumers(lab, action):
    host = lab.group("schedulers")[0]
    lab.install_agent(host)
    lab.ask(host, "consumers", action, QUEUE)


def test_every_node_is_known_by_its_own_name(lab, monitor):
    """Several nodes on one host stay apart, with their pool and their host beside."""
    wanted = {(f"{name}@{host}", host) for host in lab.group("workers") for name in heartbeats(lab, host)}
    samples = metrics.scrape(lab, monitor, metrics.WORKERS)
    found = {(labels["node"], labels["host"]) for labels, value in samples.find("multinode_worker_up") if value}
    assert wanted <= found
    assert {node for node, _host in wanted} <= {labels["hostname"] for labels, value in samples.find("celery_worker_up") if value}


def test_every_queue_of_the_pools_is_known(lab, monitor):
    queues = {queue for host in lab.group("workers") for pool in lab.hostvars[host]["celery_worker_pools"] for queue in pool["queues"]}
    assert queues
    samples = metrics.scrape(lab, monitor)
    for name, label in (("multinode_queue_length", "queue"), ("celery_queue_length", "queue_name"), ("multinode_queue_consumers", "queue")):
        assert queues <= {labels[label] for labels, _value in samples.find(name)}
    assert all(samples.value("multinode_queue_consumers", queue=queue) > 0 for queue in queues)


def test_length_and_age_agree_with_redis_under_load(lab, monitor):
    finished = metrics.scrape(lab, monitor, metrics.WORKERS)
    done = sum(value for _labels, value in finished.find("multinode_tasks_finished_total", state="succeeded"))
    consumers(lab, "cancel")
    try:
        with Load(lab, [Stream("proj.tasks.noop", [], QUEUE, 40)]) as load:
            differences = []
            for _look in range(4):
                before = int(metrics.redis(lab, "llen", QUEUE))
                samples, now = metrics.scrape(lab, monitor), time.time()
                after = int(metrics.redis(lab, "llen", QUEUE))
                assert before <= samples.value("multinode_queue_length", queue=QUEUE) <= after
                assert before <= samples.value("celery_queue_length", queue_name=QUEUE) <= after
                oldest = json.loads(metrics.redis(lab, "lindex", QUEUE, "-1"))["headers"]["multinode_sent_at"]
                differences.append(abs(now - oldest - samples.value("multinode_queue_oldest_message_age_seconds", queue=QUEUE)))
            assert after > 0
            # The scrape itself takes a moment.
            assert max(differences) < 3, differences
    finally:
        consumers(lab, "add")
    print(f"age differs from Redis by at most {max(differences):.2f} s while the queue grows to {after}")
    result = load.result(settle_seconds=60)
    assert (result["lost"], result["waiting"]) == (0, 0)
    assert metrics.scrape(lab, monitor).value("multinode_queue_length", queue=QUEUE) == 0
    assert metrics.scrape(lab, monitor).value("multinode_queue_oldest_message_age_seconds", queue=QUEUE) == 0

    def counted():
        return metrics.scrape(lab, monitor, metrics.WORKERS).value("multinode_tasks_finished_total", state="succeeded") - done

    assert wait_until(lambda: counted() >= result["executed"], 10), (counted(), result["executed"])


def test_unacked_messages_agree_with_redis(lab, monitor):
    with Load(lab, [Stream("proj.tasks.sleep", [8], QUEUE, 20, 5)]):
        assert wait_until(lambda: metrics.scrape(lab, monitor, metrics.QUEUES).value("multinode_queue_unacked", queue=QUEUE) == 5, 20)
        samples = metrics.scrape(lab, monitor, metrics.QUEUES)
        assert samples.value("multinode_unacked_total") == int(metrics.redis(lab, "hlen", "unacked"))
        assert 0 < samples.value("multinode_queue_unacked_oldest_age_seconds", queue=QUEUE) < 60
    assert wait_until(lambda: metrics.scrape(lab, monitor, metrics.QUEUES).value("multinode_queue_unacked", queue=QUEUE) == 0, 30)


def test_nothing_listens_beyond_the_host_and_no_secret_is_shown(lab, monitor):
    listening = [line.split()[3] for line in lab.run(monitor, "ss -Hltn").splitlines()]
    assert {address for address in listening if address.endswith((":9808", ":9809"))} == {"127.0.0.1:9808", "127.0.0.1:9809"}
    shown = lab.run(monitor, "cat /etc/systemd/system/celery-*exporter.service /etc/celery/proj/exporter.json; ps -eo args; "
                    "tr '\\0' '\\n' < /proc/$(systemctl show -p MainPID --value celery-exporter)/environ")
    assert lab.secret("vault_environment_password") not in shown


def test_metrics_return_after_a_failover(lab, monitor):
    """The value is reported; the bound is wide because the machine may be busy."""
    result = metrics.failover(lab, "hung")
    assert result["metrics_after_election_seconds"] < 45
