# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.multinode.celery.plugins.module_utils import _celery_ready as ready
from ansible_collections.multinode.celery.plugins.module_utils._celery_managers import State


def test_ready_counts_only_after_the_offset_and_survives_rotation(tmp_path):
    log = tmp_path / "log"
    log.write_text("[x] a@h ready.\n")
    offset = log.stat().st_size
    assert not ready.is_ready(str(log), offset)
    with log.open("a") as file:
        file.write("[y] a@h ready.\n")
    assert ready.is_ready(str(log), offset)
    log.write_text("a ready.\n")
    assert ready.is_ready(str(log), offset)
    assert not ready.is_ready(str(tmp_path / "none"), 0)


class FakeManager:
    """Gives one state after the other, the last one permanently."""

    def __init__(self, *states):
        self.answers = list(states)

    def states(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def wait(monkeypatch, manager, log, timeout=5):
    monkeypatch.setattr(ready, "LOOK_SECONDS", 0)
    nodes = {"a": {"name": "a", "log_file": str(log), "log_level": "INFO"}}
    return ready.wait_until_ready(manager, nodes, {"a": 0}, timeout)


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


def test_a_node_is_known_from_its_definition(tmp_path):
    class Manager:
        def definition(self, name):
            return str(tmp_path / name)

    (tmp_path / "a").write_text('ExecStart=/x "worker" --loglevel=WARNING --logfile=/var/log/celery/a.log --pool=solo\n')
    assert ready.defined_node(Manager(), "a") == {"name": "a", "log_file": "/var/log/celery/a.log", "log_level": "WARNING", "pool": "solo"}
    assert ready.defined_node(Manager(), "b") == {"name": "b", "log_file": "", "log_level": "INFO", "pool": "prefork"}
