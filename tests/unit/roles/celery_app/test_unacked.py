# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a message that was delivered and could not be recorded: kombu's own channel, with a fake of a broker."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
import types

import kombu
import pytest
from fake_redis import FakeRedis
from kombu.transport import redis as transport

TEMPLATE = pathlib.Path(__file__).resolve().parents[4] / "roles/celery_app/templates/etc/celery/app/multinode_unacked.py.j2"
NODE = types.SimpleNamespace(hostname="video@cpu-1")
PATCHED = ("append", "ack", "restore_visible")


def raw(tag="tag"):
    """A message as it lies in a queue."""
    delivery = {"exchange": "", "routing_key": "video"}
    properties = {"delivery_info": delivery, "delivery_tag": tag, "body_encoding": "base64", "delivery_mode": 2}
    return {"body": "Yg==", "content-encoding": "utf-8", "content-type": "text/plain", "headers": {}, "properties": properties}


class Worker:
    """One process of a node that consumes a queue, by the calls that kombu and Celery make."""

    def __init__(self, broker):
        self.spool = []
        options = {"unacked_restore_throttle": 1, "socket_timeout": 2, "socket_connect_timeout": 2}
        self.connection = kombu.Connection(f"redis://127.0.0.1:{broker.port}/0", transport_options=options)
        self.channel = self.connection.channel()
        assert self.channel.qos.__class__ is transport.QoS
        self.channel.basic_consume("video", no_ack=False, callback=self.spool.append, consumer_tag="1")
        self.lost = (*self.connection.connection_errors, *self.connection.channel_errors)

    def take(self, tag="tag"):
        self.connection.transport._deliver(raw(tag), "video")

    def turn(self):
        """What kombu does after each connect and every few seconds."""
        self.channel.connection.cycle.maybe_restore_messages()


@pytest.fixture(name="broker")
def _broker():
    with FakeRedis() as broker:
        yield broker


@pytest.fixture(name="start")
def _start(tmp_path, monkeypatch, broker):
    """Return what begins as the next process of the node does, and the file of that node."""
    # A kombu without one of them is one that the patch does not fit.
    unpatched = {name: transport.QoS.__dict__[name] for name in PATCHED}
    workers = []

    def start():
        for name, function in unpatched.items():
            monkeypatch.setattr(transport.QoS, name, function)
        path = tmp_path / "multinode_unacked.py"
        path.write_text(re.sub(r"\{\{.*?\}\}", lambda _found: str(tmp_path), TEMPLATE.read_text()))
        spec = importlib.util.spec_from_file_location("multinode_unacked", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module._begin(sender=NODE)
        workers.append(Worker(broker))
        return workers[-1], tmp_path / "video@cpu-1.spool"

    yield start
    broker.come_back()
    for worker in workers:
        # What was not acknowledged would go back to its queue here.
        worker.channel.qos._delivered.clear()
        worker.connection.release()


def take_while_the_broker_goes_away(worker, broker, tag="tag"):
    broker.leave()
    with pytest.raises(worker.lost):
        worker.take(tag)


def queued(broker):
    return [json.loads(text) for text in broker.lists.get("video", [])]


def test_a_message_that_is_noted_is_not_kept(start, broker):
    worker, path = start()
    worker.take()
    assert [message.delivery_tag for message in worker.spool] == ["tag"]
    assert json.loads(broker.hashes["unacked"]["tag"]) == [raw(), "", "video"] and list(broker.scores["unacked_index"]) == ["tag"]
    worker.spool[0].ack()
    worker.turn()
    assert broker.hashes["unacked"] == {} and broker.scores["unacked_index"] == {}
    assert not path.exists() and queued(broker) == []


def test_a_message_that_cannot_be_noted_goes_back_to_its_queue_once_the_broker_answers(start, broker):
    worker, path = start()
    take_while_the_broker_goes_away(worker, broker)
    assert worker.spool == []
    assert path.stat().st_mode & 0o777 == 0o600
    worker.turn()
    assert path.exists()
    broker.come_back()
    assert not broker.sent("ZRANGE")
    worker.turn()
    [message] = queued(broker)
    assert (message["body"], message["properties"]["delivery_tag"]) == ("Yg==", "tag")
    # It was recorded, and the record was removed, by which kombu puts messages back.
    assert [argv[1:4:2] for argv in broker.sent("ZADD")] == [["unacked_index", "tag"]]
    assert broker.hashes["unacked"] == {} and broker.scores["unacked_index"] == {}
    assert len(broker.sent("ZRANGE")) == 1, "kombu looks for messages past their time all the same"
    assert not path.exists()
    worker.turn()
    assert len(queued(broker)) == 1


def test_the_next_process_of_the_node_gives_it_back(start, broker):
    worker, path = start()
    take_while_the_broker_goes_away(worker, broker)
    broker.come_back()
    worker, path = start()
    assert path.exists()
    worker.turn()
    assert [message["body"] for message in queued(broker)] == ["Yg=="]
    assert not path.exists()


def test_a_message_is_kept_in_memory_where_no_file_can_be_written(start, broker, caplog):
    worker, path = start()
    pathlib.Path(f"{path}.new").mkdir()
    take_while_the_broker_goes_away(worker, broker)
    assert "in its memory alone" in caplog.text
    broker.come_back()
    worker.turn()
    assert len(queued(broker)) == 1


def test_a_file_that_cannot_be_read_does_not_keep_a_node_from_starting(start, tmp_path, caplog):
    (tmp_path / "video@cpu-1.spool").write_text("{")
    start()
    assert "cannot be read" in caplog.text


def test_an_acknowledgement_that_fails_is_made_once_the_broker_answers(start, broker):
    worker, _path = start()
    worker.take("done")
    worker.take("runs")
    broker.leave()
    with pytest.raises(worker.lost):
        worker.spool[0].ack()
    assert set(broker.hashes["unacked"]) == {"done", "runs"}
    broker.come_back()
    worker.turn()
    assert set(broker.hashes["unacked"]) == set(broker.scores["unacked_index"]) == {"runs"}
    assert queued(broker) == []
