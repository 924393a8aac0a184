"""A worker of workers_sensitive is apart from the others of its inventory: in its user, its queue and what Redis lets it do."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import testinfra
from lab import workers
from lab.playbooks import run_playbook

COMMON, SENSITIVE, NODE = "test-1", "test-4", "sensitive@test-4"
# Sends a task with the configuration under a directory, then tries what only a worker may do.
PRODUCER = """
import json, sys
sys.path.insert(0, "/etc/celery/producer")
from celery import Celery
app = Celery("tests")
app.config_from_object("celeryconfig")
sent = app.send_task("proj.tasks.noop", queue="sensitive").id
answers = {"sent": sent}
with app.connection_for_write() as connection:
    client = connection.default_channel.client
    for command in (
        ("LRANGE", "sensitive", 0, -1), ("BRPOP", "sensitive", 1), ("HGETALL", "unacked"), ("GET", "celery-task-meta-" + sent), ("DEL", "sensitive")
    ):
        try:
            answers[command[0]] = repr(client.execute_command(*command))
        except Exception as error:
            answers[command[0]] = str(error)
print(json.dumps(answers))
"""


def machine(name: str) -> testinfra.host.Host:
    """Return a host by its name in the inventory."""
    return testinfra.get_host(f"ansible://{name}")


def test_it_runs_as_a_user_of_its_own():
    host = machine(SENSITIVE)
    process = workers.main_process(host, "sensitive")
    assert host.check_output(f"ps -o user:20= -p {process}").strip() == "celery_sensitive"
    assert host.run("id celery").rc != 0
    assert host.check_output("sudo stat -c '%U %G %a' /etc/celery/proj/env") == "root celery_sensitive 640"
    assert machine(COMMON).run("id celery_sensitive").rc != 0


def test_neither_side_has_the_password_of_the_other():
    files = {name: machine(name).check_output("sudo sh -c 'cat /etc/celery/*/*'") for name in (COMMON, SENSITIVE)}
    passwords = {name: re.search("MULTINODE_REDIS_PASSWORD=(.+)", text)[1] for name, text in files.items()}
    assert passwords[COMMON] not in files[SENSITIVE]
    assert passwords[SENSITIVE] not in files[COMMON]


@pytest.mark.parametrize(("name", "user", "seen", "unseen"), [
    (COMMON, "celery", "video@test-1", NODE), (SENSITIVE, "celery_sensitive", NODE, "video@test-1"),
])  # fmt: skip
def test_remote_control_reaches_the_workers_of_one_environment(name, user, seen, unseen):
    output = machine(name).check_output(f"sudo -u {user} celery-proj inspect ping --timeout=5")
    assert f"{seen}: OK" in output
    assert unseen not in output


def test_a_producer_puts_tasks_into_the_queue_and_reads_nothing():
    run_playbook("molecule/options/producer.yml")
    host = machine(COMMON)
    argv = ["sudo", "-u", "celery", workers.PYTHON, "-P", "-c", PRODUCER]
    answers = json.loads(host.check_output(" ".join(shlex.quote(word) for word in argv)).splitlines()[-1])
    sent = answers.pop("sent")
    machine(SENSITIVE).check_output(f"timeout 30 sh -c 'until sudo grep -q \"{sent}.* succeeded\" /var/log/celery/sensitive.log; do sleep 0.3; done'")
    assert len(answers) == 5
    assert all("has no permissions" in answer or "No permissions" in answer for answer in answers.values()), answers


def test_checks_of_the_cluster_ask_both_environments():
    output = run_playbook("playbooks/ops/verify.yml").stdout
    assert f"| {NODE} " in output and "| video@test-1 " in output
    assert "Nothing found" in run_playbook("playbooks/ops/doctor.yml").stdout
