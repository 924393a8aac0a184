# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canaries that are sent to one node alone."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _celery_remote as remote

pytest.importorskip("celery")


class FakeApp:
    """Nodes that execute, fail, or are not there."""

    def __init__(self, states):
        self.states, self.results, self.purged = states, {}, []
        self.backend = self.default_channel = self

    def send_task(self, name, args, queue, expires, ignore_result):
        assert (name, args, ignore_result) == ("proj.tasks.noop", [1], False)
        node = queue.name.removesuffix(".dq2")
        self.results[node] = {"status": self.states.get(node, "PENDING"), "result": "why"}
        return type("Result", (), {"id": node})

    def get_task_meta(self, identity):
        return self.results[identity]

    def forget(self, identity):
        del self.results[identity]

    def connection_for_write(self):
        return contextlib.nullcontext(self)

    def queue_purge(self, queue):
        self.purged.append(queue)


def test_each_node_is_reached_through_its_own_queue(monkeypatch):
    monkeypatch.setattr(remote, "LOOK_SECONDS", 0.01)
    app = FakeApp({"video@a": "SUCCESS", "video@b": "FAILURE"})
    nodes = {"video@a": "a", "video@b": "b", "video@c": "c"}
    answer = remote.direct_canaries(app, {"nodes": nodes, "task": "proj.tasks.noop", "args": [1], "timeout_seconds": 0.2})
    assert [(row["node"], row["ok"]) for row in answer["rows"]] == [("video@a", True), ("video@b", False), ("video@c", False)]
    assert answer["failures"] == ["video@b: FAILURE 'why'", "video@c: no answer within 0.2 s"]
    # Only what nobody took is thrown away, and no result is left.
    assert (app.purged, list(app.results)) == (["video@c.dq2"], ["video@c"])
