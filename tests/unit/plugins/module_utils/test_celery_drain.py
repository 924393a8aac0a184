# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _celery_drain as drain

LOG = """[x: INFO/MainProcess] Task proj.old[0] received
[x: INFO/MainProcess] video@cpu-1 ready.
[x: INFO/MainProcess] Task proj.a[1] received
[x: INFO/MainProcess] Task proj.b[2] received
[x: INFO/ForkPoolWorker-1] Task proj.a[1] succeeded in 1s: None
[x: INFO/MainProcess] Task proj.c[3] received
[x: ERROR/ForkPoolWorker-2] Task proj.c[3] raised unexpected: ValueError()
"""


def report(phase="ended", timed_out=False, **tasks):
    return {"phase": phase, "timed_out": timed_out, "process": 7, "tasks": {key: ["t", state] for key, state in tasks.items()}}


def test_a_log_shows_what_was_not_finished_since_the_last_start():
    assert drain.read_tasks(LOG) == ({"2": "proj.b"}, {"1": "proj.a"})
    assert drain.read_tasks("") == ({}, {})


@pytest.mark.parametrize(
    ("found", "killed", "outcome"),
    [
        (report(a="finished"), False, "stopped"),
        (report(timed_out=True, a="given_back"), False, "timed out"),
        (report("draining", a="running"), False, "killed"),
        (report("timed_out", timed_out=True, a="given_back"), False, "killed"),
        (report(), True, "killed"),
        (None, True, "killed"),
        (None, False, "no report"),
    ],
)
def test_the_outcome_follows_the_last_report(found, killed, outcome):
    assert drain.row("video", 1.23, found, killed)["outcome"] == outcome


def test_a_row_sorts_tasks_by_what_became_of_them():
    row = drain.row("video", 1.23, report("draining", a="finished", b="running", c="waiting", d="lost", e="given_back"), False)
    assert row["finished"] == ["t[a]"]
    assert row["given_back"] == ["t[e]"]
    assert row["lost"] == ["t[d]"]
    assert row["unsettled"] == ["t[b]", "t[c]"]
    assert row["seconds"] == 1.2


def test_only_the_report_of_the_same_process_counts(tmp_path):
    (tmp_path / "video.json").write_text(json.dumps(report()))
    assert drain.read_report(str(tmp_path), "video", 7) == report()
    assert drain.read_report(str(tmp_path), "video", 8) is None
    (tmp_path / "video.json").write_text("{")
    assert drain.read_report(str(tmp_path), "video", 7) is None


def test_the_table_names_what_did_not_finish():
    lines = drain.table([drain.row("video", 2, report(timed_out=True, a="finished", b="given_back", c="lost"), False)])
    assert lines[0].split(" | ") == ["node ", "outcome  ", "seconds", "finished", "given back", "lost"]
    assert lines[1].split() == "video | timed out | 2.0 | 1 | 1 | 1".split()
    assert lines[2:] == ["video: given back: t[b]", "video: LOST: t[c]"]


@pytest.mark.parametrize(("stat", "letter"), [("7 (a b) T 1", "T"), ("7 (x) Z 1", ""), ("7 (x)) S 1", "S")])
def test_a_zombie_is_gone(tmp_path, stat, letter):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(stat)
    assert drain.status(7, str(tmp_path)) == letter
    assert drain.status(8, str(tmp_path)) == ""


class FakeManager:
    stop_timeout = 5

    def __init__(self):
        self.kills = []

    def kill(self, name, process):
        self.kills.append((name, process))

    def wake(self, process):
        self.woken = process


class FakeModule:
    def __init__(self, directory, **params):
        times = {"answer_timeout_seconds": 0, "stop_timeout_seconds": 60}
        self.params = {"report_directory": str(directory), "app_directory": "/opt/celery/proj", **times, **params}
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


def test_a_suspended_node_is_killed_and_its_tasks_are_settled_with_the_broker(monkeypatch, tmp_path):
    log = tmp_path / "video.log"
    log.write_text(LOG + "[x] Task proj.d[4] received\n")
    manager = FakeManager()
    monkeypatch.setattr(drain, "LOOK_SECONDS", 0)
    monkeypatch.setattr(drain, "status", lambda _process: "" if manager.kills else "T")
    monkeypatch.setattr(drain, "ask", lambda _module, action, _seconds, tasks, done: {"restored": [one for one in tasks if one == "2"], "done": done})
    gone = []
    (row,) = drain.Drain(FakeModule(tmp_path)).watch([drain.Leaver(manager, "video", 7, str(log), "prefork")], gone.append)
    assert manager.woken == 7
    assert manager.kills == [("video", 7)]
    assert gone == ["video"]
    assert (row["outcome"], row["given_back"], row["lost"], row["unsettled"]) == ("killed", ["proj.b[2]"], ["proj.d[4]"], [])


@pytest.mark.parametrize(
    ("letter", "pool", "seconds", "deaf"),
    [("S", "prefork", 31, True), ("S", "prefork", 29, False), ("S", "solo", 31, False), ("T", "solo", 31, True), ("D", "gevent", 31, True)],
)
def test_a_node_without_a_report_hangs_unless_its_main_thread_may_be_in_a_task(tmp_path, letter, pool, seconds, deaf):
    leaver = drain.Leaver(FakeManager(), "video", 7, "/nowhere", pool)
    watcher = drain.Drain(FakeModule(tmp_path, answer_timeout_seconds=30))
    assert watcher._is_deaf(leaver, letter, seconds) is deaf
    (tmp_path / "video.json").write_text(json.dumps(report("draining")))
    assert watcher._is_deaf(leaver, letter, seconds) is (letter == "T")


def test_what_a_child_finished_after_its_main_process_was_gone_does_not_run_again(monkeypatch, tmp_path):
    log = tmp_path / "video.log"
    log.write_text("video@cpu-1 ready.\nTask t[b] received\nTask t[c] received\nTask t[b] succeeded in 1s\n")
    (tmp_path / "video.json").write_text(json.dumps(report("draining", b="running", c="running")))
    asked = {}
    monkeypatch.setattr(drain, "status", lambda _process: "")
    monkeypatch.setattr(drain, "ask", lambda _module, _action, _seconds, **request: asked.update(request) or {"restored": ["c"]})
    (row,) = drain.Drain(FakeModule(tmp_path)).watch([drain.Leaver(FakeManager(), "video", 7, str(log), "prefork")])
    assert asked == {"tasks": ["c"], "done": ["b"]}
    assert (row["finished"], row["given_back"], row["lost"]) == (["t[b]"], ["t[c]"], [])


def test_where_no_report_can_be_written_its_absence_means_nothing(tmp_path):
    leaver = drain.Leaver(FakeManager(), "video", 7, "/nowhere", "prefork")
    assert drain.Drain(FakeModule(tmp_path / "missing"))._is_deaf(leaver, "S", 99) is False


def test_without_the_broker_the_tasks_of_a_killed_node_stay_unsettled(monkeypatch, tmp_path):
    (tmp_path / "video.json").write_text(json.dumps(report("draining", b="running")))
    monkeypatch.setattr(drain, "status", lambda _process: "")
    leaver = drain.Leaver(FakeManager(), "video", 7, "/nowhere", "prefork")
    (row,) = drain.Drain(FakeModule(tmp_path, app_directory=None)).watch([leaver])
    assert row["unsettled"] == ["t[b]"]


def test_a_node_that_outlasts_its_manager_is_an_error(monkeypatch, tmp_path):
    manager = FakeManager()
    manager.stop_timeout = -1
    monkeypatch.setattr(drain, "status", lambda _process: "S")
    with pytest.raises(drain.ManagerError, match="video do not stop"):
        drain.Drain(FakeModule(tmp_path)).watch([drain.Leaver(manager, "video", 7, "/nowhere", "prefork")])


def test_a_shorter_drain_is_asked_for_by_a_file(tmp_path):
    (tmp_path / "video.bound").symlink_to(tmp_path / "elsewhere")
    drain.Drain(FakeModule(tmp_path)).shorten(["video"], 9)
    assert (tmp_path / "video.bound").read_text() == "9\n"
    assert not (tmp_path / "elsewhere").exists()
