"""Pools grow and shrink, and workers leave and come back, without a lost task."""

from __future__ import annotations

import pytest
from lab import drains, report
from lab.hosts import wait_until
from lab.load import Load


@pytest.fixture(scope="module")
def host(lab):
    return lab.group("workers_cpu")[-1]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"celery_worker_scale_pool": "vido", "celery_worker_scale_instances": 2}, 'have no pool "vido"; the pools there are'),
        ({"celery_worker_scale_pool": "video"}, "Set celery_worker_scale_instances, celery_worker_scale_concurrency or both"),
        ({"celery_worker_scale_pool": "video", "celery_worker_scale_instances": -1}, "set a whole number of at least 1"),
    ],
)
def test_bad_input_is_refused_before_anything_changes(lab, host, variables, message):
    before = drains.nodes_up(lab, host)
    done = lab.playbook("playbooks/ops/scale.yml", check=False, **variables)
    assert done.returncode != 0
    assert message in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert drains.nodes_up(lab, host) == before


def test_a_pool_grows_and_shrinks_under_load(lab, host):
    before = drains.nodes_up(lab, host)
    result = drains.scale(lab, host, high=8, low=1)
    report.write("scale", result, drains.table({"scale": result}))
    assert set(result["nodes_up"]) - set(before) == {f"video-{number}" for number in range(2, 9)}
    assert result["nodes_down"] == before
    assert sorted(result["nodes"]) == sorted(set(result["nodes_up"]) - set(before))
    assert (result["refused"], result["failed"], result["lost"], result["waiting"]) == (0, 0, 0, 0), result
    # At least once: one task of a node that stops may have reached its process in that very moment.
    assert result["doubled"] <= len(result["nodes"]), result
    assert result["executed"] == result["accepted"] > 100


def test_the_last_consumer_of_a_queue_is_not_removed_by_mistake(lab):
    last = lab.group("workers_io")
    done = lab.playbook("playbooks/ops/remove_workers.yml", check=False, celery_drain_hosts=last)
    assert done.returncode != 0
    assert "celery_drain_queues_without_consumer_allowed" in done.stdout
    assert drains.nodes_up(lab, last[0])


def test_a_worker_leaves_and_comes_back_under_load(lab, host):
    before = drains.nodes_up(lab, host)
    with Load(lab, drains.short_streams()) as load:
        removed = lab.playbook("playbooks/ops/remove_workers.yml", celery_drain_hosts=[host]).stdout
        assert sorted(drains.rows(removed)) == before
        assert lab.run(host, "find /etc/systemd/system -name 'celery-worker*'") == ""
        assert lab.run(host, "ls /etc/celery/proj").split().count("env") == 0
        lab.playbook("playbooks/workers.yml", "--limit", host)
    assert drains.nodes_up(lab, host) == before
    result = load.result()
    assert (result["refused"], result["failed"], result["lost"], result["waiting"]) == (0, 0, 0, 0), result
    assert result["executed"] == result["accepted"] > 100
    assert wait_until(lambda: drains.nodes_up(lab, host) == before, 30) is not None
