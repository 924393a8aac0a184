"""The application, its scheduler and the rotation of its logs on the shipped prod inventory."""

from __future__ import annotations

import json
import re
import shlex
import time

import pytest
from lab import workers

testinfra_hosts = ["ansible://workers", "ansible://schedulers"]

ROOT = "/opt/celery/proj"
CONFIG = "/etc/celery/proj"
SCHEDULE = """
import json, sys
sys.path[:0] = ["/etc/celery/proj"]
from celery import Celery
app = Celery("tests")
app.config_from_object("celeryconfig")
from redbeat.schedulers import get_redis
redis = get_redis(app)
print(json.dumps({"lock": redis.get("prod:redbeat::lock"), "left": redis.pttl("prod:redbeat::lock"), "meta": redis.hget("prod:redbeat:tick", "meta")}))
"""


def as_application(host, code: str) -> object:
    """Run Python code as the application's user and return what it prints."""
    argv = ["sudo", "-u", "celery", workers.PYTHON, "-P", "-c", code]
    return json.loads(host.check_output(" ".join(shlex.quote(word) for word in argv)).splitlines()[-1])


def steps(host, path: str) -> dict[str, set[int]]:
    """Return the steps that a log file holds of each process."""
    found: dict[str, set[int]] = {}
    for step, process in re.findall(r"step (\d+) of 12 in process (\d+)", host.check_output(f"sudo cat {path}")):
        found.setdefault(process, set()).add(int(step))
    return found


def test_current_is_a_complete_release(host):
    assert host.check_output(f"readlink {ROOT}/current") == "releases/1.0.0"
    assert host.file(f"{ROOT}/current/.complete").exists
    assert host.check_output(f"{ROOT}/current/venv/bin/python -P -c 'import celery; print(celery.__version__)'").startswith("5.7.")


def test_the_application_cannot_change_its_own_code(host):
    assert host.file(f"{ROOT}/current/").user == "root"
    assert host.run(f"sudo -u celery test -w {ROOT}/current/venv/bin/celery").rc == 1
    assert host.check_output(f"sudo find {ROOT}/releases/ -perm /022 ! -type l") == ""


@pytest.mark.parametrize(
    ("path", "owner", "group", "mode"),
    [
        (CONFIG, "root", "celery", "750"),
        (f"{CONFIG}/celeryconfig.py", "root", "celery", "640"),
        (f"{CONFIG}/env", "root", "celery", "640"),
        (f"{CONFIG}/multinode_canary.py", "root", "celery", "644"),
        ("/usr/local/bin/celery-proj", "root", "root", "755"),
        ("/var/log/celery", "celery", "adm", "750"),
    ],
)
def test_modes(host, path, owner, group, mode):
    assert host.check_output(f"sudo stat -c '%U %G %a' {path}") == f"{owner} {group} {mode}"


def test_no_secret_outside_of_the_environment_file(host):
    secrets = re.findall(r"_PASSWORD=(\S+)", host.check_output(f"sudo cat {CONFIG}/env"))
    assert len(secrets) == 2
    places = f"{CONFIG}/*.py /usr/local/bin/celery-proj /etc/systemd/system /etc/logrotate.d /var/log/celery"
    # Given on a command line, the secrets would be in the journal, where sudo writes what it runs.
    search = f"sed -n \"s/'//g; s/^[A-Z_]*_PASSWORD=//p\" {CONFIG}/env | grep -rFq -f - "
    assert host.run(f"sudo sh -c {shlex.quote(search + places)}").rc == 1
    assert host.run(f"sudo sh -c {shlex.quote(search + CONFIG)}").rc == 0
    processes = host.check_output("ps -eww -o args | grep -v grep")
    assert not [secret for secret in secrets if secret.strip("'") in processes]


def test_the_launcher_is_replaced_by_celery(host):
    unit = "celery-beat.service" if "scheduler" in host.backend.get_hostname() else "celery-worker-*.service"
    processes = host.check_output(f"systemctl show --property MainPID --value '{unit}'").split()
    assert processes
    for process in processes:
        assert workers.arguments(host, int(process))[1].endswith("/venv/bin/celery")


def test_exactly_one_scheduler_is_active(host):
    workers.only_on(host, "scheduler-1")
    assert host.service("celery-beat").is_running
    assert host.service("celery-beat").is_enabled
    before = as_application(host, SCHEDULE)
    assert before["lock"]
    assert 0 < before["left"] <= 30000
    time.sleep(12)
    after = as_application(host, SCHEDULE)
    assert after["lock"] == before["lock"]
    assert after["meta"] != before["meta"]


def test_the_scheduler_is_sandboxed(host):
    workers.only_on(host, "scheduler-1")
    # The exit code tells whether the exposure is above the threshold, in tenths.
    host.check_output("systemd-analyze security --threshold=30 --no-pager celery-beat.service")


def test_a_rotation_does_not_disturb_a_running_task(host):
    workers.only_on(host, "cpu-1")
    # Both hosts have two processes, so that four tasks reach this one as well.
    workers.send(host, "proj.tasks.long", [12], "default", count=4, timeout=0)
    deadline = time.monotonic() + 30
    while not steps(host, "/var/log/celery/general.log") and time.monotonic() < deadline:
        time.sleep(0.5)
    process = workers.main_process(host, "general")
    host.check_output("sudo logrotate --force /etc/logrotate.d/celery")
    time.sleep(14)
    rotated = host.check_output("sudo sh -c 'ls -t /var/log/celery/general.log-* | head -1'")
    old, new = steps(host, rotated), steps(host, "/var/log/celery/general.log")
    assert new
    for number, seen in new.items():
        # The same process, and nothing lost between the two files.
        assert seen | old[number] == set(range(1, 13))
    assert workers.main_process(host, "general") == process
    assert host.check_output("sudo stat -c '%U %G %a' /var/log/celery/general.log") == "celery adm 640"
