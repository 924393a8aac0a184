# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the exporter of queues makes of Redis's answers."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import pathlib
import time
import types

import pytest

FILES = pathlib.Path(__file__).resolve().parents[4] / "roles/celery_exporter/files/usr/local/lib/celery-exporter"
SPEC = importlib.util.spec_from_file_location("multinode_queues", FILES / "multinode_queues.py")
queues = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(queues)

CONFIG = types.SimpleNamespace(
    broker_url="sentinel://prod:a%2Fb@10.0.0.1:26379/2;sentinel://prod:a%2Fb@10.0.0.2:26380/2",
    broker_transport_options={"master_name": "celery", "global_keyprefix": "prod:", "priority_steps": [0, 5]},
)


def message(tag, **headers):
    return json.dumps({"headers": headers, "properties": {"delivery_tag": tag}}).encode()


class Redis:
    """Answers like a server that holds these lists and these unacknowledged messages."""

    def __init__(self, lists, unacked):
        self.lists, self.unacked, self.answers, self.asked = lists, unacked, [], []

    def pipeline(self, transaction):
        return self

    def llen(self, key):
        self.answers.append(len(self.lists.get(key, [])))

    def lrange(self, key, first, last):
        self.answers.append(self.lists.get(key, [])[-1:])

    def hlen(self, key):
        self.answers.append(len(self.unacked))

    def zrange(self, key, first, last, withscores):
        self.answers.append([(tag.encode(), score) for tag, (score, _unacked) in self.unacked.items()])

    def execute(self):
        answers, self.answers = self.answers, []
        return answers

    def hmget(self, key, tags):
        self.asked.append(tags)
        return [json.dumps(self.unacked[tag][1]).encode() for tag in tags]


@pytest.fixture
def look(monkeypatch):
    reader = queues.Reader(queues.broker_of(CONFIG), ["default", "video"])

    def ask(lists=None, unacked=None):
        server = Redis(lists or {}, unacked or {})
        monkeypatch.setattr(queues, "open_master", lambda broker: contextlib.nullcontext(server))
        return reader.look(), server

    return ask


def test_the_broker_is_read_from_the_configuration_module():
    broker = queues.broker_of(CONFIG)
    assert broker.sentinels == [("10.0.0.1", 26379), ("10.0.0.2", 26380)]
    assert (broker.vhost, broker.username, broker.password, broker.master_name) == (2, "prod", "a/b", "celery")


def test_lengths_are_the_sum_of_all_priorities(look):
    snapshot, _server = look({"prod:video": [message(1), message(2)], "prod:video\x06\x165": [message(3)]})
    assert snapshot.length == {"default": 0, "video": 3}
    assert snapshot.by_priority["video", 5] == 1


def test_age_is_that_of_the_message_that_is_taken_next(look):
    now = time.time()
    lists = {"prod:default": [message(1, multinode_sent_at=now - 5), message(2, multinode_sent_at=now - 60)]}
    snapshot, _server = look(lists)
    assert snapshot.oldest["default"] == pytest.approx(60, abs=1)
    assert snapshot.oldest["video"] == 0
    assert snapshot.unknown_age["default"] is False


def test_a_message_without_a_time_ages_from_when_it_was_first_seen(look, monkeypatch):
    monkeypatch.setattr(queues.time, "time", lambda: 1000.0)
    assert look({"prod:default": [message(1)]})[0].oldest["default"] == 0
    monkeypatch.setattr(queues.time, "time", lambda: 1030.0)
    snapshot, _server = look({"prod:default": [message(1)]})
    assert (snapshot.oldest["default"], snapshot.unknown_age["default"]) == (30, True)
    assert look({"prod:default": [message(2)]})[0].oldest["default"] == 0


def test_unacked_messages_count_under_their_queue_and_are_asked_about_once(look, monkeypatch):
    monkeypatch.setattr(queues.time, "time", lambda: 1000.0)
    unacked = {
        "a": (990.0, [{}, "", "video"]),
        "b": (900.0, [{}, "video", "video"]),
        "c": (995.0, [{}, "C.dq2", "video@cpu-1"]),
        "d": (999.0, [{}, "elsewhere", "some.key"]),
    }
    snapshot, server = look(unacked=unacked)
    assert (snapshot.unacked["video"], snapshot.unacked["default"], snapshot.unacked["video@cpu-1.dq2"], snapshot.unacked[""]) == (2, 0, 1, 1)
    assert (snapshot.unacked_oldest["video"], snapshot.unacked_total) == (100, 4)
    assert server.asked == [["a", "b", "c", "d"]]
    assert look(unacked=unacked)[1].asked == []
