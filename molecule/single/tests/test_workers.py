"""Workers of the single host of the dev inventory."""

from __future__ import annotations

from lab import workers

testinfra_hosts = ["ansible://workers"]
QUEUES = {"video": "video_processing", "general": "default", "export": "data_export"}


def test_every_queue_is_served_by_its_pool(host):
    name = host.backend.get_hostname()
    for node, queue in QUEUES.items():
        assert workers.send(host, "multinode.canary", [], queue)["answers"] == [f"{node}@{name}"]


def test_a_worker_that_is_killed_comes_back(host):
    before = workers.main_process(host, "video")
    host.check_output(f"sudo kill -KILL {before}")
    host.check_output(
        "timeout 60 sh -c 'until [ $(systemctl show -P MainPID celery-worker-video) -gt 1 ]"
        f" && [ $(systemctl show -P MainPID celery-worker-video) -ne {before} ]; do sleep 0.5; done'"
    )
    assert workers.send(host, "multinode.canary", [], "video_processing")["answers"]
