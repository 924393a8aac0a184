# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that hangs is restarted and its work runs; one that works for long is left alone.

A second watchdog with a short threshold runs beside the deployed one, so that nothing has to be deployed again.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time

import pytest

THRESHOLD = 8
PYTHON = "/opt/celery/proj/current/venv/bin/python"
UNIT = "watchdog-test"
PRODUCER = """
import json, sys
sys.path.insert(0, "/etc/celery/proj")
from celery import Celery
app = Celery("tests")
app.config_from_object("celeryconfig")
sent = [app.send_task(name, args=arguments, queue=queue, ignore_result=False) for name, arguments, queue in json.loads(sys.argv[1])]
print(json.dumps([result.get(timeout=120) for result in sent]))
"""
SHORTEN = """
import json
settings = json.load(open("/etc/celery/proj/watchdog.json"))
json.dump({**settings, "threshold_seconds": %d, "stop_timeout_seconds": 30}, open("/var/tmp/watchdog-test.json", "w"))
"""


class Producer(subprocess.Popen):
    """Tasks whose results are waited for in the background."""

    def results(self):
        out, err = self.communicate(timeout=150)
        assert self.returncode == 0, err
        return json.loads(out.splitlines()[-1])


def send(lab, host, *tasks):
    """Send tasks straight to nodes of a host."""
    argv = ["sudo", "-u", "celery", PYTHON, "-P", "-c", PRODUCER, json.dumps(tasks)]
    return Producer(["docker", "exec", lab.container(host), *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def heartbeat(lab, host, node):
    return json.loads(lab.run(host, f"cat /var/lib/celery/heartbeat/{node}@{host}.json"))


def nodes(lab, host):
    """Names of the prefork nodes of a host by their number of slots."""
    units = lab.run(host, "systemctl list-units --plain --no-legend --state=running 'celery-worker-*'").splitlines()
    names = [unit.split(".service")[0].removeprefix("celery-worker-") for unit in units]
    return [(name, heartbeat(lab, host, name)["slots"]) for name in names if heartbeat(lab, host, name)["pool"] == "prefork"]


def wait_for(what, seconds):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.5)


def active(lab, host, node):
    return len(heartbeat(lab, host, node)["active"])


@pytest.fixture(scope="module")
def host(lab):
    return lab.group("workers_cpu")[0]


@pytest.fixture(scope="module")
def short_watchdog(lab, host):
    """The deployed program with a threshold of seconds; what it prints is in the journal of its unit."""
    program = "/usr/bin/python3 /usr/local/lib/celery-watchdog/multinode_watchdog.py"
    lab.run(host, f"python3 -c {shlex.quote(SHORTEN % THRESHOLD)}")
    lab.run(
        host,
        f"systemd-run --quiet --unit={UNIT} --property=User=celery --property=RuntimeDirectory={UNIT}"
        f" --property=RuntimeDirectoryPreserve=yes --on-active=1 --on-unit-inactive=2 --timer-property=AccuracySec=200ms"
        f" {program} --settings=/var/tmp/watchdog-test.json --directory=/run/{UNIT}",
    )
    since = lab.run(host, "date +%s").strip()
    yield lambda: lab.run(host, f"journalctl --unit={UNIT}.service --since=@{since} --output=cat")
    lab.run(host, f"systemctl stop {UNIT}.timer {UNIT}.service; rm -f /var/tmp/watchdog-test.json", check=False)


def test_it_runs_on_every_worker_host(lab):
    for host in lab.group("workers"):
        assert lab.run(host, "systemctl is-active celery-watchdog.timer").strip() == "active"
        assert lab.run(host, "systemctl show --property=Result --value celery-watchdog.service").strip() == "success"
        assert int(lab.run(host, "stat -c %Y /run/celery-watchdog/memory.json")) > time.time() - 120


def test_its_files_hold_no_secret(lab, host):
    text = lab.run(host, "cat /etc/celery/proj/watchdog.json /etc/systemd/system/celery-watchdog.service /run/celery-watchdog/*")
    assert lab.secret("vault_environment_password") not in text
    assert lab.secret("vault_sentinel_client_password") not in text


def test_hung_and_busy_workers(lab, host, short_watchdog):
    """One node is stopped while it runs a task; the other is full of tasks longer than the threshold, with one more waiting."""
    (busy, slots), (hung, _slots) = max(nodes(lab, host), key=lambda node: node[1]), min(nodes(lab, host), key=lambda node: node[1])
    if busy == hung:
        busy, hung = nodes(lab, host)[0][0], nodes(lab, host)[1][0]
    previous = {name: heartbeat(lab, host, name)["pid"] for name in (busy, hung)}
    seconds = 2 * THRESHOLD + 6
    working = send(lab, host, *[["proj.tasks.long", [seconds], f"{busy}@{host}.dq2"]] * slots, ["proj.tasks.long", [1], f"{busy}@{host}.dq2"])
    stopped = send(lab, host, ["proj.tasks.long", [seconds], f"{hung}@{host}.dq2"])
    wait_for(lambda: active(lab, host, hung) and active(lab, host, busy) == slots, 40)

    lab.run(host, f"systemctl kill --kill-whom=main --signal=STOP celery-worker-{hung}.service")
    begin = time.monotonic()
    wait_for(lambda: heartbeat(lab, host, hung)["pid"] != previous[hung], THRESHOLD + 60)
    print(f"restarted {time.monotonic() - begin:.0f} s after SIGSTOP with a threshold of {THRESHOLD} s")

    (result,) = stopped.results()
    assert result["node"] == f"{hung}@{host}"
    assert len(working.results()) == slots + 1
    assert heartbeat(lab, host, busy)["pid"] == previous[busy]
    output = short_watchdog()
    assert f"{hung}@{host} hangs (stopped)" in output
    assert f"{busy}@{host} hangs" not in output
    # The stacks of the main process and of the child that ran the task.
    assert "asynloop" in output
    assert "in long" in output
