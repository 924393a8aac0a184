# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a Celery cluster, run by the interpreter of the deployed release with nothing but Celery at hand."""

from __future__ import annotations

import json
import sys
import time
import typing as t

CANARY = "multinode.canary"
LOOK_SECONDS = 0.1
# Between two rounds of canaries; an idle worker answers well within.
ROUND_SECONDS = 1.0
# Messages that are read from Redis at once.
CHUNK = 500
# The header in which the configuration module notes when a message was sent, in seconds since the epoch.
SENT_AT = "multinode_sent_at"


def load(config: str) -> t.Any:
    """Return an application with the deployed configuration, without importing the user's code."""
    from celery import Celery

    sys.path.insert(0, config)
    app = Celery("multinode-control", set_as_current=False)
    app.config_from_object("celeryconfig")
    return app


def inspect_nodes(app: t.Any, request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Ask nodes by remote control until all expected ones answered the ping or the time is up."""
    expected = set(request["nodes"])
    deadline = time.monotonic() + request["wait_seconds"]
    answers: dict[str, dict[str, t.Any]] = {}

    def put(command: str, nodes: t.Optional[list[str]]) -> set[str]:
        inspector = app.control.inspect(
            destination=nodes, timeout=request["timeout_seconds"], limit=len(nodes) if nodes else None, connection=connection
        )
        replies = getattr(inspector, command)() or {}
        for node, reply in replies.items():
            answers.setdefault(node, {})[command] = reply
        return set(replies)

    with app.connection_for_write() as connection:
        while True:
            missing = sorted(expected - set(answers))
            put("ping", missing or None)
            if expected <= set(answers) or time.monotonic() >= deadline:
                break
            time.sleep(0.5)
        present = sorted(expected & set(answers) if expected else answers)
        for command in request["commands"]:
            if command != "ping" and present:
                put(command, present)
    return {"nodes": answers, "missing": sorted(expected - set(answers))}


def pending(expected: dict[str, dict[str, str]], answered: dict[tuple[str, str], float]) -> dict[str, int]:
    """Return for each queue how many nodes have not answered on it."""
    counts = {queue: sum((queue, node) not in answered for node in nodes) for queue, nodes in expected.items()}
    return {queue: count for queue, count in counts.items() if count}


def send_canaries(app: t.Any, request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Send canaries through queues until every expected node has answered on each of its queues."""
    expected = request["queues"]
    begin = time.monotonic()
    deadline = begin + request["timeout_seconds"]
    answered: dict[tuple[str, str], float] = {}
    strangers: dict[tuple[str, str], float] = {}
    flying: dict[str, tuple[str, float, t.Any]] = {}
    failures: list[str] = []
    sent = 0
    next_round = begin
    while pending(expected, answered) and time.monotonic() < deadline:
        if time.monotonic() >= next_round:
            waiting = {queue for queue, _sent, _result in flying.values()}
            for queue, count in pending(expected, answered).items():
                # More only once the last ones were taken, so that a queue behind other work does not fill up.
                for _number in range(0 if queue in waiting else count):
                    # What nobody takes in time must not run later.
                    result = app.send_task(CANARY, queue=queue, expires=request["timeout_seconds"], ignore_result=False)
                    flying[result.id] = (queue, time.monotonic(), result)
                    sent += 1
            next_round = time.monotonic() + ROUND_SECONDS
        collected = False
        for identity, (queue, since, result) in list(flying.items()):
            meta = app.backend.get_task_meta(identity)
            if meta["status"] not in ("SUCCESS", "FAILURE", "REVOKED"):
                continue
            del flying[identity]
            collected = True
            app.backend.forget(identity)
            if meta["status"] != "SUCCESS":
                failures.append(f"{queue}: {meta['status']} {meta['result']!r}")
                continue
            key = (queue, meta["result"])
            known = meta["result"] in expected[queue]
            (answered if known else strangers).setdefault(key, round(time.monotonic() - since, 3))
        if collected and not flying:
            next_round = time.monotonic()
        elif flying:
            time.sleep(LOOK_SECONDS)
    rows = [
        {"queue": queue, "node": node, "host": host, "seconds": answered.get((queue, node)), "ok": (queue, node) in answered}
        for queue, nodes in expected.items()
        for node, host in nodes.items()
    ]
    rows += [
        {"queue": queue, "node": node, "host": node.partition("@")[2], "seconds": seconds, "ok": False}
        for (queue, node), seconds in strangers.items()
    ]
    return {"rows": rows, "sent": sent, "failures": failures, "seconds": round(time.monotonic() - begin, 2)}


def task_name(message: t.Any) -> str:
    """Return the name of a message's task; a message of another kind has none."""
    if not isinstance(message, dict):
        return ""
    headers = message.get("headers") or {}
    return str(headers.get("task") or "")


def age(message: t.Any, now: float) -> t.Optional[float]:
    """Return how long ago a message was sent, if it says so."""
    sent = (message.get("headers") or {}).get(SENT_AT) if isinstance(message, dict) else None
    return round(max(0.0, now - sent), 1) if isinstance(sent, (int, float)) else None


def oldest(ages: t.Iterable[t.Optional[float]]) -> t.Optional[float]:
    """Return the highest age that is known."""
    return max((one for one in ages if one is not None), default=None)


def count_task(tasks: dict[str, int], message: t.Any) -> None:
    """Count a message under the name of its task."""
    name = task_name(message)
    tasks[name] = tasks.get(name, 0) + 1


def read_list(client: t.Any, key: str, length: int, limit: int) -> t.Iterator[t.Any]:
    """Yield the messages of a list that will be taken first, at most so many."""
    for begin in range(0, min(length, limit), CHUNK):
        # Senders add on the left, workers take from the right.
        end = min(begin + CHUNK, limit)
        for raw in client.lrange(key, -end, -begin - 1):
            yield json.loads(raw)


def queue_report(client: t.Any, keys: dict[int, str], limit: int, now: float) -> dict[str, t.Any]:
    """Describe one queue from its lists, one for each step of priority."""
    report: dict[str, t.Any] = {"length": 0, "priorities": {}, "tasks": {}, "oldest_seconds": None, "scanned": 0}
    ages = []
    for step, key in keys.items():
        length = client.llen(key)
        report["length"] += length
        report["priorities"][str(step)] = length
        for message in read_list(client, key, length, limit):
            count_task(report["tasks"], message)
            ages.append(age(message, now))
            report["scanned"] += 1
    report["oldest_seconds"] = oldest(ages)
    report["complete"] = max(report["priorities"].values(), default=0) <= limit
    return report


def unacked_report(client: t.Any, key: str, index: str, limit: int, now: float) -> tuple[dict[str, t.Any], dict[str, dict[str, int]]]:
    """Describe the messages that workers hold, in all and as task names by routing key."""
    report: dict[str, t.Any] = {"count": client.hlen(key), "tasks": {}, "oldest_seconds": None, "held_seconds": None, "scanned": 0}
    by_queue: dict[str, dict[str, int]] = {}
    ages = []
    for begin in range(0, min(report["count"], limit), CHUNK):
        tags = client.zrange(index, begin, min(begin + CHUNK, limit) - 1, withscores=True)
        if begin == 0 and tags:
            report["held_seconds"] = round(max(0.0, now - tags[0][1]), 1)
        # A message that was acknowledged meanwhile is gone.
        for raw in filter(None, client.hmget(key, [tag for tag, _since in tags]) if tags else ()):
            message, _exchange, routing_key = json.loads(raw)[:3]
            count_task(report["tasks"], message)
            count_task(by_queue.setdefault(routing_key, {}), message)
            ages.append(age(message, now))
            report["scanned"] += 1
    report["oldest_seconds"] = oldest(ages)
    report["complete"] = report["count"] <= limit
    return report, by_queue


def read_queues(app: t.Any, request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Describe what waits in queues and what workers hold."""
    import redis

    now = time.time()
    prefix = (app.conf.broker_transport_options or {}).get("global_keyprefix", "")
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        client = redis.Redis(connection_pool=channel.pool)
        queues = {
            queue: queue_report(
                client, {step: f"{prefix}{channel._q_for_pri(queue, step)}" for step in channel.priority_steps}, request["limit"], now
            )
            for queue in request["queues"]
        }
        unacked, by_queue = unacked_report(
            client, f"{prefix}{channel.unacked_key}", f"{prefix}{channel.unacked_index_key}", request["limit"], now
        )
    for queue, report in queues.items():
        report["unacked_tasks"] = by_queue.get(queue, {})
        report["unacked"] = sum(report["unacked_tasks"].values())
    return {"queues": queues, "unacked": unacked}


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    app = load(request["config"])
    action = {"inspect": inspect_nodes, "canary": send_canaries, "queues": read_queues}[request["action"]]
    answer = action(app, request)
    json.dump(answer, sys.stdout, default=str)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
