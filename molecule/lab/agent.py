# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs on a host of the lab, with the release deployed there: sends tasks, probes a Redis, asks the worker nodes.

It reads the deployed configuration module (CELERY_CONFIG_MODULE on PYTHONPATH, as the launcher
sets them), so what is measured are the broker settings that the collection rendered. Every
subcommand is bounded in time and writes one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from celery import Celery


def application() -> Celery:
    app = Celery("lab", set_as_current=True)
    app.config_from_object(os.environ.get("CELERY_CONFIG_MODULE", "celeryconfig"))
    return app


_emit_lock = threading.Lock()


def emit(record: dict[str, Any]) -> None:
    with _emit_lock:
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()


class Schedule:
    """Hands out the send slots of a fixed rate; slots missed while every producer hangs are skipped."""

    def __init__(self, rate: float, seconds: float, count: int, catch_up: bool) -> None:
        self.rate, self.count, self.catch_up = rate, count, catch_up
        self.start = time.time()
        self.end = self.start + seconds
        self.slot = 0
        self.handed_out = 0
        self.skipped = 0
        self.lock = threading.Lock()
        self.closed = threading.Event()

    def close(self) -> None:
        """Hand out no further slot, and take back those that are still to come."""
        with self.lock:
            self.end = min(self.end, time.time())
        self.closed.set()

    def next(self) -> bool:
        with self.lock:
            now = time.time()
            if now >= self.end or (self.count and self.handed_out >= self.count):
                return False
            due = self.start + self.slot / self.rate
            if not self.catch_up and now - due > 1:
                missed = int((now - due) * self.rate)
                self.skipped += missed
                self.slot += missed
                due = self.start + self.slot / self.rate
            self.slot += 1
            self.handed_out += 1
        return not self.closed.wait(max(0.0, due - now))


class Producer:
    """Sends one stream of tasks with a few threads and reports the outcome of each."""

    def __init__(self, app: Celery, schedule: Schedule, task: str, arguments: list[Any], queue: str, threads: int) -> None:
        self.app, self.schedule, self.task, self.arguments = app, schedule, task, arguments
        self.extra = {"queue": queue} if queue else {}
        self.threads = [threading.Thread(target=self.run, daemon=True) for unused in range(threads)]

    def run(self) -> None:
        while self.schedule.next():
            task_id = str(uuid.uuid4())
            started = time.time()
            try:
                self.app.send_task(self.task, args=self.arguments, task_id=task_id, **self.extra)
            except Exception as error:  # every refusal is a result here
                emit({"id": task_id, "sent": started, "error": f"{type(error).__name__}: {error}"[:200], **self.extra,
                      "returned": time.time()})
            else:
                emit({"id": task_id, "sent": started, "returned": time.time(), **self.extra})


def when_input_ends(*actions: Callable[[], None]) -> None:
    """Act when whoever started this program closes its input, on purpose or by dying."""

    def wait() -> None:
        sys.stdin.read()
        for act in actions:
            act()

    threading.Thread(target=wait, daemon=True).start()


def run_producers(producers: list[Producer], options: argparse.Namespace) -> None:
    schedules = [producer.schedule for producer in producers]
    if options.until_closed:
        when_input_ends(*(schedule.close for schedule in schedules))
    threads = [thread for producer in producers for thread in producer.threads]
    for thread in threads:
        thread.start()
    # A producer that hangs past the end is given up after the grace period: the ids it holds were not accepted.
    while any(thread.is_alive() for thread in threads) and time.time() < max(one.end for one in schedules) + options.grace:
        time.sleep(0.1)
    emit({"summary": "send", "start": min(one.start for one in schedules), "end": time.time(),
          "skipped": sum(one.skipped for one in schedules), "hanging": sum(thread.is_alive() for thread in threads)})


def send(options: argparse.Namespace) -> None:
    schedule = Schedule(options.rate, options.seconds, options.count, options.catch_up)
    run_producers([Producer(application(), schedule, options.task, json.loads(options.args), options.queue, options.threads)], options)


def mix(options: argparse.Namespace) -> None:
    """Several streams at once, each with a task, arguments, a queue, a rate and perhaps a number of tasks."""
    app = application()
    run_producers(
        [
            Producer(app, Schedule(one["rate"], options.seconds, one.get("count", 0), False), one["task"], one["args"], one["queue"],
                     options.threads)
            for one in json.loads(options.streams)
        ],
        options,
    )


def connection_settings(app: Celery) -> dict[str, Any]:
    url = urlsplit(str(app.conf.broker_url).split(";", maxsplit=1)[0])
    return {
        "username": unquote(url.username or "") or None,
        "password": unquote(url.password or "") or None,
        "db": int(url.path.strip("/") or 0),
    }


def probe(options: argparse.Namespace) -> None:
    """Try to write to one Redis again and again, and report each answer."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    app = application()
    prefix = (app.conf.broker_transport_options or {}).get("global_keyprefix", "")
    settings = connection_settings(app)
    tls = app.conf.broker_use_ssl
    if tls:
        settings |= {"ssl": True, **tls}
    port = options.port or (6380 if tls else 6379)
    closed = threading.Event()
    if options.until_closed:
        when_input_ends(closed.set)
    deadline = time.time() + options.seconds
    while time.time() < deadline and not closed.is_set():
        started = time.time()
        client = redis.Redis(host=options.address, port=port, socket_timeout=options.timeout,
                             socket_connect_timeout=options.timeout, retry=Retry(NoBackoff(), 0), **settings)
        try:
            client.set(f"{prefix}lab:probe", str(started), ex=600)
            outcome = "accepted"
        except redis.ConnectionError as error:
            outcome = f"unreachable: {type(error).__name__}"
        except redis.RedisError as error:
            outcome = f"refused: {type(error).__name__ if isinstance(error, redis.ReadOnlyError) else str(error).split(' ', maxsplit=1)[0]}"
        client.close()
        emit({"at": started, "outcome": outcome})
        time.sleep(max(0.0, options.interval - (time.time() - started)))
    emit({"summary": "probe", "end": time.time()})


def identifier(message: dict[str, Any]) -> str:
    return (message.get("headers") or {}).get("id") or (message.get("properties") or {}).get("correlation_id", "")


def pending(app: Celery, queues: list[str]) -> dict[str, Any]:
    """Ids that still wait in a queue or were delivered and not acknowledged."""
    import redis

    prefix = (app.conf.broker_transport_options or {}).get("global_keyprefix", "")
    with app.connection_for_write() as connection:
        client = redis.Redis(connection_pool=connection.default_channel.pool)
        queued = [identifier(json.loads(raw)) for name in queues for raw in client.lrange(prefix + name, 0, -1)]
        unacked = [identifier(json.loads(raw)[0]) for raw in client.hgetall(f"{prefix}unacked").values()]
    return {"queued": queued, "unacked": unacked}


def settle(options: argparse.Namespace) -> None:
    """Wait until nothing is queued or unacknowledged, within a bound; then report what is left."""
    app = application()
    started = time.time()
    state: dict[str, Any] = {"queued": None, "unacked": None}
    while time.time() - started < options.seconds:
        try:
            state = pending(app, options.queues)
        except Exception as error:  # the broker may still fail over
            state = {"queued": None, "unacked": None, "error": str(error)[:200]}
        if state["queued"] == [] and state["unacked"] == []:
            break
        time.sleep(0.5)
    emit({"summary": "settle", "seconds": time.time() - started, **state})


def consumers(options: argparse.Namespace) -> None:
    """Start or stop the consumption of one queue on the nodes named."""
    app = application()
    call = app.control.cancel_consumer if options.action == "cancel" else app.control.add_consumer
    emit({"summary": "consumers", "replies": call(options.queue, destination=options.nodes or None, reply=True, timeout=5)})


def nodes(options: argparse.Namespace) -> None:
    """Nodes that answer, and the queues each of them consumes."""
    replies = application().control.inspect(timeout=options.seconds).active_queues() or {}
    emit({"summary": "nodes", "nodes": {name: [queue["name"] for queue in queues] for name, queues in replies.items()}})


def setting(options: argparse.Namespace) -> None:
    """One setting or broker transport option."""
    app = application()
    known = app.conf.broker_transport_options or {}
    emit({"value": known[options.name] if options.name in known else app.conf[options.name]})


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("send")
    command.set_defaults(call=send)
    command.add_argument("--task", required=True)
    command.add_argument("--args", default="[]")
    command.add_argument("--queue", default="")
    command.add_argument("--rate", type=float, default=100)
    command.add_argument("--seconds", type=float, default=30)
    command.add_argument("--count", type=int, default=0)
    command.add_argument("--threads", type=int, default=4)
    command.add_argument("--grace", type=float, default=60)
    command.add_argument("--catch-up", action="store_true")
    command.add_argument("--until-closed", action="store_true")

    command = commands.add_parser("mix")
    command.set_defaults(call=mix)
    command.add_argument("--streams", required=True)
    command.add_argument("--seconds", type=float, default=1800)
    command.add_argument("--threads", type=int, default=2)
    command.add_argument("--grace", type=float, default=60)
    command.add_argument("--until-closed", action="store_true")

    command = commands.add_parser("probe")
    command.set_defaults(call=probe)
    command.add_argument("--address", required=True)
    command.add_argument("--port", type=int, default=0)
    command.add_argument("--seconds", type=float, default=30)
    command.add_argument("--interval", type=float, default=0.05)
    command.add_argument("--timeout", type=float, default=0.3)
    command.add_argument("--until-closed", action="store_true")

    command = commands.add_parser("setting")
    command.set_defaults(call=setting)
    command.add_argument("name")

    command = commands.add_parser("settle")
    command.set_defaults(call=settle)
    command.add_argument("queues", nargs="+")
    command.add_argument("--seconds", type=float, default=60)

    command = commands.add_parser("consumers")
    command.set_defaults(call=consumers)
    command.add_argument("action", choices=["add", "cancel"])
    command.add_argument("queue")
    command.add_argument("nodes", nargs="*")

    command = commands.add_parser("nodes")
    command.set_defaults(call=nodes)
    command.add_argument("--seconds", type=float, default=3)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    parsed = parse()
    parsed.call(parsed)
