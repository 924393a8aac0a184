"""Both managers, several processes and all kinds of stop, on one host of the test inventory."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from lab import ROOT, workers
from lab.playbooks import run_playbook

testinfra_hosts = ["ansible://test-1"]
NODES = ["video", "video-2", "general", "export", "export-2", "leaving"]
POOLS = [
    {"name": "video", "queues": ["video_processing"], "instances": 2, "concurrency": 1, "env": {"MARK": 'a "b" %h'}},
    {"name": "general", "queues": ["default"], "pool": "threads", "concurrency": 2, "time_limit_seconds": 0},
    {"name": "export", "queues": ["data_export"], "pool": "gevent", "instances": 2},
]
LEAVING = {"name": "leaving", "queues": ["leaving"], "pool": "solo"}
QUEUES = [queue for pool in POOLS for queue in pool["queues"]]
# Preflight compares what is given here on every host, and test-4 has other queues in its inventory.
PLAIN = {"celery_worker_pools": POOLS, "celery_app_queues": QUEUES, "celery_app_default_queue": "default"}
SUPERVISED = {
    **PLAIN,
    "celery_worker_manager": "supervisor",
    "celery_worker_pools": [*POOLS, LEAVING],
    "celery_app_queues": [*QUEUES, "leaving"],
}
FAST = {"celery_worker_drain_timeout_seconds": 8, "celery_worker_stop_timeout_seconds": 30, "celery_worker_nofile": 8192}


def converge(**variables):
    """Run the worker role and what it needs on the host; ANSIBLE_INVENTORY names the inventories."""
    arguments = ("--limit", "test-1", "--tags", "packages,celery_worker")
    return run_playbook("playbooks/workers.yml", *arguments, **variables).stdout


def drain(arguments):
    """Run the module on the host and return its result."""
    program = Path(sys.executable).with_name("ansible")
    paths = "app_directory=/opt/celery/proj config_directory=/etc/celery/proj marker=/etc/celery/drained report_directory=/var/lib/celery/drain"
    command = [program, "test-1", "--become", "-m", "multinode.celery.celery_drain", "-a", f"{arguments} {paths}"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def result(host, identity, timeout):
    """Wait for the result of a task that was sent before."""
    code = (
        "import sys; sys.path.insert(0, '/etc/celery/proj')\n"
        "from celery import Celery\n"
        "app = Celery('tests'); app.config_from_object('celeryconfig')\n"
        f"print(app.AsyncResult('{identity}').get(timeout={timeout})['node'])"
    )
    return host.check_output(f"sudo -u celery {workers.PYTHON} -P -c {shlex.quote(code)}").strip()


@pytest.fixture(name="supervised", scope="module", autouse=True)
def _supervised():
    converge(**SUPERVISED, **FAST)
    yield
    converge()


def test_supervisor_runs_each_process_under_its_own_name(host):
    names = []
    for node in NODES:
        process = workers.supervised_process(host, node)
        names.append(workers.option(workers.arguments(host, process), "--hostname"))
        workers.assert_limits(host, process, 8192)
    assert names == [f"{node}@test-1" for node in NODES]
    environment = host.check_output(f"sudo cat /proc/{workers.supervised_process(host, 'video')}/environ").split("\0")
    assert 'MARK=a "b" %h' in environment


def test_supervisor_is_for_root_only(host):
    assert host.run("supervisorctl status").rc != 0
    assert host.check_output("sudo stat -c %a:%U /run/supervisor.sock") == "700:root"


def test_a_second_run_changes_nothing(host):
    recap = converge(**SUPERVISED, **FAST)
    assert "changed=0" in recap.splitlines()[-2] + recap.splitlines()[-1]


@pytest.mark.parametrize("kind", ["finishes", "goes_back"])
def test_a_stop_during_a_task_loses_nothing(host, kind):
    # 4 s is within the drain of 8 s, 14 s is not: then the task runs again after the start.
    (identity,) = workers.send(host, "proj.tasks.long", [4 if kind == "finishes" else 14], "leaving", timeout=0)["ids"]
    host.check_output(f"timeout 20 sh -c 'until sudo grep -q {identity} /var/log/celery/leaving.log; do sleep 0.3; done'")
    host.check_output("sudo supervisorctl stop celery-worker-leaving")
    if kind == "finishes":
        assert result(host, identity, 1) == "leaving@test-1"
    host.check_output("sudo supervisorctl start celery-worker-leaving")
    assert result(host, identity, 60) == "leaving@test-1"


def test_a_drained_host_stays_stopped_until_it_is_active_again(host):
    (identity,) = workers.send(host, "proj.tasks.long", [40], "leaving", timeout=0)["ids"]
    host.check_output(f"timeout 20 sh -c 'until sudo grep -q {identity} /var/log/celery/leaving.log; do sleep 0.3; done'")
    output = drain("state=drained timeout_seconds=3")
    assert f"leaving: given back: proj.tasks.long[{identity}]" in output
    # Its service starts no program either, as after a reboot.
    host.check_output("sudo systemctl restart supervisor")
    host.check_output("timeout 20 sh -c 'until sudo supervisorctl status | grep -q STOPPED; do sleep 0.3; done'")
    assert "RUNNING" not in host.run("sudo supervisorctl status").stdout
    drain("state=active")
    # A program is STARTING for its first seconds, also when its node is ready before.
    host.check_output(f"timeout 30 sh -c 'until [ $(sudo supervisorctl status | grep -c RUNNING) -eq {len(NODES)} ]; do sleep 0.5; done'")
    assert result(host, identity, 90) == "leaving@test-1"


def test_changing_the_manager_moves_nodes_and_drains_those_not_wanted(host):
    (identity,) = workers.send(host, "proj.tasks.long", [5], "leaving", timeout=0)["ids"]
    host.check_output(f"timeout 20 sh -c 'until sudo grep -q {identity} /var/log/celery/leaving.log; do sleep 0.3; done'")
    converge(celery_worker_manager="systemd", **PLAIN, **FAST)
    assert result(host, identity, 1) == "leaving@test-1"
    assert host.run("sudo supervisorctl status").stdout.strip() == ""
    assert host.run("ls /etc/supervisor/conf.d/celery-worker-*").rc != 0
    for node in NODES[:-1]:
        assert host.service(f"celery-worker-{node}").is_running
        workers.assert_limits(host, workers.main_process(host, node), 8192)
    assert not host.file("/etc/systemd/system/celery-worker-leaving.service").exists


def test_systemd_stop_of_each_kind_gives_running_tasks_back(host):
    queues = {"video": "video_processing", "export": "data_export", "general": "default"}
    for node, queue in queues.items():
        before = workers.main_process(host, node)
        host.check_output(f"sudo systemctl restart celery-worker-{node}")
        assert workers.main_process(host, node) != before
        assert host.check_output(f"systemctl show --property Result --value celery-worker-{node}") == "success"
        assert workers.send(host, "multinode.canary", [], queue)["answers"]
