# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a message that was taken and could not be noted, without a broker."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import pathlib
import re
import types

import pytest

transport = pytest.importorskip("kombu.transport.redis")

TEMPLATE = pathlib.Path(__file__).resolve().parents[4] / "roles/celery_app/templates/etc/celery/app/multinode_taken.py.j2"
NODE = types.SimpleNamespace(hostname="video@cpu-1")
MESSAGE = types.SimpleNamespace(_raw={"body": "b"}, delivery_info={"exchange": "", "routing_key": "video"})


class Broker:
    """The two keys and the queue of a broker that may be away."""

    def __init__(self) -> None:
        self.away, self.index, self.notes, self.queue = False, {}, {}, []

    def zadd(self, _key, scores):
        self.index.update(scores)
        return self

    def hset(self, _key, tag, text):
        self.notes[tag] = json.loads(text)
        return self

    def remove(self, tag):
        self.notes.pop(tag, None)
        return self

    def execute(self):
        if self.away:
            raise ConnectionError("away")


@pytest.fixture(name="broker")
def _broker():
    return Broker()


@pytest.fixture(name="qos")
def _qos(broker):
    def restore_by_tag(tag):
        broker.execute()
        broker.queue.append(broker.notes.pop(tag))

    qos = types.SimpleNamespace(unacked_index_key="unacked_index", unacked_key="unacked", restore_by_tag=restore_by_tag)
    qos._remove_from_indices = broker.remove
    qos.pipe_or_acquire = lambda: contextlib.nullcontext(broker)
    return qos


@pytest.fixture(name="start")
def _start(tmp_path, monkeypatch, broker):
    """Return what begins as the next process of the node does, and the file of that node."""

    def append(_qos, _message, _tag):
        broker.execute()

    def start():
        monkeypatch.setattr(transport.QoS, "append", append)
        monkeypatch.setattr(transport.QoS, "ack", lambda _qos, _tag: broker.execute())
        monkeypatch.setattr(transport.QoS, "restore_visible", lambda _qos: "looked for messages past their time")
        path = tmp_path / "multinode_taken.py"
        path.write_text(re.sub(r"\{\{.*?\}\}", lambda _found: str(tmp_path), TEMPLATE.read_text()))
        spec = importlib.util.spec_from_file_location("multinode_taken", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module._begin(sender=NODE)
        return tmp_path / "video@cpu-1.taken"

    return start


def take(qos, broker):
    """Take a message while the broker goes away."""
    broker.away = True
    with pytest.raises(ConnectionError):
        transport.QoS.append(qos, MESSAGE, "tag")


def test_a_message_that_is_noted_is_not_kept(start, qos):
    path = start()
    transport.QoS.append(qos, MESSAGE, "tag")
    assert not path.exists()


def test_a_message_that_cannot_be_noted_goes_back_to_its_queue_once_the_broker_answers(start, qos, broker):
    path = start()
    take(qos, broker)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConnectionError):
        transport.QoS.restore_visible(qos)
    assert path.exists()
    broker.away = False
    assert transport.QoS.restore_visible(qos) == "looked for messages past their time"
    assert broker.queue == [[{"body": "b"}, "", "video"]]
    assert list(broker.index) == ["tag"]
    assert not path.exists()
    transport.QoS.restore_visible(qos)
    assert len(broker.queue) == 1


def test_the_next_process_of_the_node_gives_it_back(start, qos, broker):
    path = start()
    take(qos, broker)
    start()
    broker.away = False
    transport.QoS.restore_visible(qos)
    assert broker.queue == [[{"body": "b"}, "", "video"]]
    assert not path.exists()


def test_a_message_is_kept_in_memory_where_no_file_can_be_written(start, qos, broker, caplog):
    path = start()
    pathlib.Path(f"{path}.new").mkdir()
    take(qos, broker)
    assert "in its memory alone" in caplog.text
    broker.away = False
    transport.QoS.restore_visible(qos)
    assert len(broker.queue) == 1


def test_a_file_that_cannot_be_read_does_not_keep_a_node_from_starting(start, tmp_path, caplog):
    (tmp_path / "video@cpu-1.taken").write_text("{")
    start()
    assert "cannot be read" in caplog.text


def test_an_acknowledgement_that_fails_is_made_once_the_broker_answers(start, qos, broker):
    start()
    broker.notes = {"done": [], "runs": []}
    broker.away = True
    with pytest.raises(ConnectionError):
        transport.QoS.ack(qos, "done")
    broker.away = False
    transport.QoS.restore_visible(qos)
    assert broker.notes == {"runs": []}
    assert broker.queue == []
