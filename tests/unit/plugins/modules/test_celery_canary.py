# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _celery_remote as remote
from ansible_collections.multinode.celery.plugins.modules import celery_canary

NODES = [
    {"node": "video@a", "host": "a", "queues": ["v", "d"]},
    {"node": "video@b", "host": "b", "queues": ["v"]},
]


def test_expected_answers_are_grouped_by_queue():
    assert celery_canary.expected_answers(NODES) == {"v": {"video@a": "a", "video@b": "b"}, "d": {"video@a": "a"}}


def test_the_table_is_aligned_and_marks_what_failed():
    rows = [
        {"queue": "v", "node": "video@a", "host": "a", "seconds": 0.125, "ok": True},
        {"queue": "d", "node": "video@a", "host": "a", "seconds": None, "ok": False},
    ]
    assert celery_canary.render_table(rows) == [
        "queue | node    | host | seconds | ok",
        "v     | video@a | a    | 0.12    | yes",
        "d     | video@a | a    | -       | NO",
    ]


class FakeApp:
    """Executes each canary on the next of the queue's nodes."""

    def __init__(self, workers, status="SUCCESS"):
        self.workers = {queue: itertools.cycle(nodes) for queue, nodes in workers.items()}
        self.results = {}
        self.status = status
        self.backend = self

    def send_task(self, name, queue, expires, ignore_result):
        assert (name, ignore_result) == (remote.CANARY, False)
        assert expires > 0
        result = type("Result", (), {"id": str(len(self.results))})
        node = next(self.workers[queue]) if queue in self.workers else None
        self.results[result.id] = {"status": self.status if node else "PENDING", "result": node}
        return result

    def get_task_meta(self, identity):
        return self.results[identity]

    def forget(self, identity):
        pass


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(remote, "ROUND_SECONDS", 0)
    monkeypatch.setattr(remote, "LOOK_SECONDS", 0.01)


def send(app, queues, timeout=5):
    return remote.send_canaries(app, {"queues": queues, "timeout_seconds": timeout})


def test_canaries_are_sent_until_every_node_answered():
    answer = send(FakeApp({"v": ["n@a", "n@a", "n@b"]}), {"v": {"n@a": "a", "n@b": "b"}})
    assert [row["ok"] for row in answer["rows"]] == [True, True]
    assert answer["sent"] == 3


def test_a_queue_that_nobody_consumes_is_not_flooded():
    answer = send(FakeApp({}), {"v": {"n@a": "a"}}, timeout=0.2)
    assert [row["ok"] for row in answer["rows"]] == [False]
    assert answer["sent"] == 1


def test_a_node_that_is_not_expected_is_reported():
    answer = send(FakeApp({"v": ["n@a", "old@z"]}), {"v": {"n@a": "a", "n@b": "b"}}, timeout=0.2)
    assert {(row["node"], row["ok"]) for row in answer["rows"]} == {("n@a", True), ("n@b", False), ("old@z", False)}


def test_failed_canaries_are_reported():
    answer = send(FakeApp({"v": ["n@a"]}, status="REVOKED"), {"v": {"n@a": "a"}}, timeout=0.05)
    assert answer["failures"][0].startswith("v: REVOKED")
    assert answer["rows"][0]["ok"] is False
