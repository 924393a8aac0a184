"""A release comes and goes under load without losing a task, and a bad one stops before it does harm.

The tests depend on each other's order: each begins with the release that the one before left, and the last leaves the shipped one.
"""

from __future__ import annotations

import shutil

import pytest
from lab import ROOT, playbooks, report, updates
from lab.hosts import wait_until
from lab.load import NOOP, QUEUE, Load, Stream

SHIPPED, NEXT = "1.0.0", "2.0.0"
PROJECT = ROOT / "examples" / "proj"
# Ends a worker while it starts, fails what a worker executes, or both only where a task's queue is.
DOES_NOT_START = 'raise SystemExit("this release does not start")\n'
FAILS_TASKS = """
import sys

from celery import Task


class Broken(Task):
    def __call__(self, *args, **kwargs):
        raise RuntimeError("this release executes nothing")


if any(word.startswith("--hostname={node}") for word in sys.argv):
    app.Task = Broken
"""


@pytest.fixture(scope="module")
def results():
    """Filled by the tests in their order, written even when one of them fails."""
    collected: dict = {}
    yield collected
    text = updates.table(collected)
    print("\n" + text)
    report.write("update", collected, text)


@pytest.fixture(scope="module", autouse=True)
def _only_the_shipped_release(lab):
    """Leave no release behind that the inventory does not name, unless a test that failed left it in use."""
    yield
    for host in hosts(lab):
        kept = f"{SHIPPED}\\|{updates.current(lab, host)}"
        lab.run(host, f"cd /opt/celery/proj/releases && ls | grep -v '^\\({kept}\\)$' | xargs -r rm -rf")


@pytest.fixture
def project(tmp_path):
    """A copy of the example application to spoil."""
    folder = tmp_path / "proj"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def hosts(lab) -> list[str]:
    return list(dict.fromkeys(lab.group("workers") + lab.group("schedulers")))


def releases(lab, where=None) -> dict[str, str]:
    return {host: updates.current(lab, host) for host in where or hosts(lab)}


def assert_nothing_noticed(result: dict) -> None:
    assert result["accepted"] > 500, "too little load to prove anything"
    assert (result["refused"], result["failed"], result["lost"], result["waiting"]) == (0, 0, 0, 0), result
    assert result["executed"] == result["accepted"]
    # At least once: a task that reaches a process in the very moment in which its node is stopped runs, and runs again elsewhere.
    assert result["doubled"] <= sum(count["at_first"] for count in result["consumers"].values()), result
    # Batches of one host: a pool is never short of more than the nodes of one host, and never gone.
    assert result["consumers"]
    for pool, count in result["consumers"].items():
        assert count["fewest"] >= max(1, count["at_first"] - 1), (pool, result["consumers"])


def services(lab, verb: str, nodes: list[str]) -> None:
    for name, host in (node.split("@") for node in nodes):
        lab.run(host, f"systemctl {verb} celery-worker-{name}.service")


def spoil(project, text: str, name: str = "celery.py") -> None:
    path = project / "proj" / name
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize(
    ("playbook", "variables", "message"),
    [
        ("rolling_update", {"celery_update_batch": 99}, "celery_update_batch is '99'"),
        ("rolling_update", {"celery_update_version": "../2.0.0"}, "celery_update_version is '../2.0.0'"),
        ("rollback", {"celery_update_rollback_version": "0.9"}, "set celery_update_rollback_version to a release that every host keeps"),
    ],
)
def test_bad_input_is_refused_before_anything_changes(lab, playbook, variables, message):
    # The inventory itself is checked by other tests.
    output = playbooks.output(lab, f"playbooks/ops/{playbook}.yml", "--skip-tags", "always", fails=True, **variables)
    assert message in output
    assert "changed=1" not in output
    assert set(releases(lab).values()) == {SHIPPED}


def test_an_update_that_is_killed_is_finished_by_the_next_run(lab, results):
    """Both under a load of short and long tasks."""
    victim, rest = lab.group("workers")[1], lab.group("workers")[2:]
    variables = {"celery_update_version": NEXT, "celery_update_batch": 1}

    def kill() -> None:
        updates.kill_in_the_middle(lab, "rolling_update", victim, NEXT, **variables)
        # What was not reached goes on with the previous release.
        assert set(releases(lab, rest).values()) == {SHIPPED}

    result = results["update"] = updates.under_load(lab, "rolling_update", before=kill, **variables)
    assert_nothing_noticed(result)
    assert set(releases(lab).values()) == {NEXT}
    assert all(updates.running(lab, host) == {NEXT} for host in lab.group("workers"))


def test_a_rollback_under_load(lab, results):
    result = results["rollback"] = updates.under_load(lab, "rollback", celery_update_batch=1)
    assert_nothing_noticed(result)
    assert set(releases(lab).values()) == {SHIPPED}
    assert all(updates.running(lab, host) == {SHIPPED} for host in lab.group("workers"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DOES_NOT_START, "does not start: it cannot be imported"),
        (FAILS_TASKS.replace("{node}", "multinode.trial"), "starts, but its canary ended with FAILURE"),
    ],
    ids=["does_not_start", "fails_its_canary"],
)
def test_a_bad_release_is_stopped_before_the_first_batch(lab, project, text, message, request):
    spoil(project, text)
    one = lab.group("workers")[0]
    version = f"bad_{request.node.callspec.id}"
    output = playbooks.output(lab, "playbooks/ops/rolling_update.yml", "--skip-tags", "always", "--limit", one, fails=True,
                              celery_update_version=version, celery_app_source=str(project))
    assert message in output
    assert (updates.current(lab, one), updates.running(lab, one)) == (SHIPPED, {SHIPPED})


def test_a_release_that_does_not_know_a_waiting_task_is_stopped(lab, project):
    path = project / "proj" / "tasks.py"
    path.write_text(path.read_text().replace("def noop():", "def nothing():"))
    one = lab.group("workers")[0]
    # While nobody consumes the queue the tasks wait.
    services(lab, "stop", consuming := lab.nodes_of(QUEUE))
    try:
        with Load(lab, [Stream(NOOP, [], QUEUE, 50, 7)]) as load:
            wait_until(lambda: load.accepted() == 7, 30)
            output = playbooks.output(lab, "playbooks/ops/rolling_update.yml", "--skip-tags", "always", "--limit", one, fails=True,
                                      celery_update_version="bad_forgetful", celery_app_source=str(project))
    finally:
        services(lab, "start", consuming)
    assert "does not know tasks that wait" in output and f"{QUEUE}: {NOOP} (7)" in output
    assert updates.current(lab, one) == SHIPPED
    result = load.result()
    assert (result["lost"], result["failed"], result["executed"]) == (0, 0, 7)


def test_a_batch_that_fails_goes_back_and_the_rest_is_untouched(lab, project):
    """The release passes the gate, but one kind of node starts and executes nothing."""
    spoil(project, FAILS_TASKS.replace("{node}", "video@"))
    first, second = lab.group("workers_cpu")[:2]
    processes = "systemctl show --property=Id,MainPID 'celery-worker-*'"
    before = lab.run(second, processes)
    with Load(lab, [Stream("proj.tasks.noop", [], "default", 10), Stream("proj.tasks.sleep", [0.5], "data_export", 2)]) as load:
        output = playbooks.output(lab, "playbooks/ops/rolling_update.yml", "--skip-tags", "always", "--limit", "workers_cpu", fails=True,
                                  celery_update_version="bad_video", celery_app_source=str(project), celery_update_batch=1,
                                  celery_update_rollback_on_failure=True)
    assert f"video@{first} did not execute its canary" in output and "The batch went back" in output
    assert (updates.current(lab, first), updates.running(lab, first)) == (SHIPPED, {SHIPPED})
    assert lab.run(second, processes) == before
    result = load.result()
    assert (result["lost"], result["failed"], result["executed"]) == (0, 0, result["accepted"])
