# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

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

    def begin_remove(self, names):
        if names:
            self.log.append((self.name, "stop", *sorted(names)))
        return list(names)

    def end_remove(self, names):
        if names:
            self.log.append((self.name, "forget", *sorted(names)))

    def start(self, names):
        self.log.append((self.name, "start", *sorted(names)))

    def begin_restart(self, names):
        self.log.append((self.name, "restart", *sorted(names)))

    def end_restart(self, name):
        self.log.append((self.name, "restarted", name))

    def definition(self, name):
        return f"/nowhere/{name}"


class FakeDrain:
    """All processes end at once."""

    def __init__(self, log):
        self.log = log

    def watch(self, leaving, gone=None):
        if leaving:
            self.log.append(("watch", *sorted(leaver.name for leaver in leaving)))
        for leaver in leaving:
            if gone:
                gone(leaver.name)
        return [{"node": leaver.name} for leaver in leaving]


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
        if offsets:
            log.append(("wait", *sorted(offsets)))
        return {name: reason for name, reason in failed.items() if name in offsets}

    monkeypatch.setattr(celery_nodes, "wait_until_ready", wait)
    manager = LoggingManager(log, "own", ["old", "gone"])
    manager.output = lambda _name: "last words"
    other = LoggingManager(log, "other", ["moved", "foreign"])
    module = FakeModule("new", "moved", "old")
    try:
        celery_nodes.apply(manager, other, PLAN, lambda name, _process: "/etc/x" if name == "old" else None, module, FakeDrain(log))
    except SystemExit as error:
        return log, str(error)
    return log, ""


def test_new_nodes_are_ready_before_others_stop(monkeypatch):
    log, error = run(monkeypatch, {})
    assert error == ""
    assert log == [
        ("other", "stop", "moved"),
        ("watch", "moved"),
        ("other", "forget", "moved"),
        ("own", "prepare", True),
        ("own", "reload"),
        ("own", "start", "moved", "new"),
        ("wait", "moved", "new"),
        ("own", "stop", "gone"),
        ("other", "stop", "foreign"),
        ("own", "restart", "old"),
        ("watch", "foreign", "gone", "old"),
        ("own", "restarted", "old"),
        ("wait", "old"),
        ("own", "forget", "gone"),
        ("other", "forget", "foreign"),
    ]


def test_a_new_node_that_does_not_come_up_leaves_the_others_alone(monkeypatch):
    log, error = run(monkeypatch, {"new": "does not run"})
    assert "node new does not run" in error
    assert "last words" in error
    assert ("own", "stop", "gone") not in log
    assert ("own", "restart", "old") not in log
