# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _celery_remote as remote

NOW = 1000.0


def message(task, sent=None):
    headers = {"task": task, "id": "x"}
    if sent is not None:
        headers[remote.SENT_AT] = sent
    return {"body": "", "headers": headers}


class FakeRedis:
    """Lists with the newest message on the left, as kombu keeps them."""

    def __init__(self, lists=None, unacked=None, index=None):
        self.lists = {key: [json.dumps(one) for one in values] for key, values in (lists or {}).items()}
        self.unacked = {tag: json.dumps(value) for tag, value in (unacked or {}).items()}
        self.index = index or []

    def llen(self, key):
        return len(self.lists.get(key, []))

    def lrange(self, key, begin, end):
        values = self.lists.get(key, [])
        begin, end = max(0, len(values) + begin), len(values) + end
        return values[begin : end + 1]

    def hlen(self, key):
        return len(self.unacked)

    def hmget(self, key, tags):
        return [self.unacked.get(tag) for tag in tags]

    def zrange(self, key, begin, end, withscores):
        return self.index[begin : end + 1]


def test_a_queue_is_the_sum_of_its_priorities():
    client = FakeRedis({"q": [message("a"), message("b", 990.0)], "q:3": [message("a", 900.0)]})
    report = remote.queue_report(client, {0: "q", 3: "q:3"}, 100, NOW)
    assert (report["length"], report["priorities"]) == (3, {"0": 2, "3": 1})
    assert report["tasks"] == {"a": 2, "b": 1}
    assert report["oldest_seconds"] == 100.0
    assert report["complete"]


@pytest.mark.parametrize("chunk", [1, 2, 500])
def test_of_a_long_queue_the_next_messages_are_read(monkeypatch, chunk):
    monkeypatch.setattr(remote, "CHUNK", chunk)
    client = FakeRedis({"q": [message("newest"), message("b"), message("next"), message("next")]})
    report = remote.queue_report(client, {0: "q"}, 3, NOW)
    assert (report["length"], report["scanned"], report["complete"]) == (4, 3, False)
    assert report["tasks"] == {"b": 1, "next": 2}


def test_an_empty_queue_and_messages_without_a_time():
    assert remote.queue_report(FakeRedis(), {0: "q"}, 10, NOW)["oldest_seconds"] is None
    assert remote.age(message("a"), NOW) is None
    assert remote.age(message("a", "yesterday"), NOW) is None
    # Clocks of hosts differ a little.
    assert remote.age(message("a", NOW + 1), NOW) == 0.0


def test_a_message_of_another_kind_has_no_task():
    assert [remote.task_name(one) for one in ({}, {"headers": None}, [1], message("a"))] == ["", "", "", "a"]


def test_what_workers_hold_is_reported_by_queue():
    # One message is acknowledged between the two questions.
    client = FakeRedis(
        unacked={"1": [message("a", 990.0), "", "q"], "2": [message("b"), "", "other"], "3": [message("a"), "", "q"], "4": [{}, "", ""]},
        index=[("1", 995.0), ("2", 996.0), ("acknowledged", 997.0), ("3", 998.0)],
    )
    report, by_queue = remote.unacked_report(client, "unacked", "unacked_index", 100, NOW)
    assert (report["count"], report["tasks"], report["oldest_seconds"], report["unacked_seconds"]) == (4, {"a": 2, "b": 1}, 10.0, 5.0)
    assert report["complete"]
    assert by_queue == {"q": {"a": 2}, "other": {"b": 1}}


def test_nothing_is_unacked():
    report, by_queue = remote.unacked_report(FakeRedis(), "unacked", "unacked_index", 100, NOW)
    assert (report["count"], report["unacked_seconds"], by_queue) == (0, None, {})
