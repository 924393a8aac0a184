# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report that a stopping worker writes, without a worker."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re

import pytest

state = pytest.importorskip("celery.worker.state")

TEMPLATE = pathlib.Path(__file__).resolve().parents[4] / "roles/celery_worker/templates/etc/celery/multinode_drain.py.j2"


class Request:
    """As much of a task's request as the report looks at."""

    def __init__(self, identity: str, acknowledged: bool = False) -> None:
        self.id, self.name, self.acknowledged = identity, "proj.a", acknowledged


@pytest.fixture(name="report")
def _report(tmp_path, monkeypatch):
    text = re.sub(r"\{\{.*?\}\}", lambda _found: repr(str(tmp_path)), TEMPLATE.read_text())
    path = tmp_path / "multinode_drain.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("multinode_drain", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("active_requests", "reserved_requests", "scheduled_requests"):
        monkeypatch.setattr(state, name, set(), raising=False)
    return module.Report("video@cpu-1")


def written(report) -> dict:
    return json.loads(pathlib.Path(f"{report.path}.json").read_text())


def states(report) -> dict[str, str]:
    return {name: task[1] for name, task in written(report)["tasks"].items()}


def test_what_ran_and_what_waited_is_distinguished(report):
    runs, early, waits = Request("runs"), Request("early", acknowledged=True), Request("waits")
    state.active_requests.update({runs, early})
    state.scheduled_requests.add(waits)
    report.look()
    report.write("draining")
    assert states(report) == {"runs": "running", "early": "running", "waits": "waiting"}
    # Both end in time; Celery forgets the one that waits when it closes its channel.
    for requests in (state.active_requests, state.scheduled_requests):
        requests.clear()
    report.end()
    assert states(report) == {"runs": "finished", "early": "finished", "waits": "given_back"}
    assert written(report)["phase"] == "ended"
    assert not written(report)["timed_out"]


def test_a_task_that_was_too_quick_to_be_seen_running_is_finished(report):
    quick = Request("quick")
    state.reserved_requests.add(quick)
    report.look()
    state.reserved_requests.clear()
    quick.acknowledged = True
    report.end()
    assert states(report) == {"quick": "finished"}


def test_the_end_of_the_drain_is_not_taken_for_the_end_of_a_task(report):
    back, lost = Request("back"), Request("lost", acknowledged=True)
    state.active_requests.update({back, lost})
    report.look()
    report.settle([back], [lost])
    state.active_requests.clear()
    report.end()
    assert states(report) == {"back": "given_back", "lost": "lost"}
    assert written(report)["timed_out"]


def test_a_shorter_bound_may_be_asked_for_and_never_a_longer_one(report):
    assert report.bound(60) == 60
    bound = pathlib.Path(f"{report.path}.bound")
    bound.write_text("5\n")
    assert report.bound(60) == 5
    assert report.bound(3) == 3
    bound.write_text("soon")
    assert report.bound(60) == 60


def test_a_full_disk_does_not_stop_the_drain(report):
    report.path = "/nowhere/video"
    report.look()
    report.write("draining")
    report.end()
