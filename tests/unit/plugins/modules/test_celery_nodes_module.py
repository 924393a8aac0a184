# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.multinode.celery.plugins.module_utils._celery_managers import State
from ansible_collections.multinode.celery.plugins.modules import celery_nodes


def never(_name, _process):
    return None


def test_nothing_to_do():
    plan = celery_nodes.make_plan(["a"], {"a": 1}, {}, never)
    assert plan == celery_nodes.Plan([], [], [], [], ["a"], {})


def test_missing_stale_and_unwanted_nodes():
    plan = celery_nodes.make_plan(
        ["a", "b", "c"], {"a": 1, "b": 2, "c": None, "d": 4}, {"e": 5}, lambda name, _process: "/etc/x" if name == "b" else None
    )
    assert plan.unchanged == ["a"]
    assert plan.restart == ["b"]
    assert plan.reasons == {"b": "/etc/x"}
    assert plan.start == ["c"]
    assert plan.remove == ["d", "e"]
    assert plan.move == []


def test_a_node_of_the_other_manager_moves():
    plan = celery_nodes.make_plan(["a"], {"a": None}, {"a": 9}, never)
    assert plan.move == ["a"]
    assert plan.start == ["a"]
    assert plan.remove == []


def test_ready_counts_only_after_the_offset_and_survives_rotation(tmp_path):
    log = tmp_path / "log"
    log.write_text("[x] a@h ready.\n")
    offset = log.stat().st_size
    assert not celery_nodes.is_ready(str(log), offset)
    with log.open("a") as file:
        file.write("[y] a@h ready.\n")
    assert celery_nodes.is_ready(str(log), offset)
    log.write_text("a ready.\n")
    assert celery_nodes.is_ready(str(log), offset)
    assert not celery_nodes.is_ready(str(tmp_path / "none"), 0)


class FakeManager:
    """Gives one state after the other, the last one for ever."""

    def __init__(self, *states):
        self.answers = list(states)

    def states(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def wait(monkeypatch, manager, log, timeout=5):
    monkeypatch.setattr(celery_nodes, "LOOK_SECONDS", 0)
    nodes = {"a": {"name": "a", "log_file": str(log), "log_level": "INFO"}}
    return celery_nodes.wait_until_ready(manager, nodes, {"a": 0}, timeout)


def test_a_ready_node_ends_the_wait(monkeypatch, tmp_path):
    log = tmp_path / "log"
    log.write_text("a@h ready.\n")
    assert wait(monkeypatch, FakeManager({}, {"a": State(1, False)}), log) == {}


def test_a_node_that_keeps_failing_is_given_up_early(monkeypatch, tmp_path):
    failed = wait(monkeypatch, FakeManager({"a": State(None, True)}), tmp_path / "log", timeout=600)
    assert failed == {"a": "does not stay up"}


def test_a_node_without_broker_is_named_after_the_time(monkeypatch, tmp_path):
    assert wait(monkeypatch, FakeManager({"a": State(1, False)}), tmp_path / "log", timeout=-1) == {
        "a": "is not connected to the broker after -1 s"
    }
    assert "does not run" in wait(monkeypatch, FakeManager({}), tmp_path / "log", timeout=-1)["a"]


class LoggingManager:
    """Writes down what is asked; all its nodes run and are ready at once."""

    def __init__(self, log, name, nodes):
        self.log, self.name, self.nodes = log, name, dict.fromkeys(nodes, 1)

    def definitions(self):
        return list(self.nodes)

    def processes(self):
        return dict(self.nodes)

    def prepare(self, needed):
        self.log.append((self.name, "prepare", needed))

    def reload(self):
        self.log.append((self.name, "reload"))

    def remove(self, names):
        self.end_remove(self.begin_remove(names))

    def begin_remove(self, names):
        if names:
            self.log.append((self.name, "stop", *sorted(names)))
        return list(names)

    def end_remove(self, names):
        if names:
            self.log.append((self.name, "forget", *sorted(names)))

    def bring_up(self, start, restart):
        self.log.append((self.name, "bring up", sorted(start), sorted(restart)))
        self.nodes.update(dict.fromkeys(start, 2))


class FakeModule:
    """A module whose failure is an exception."""

    def __init__(self, *names):
        self.params = {"nodes": [{"name": name, "log_file": "/nowhere"} for name in names], "start_timeout_seconds": 1}

    def fail_json(self, **result):
        raise SystemExit(result["msg"])


PLAN = celery_nodes.Plan(["new", "moved"], ["old"], ["gone", "foreign"], ["moved"], [], {"old": "/etc/x"})


def run(monkeypatch, failed):
    log = []

    def wait(_manager, _nodes, offsets, _timeout):
        log.append(("wait", *sorted(offsets)))
        return {name: reason for name, reason in failed.items() if name in offsets}

    monkeypatch.setattr(celery_nodes, "wait_until_ready", wait)
    manager = LoggingManager(log, "own", ["old", "gone"])
    manager.output = lambda _name: "last words"
    other = LoggingManager(log, "other", ["moved", "foreign"])
    module = FakeModule("new", "moved", "old")
    try:
        celery_nodes.apply(manager, other, PLAN, lambda name, _process: "/etc/x" if name == "old" else None, module)
    except SystemExit as error:
        return log, str(error)
    return log, ""


def test_new_nodes_are_ready_before_others_stop(monkeypatch):
    log, error = run(monkeypatch, {})
    assert error == ""
    assert log == [
        ("other", "stop", "moved"),
        ("other", "forget", "moved"),
        ("own", "prepare", True),
        ("own", "reload"),
        ("own", "bring up", ["moved", "new"], []),
        ("wait", "moved", "new"),
        ("own", "stop", "gone"),
        ("other", "stop", "foreign"),
        ("own", "bring up", [], ["old"]),
        ("wait", "old"),
        ("own", "forget", "gone"),
        ("other", "forget", "foreign"),
    ]


def test_a_new_node_that_does_not_come_up_leaves_the_others_alone(monkeypatch):
    log, error = run(monkeypatch, {"new": "does not run"})
    assert "node new does not run" in error
    assert "last words" in error
    assert ("own", "stop", "gone") not in log
    assert ("own", "bring up", [], ["old"]) not in log
