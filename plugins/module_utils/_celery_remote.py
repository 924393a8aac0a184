# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a Celery cluster, run by the interpreter of the deployed release with nothing but Celery at hand."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
import typing as t

CANARY = "multinode.canary"
LOOK_SECONDS = 0.1
# Between two rounds of canaries; an idle worker answers well within.
ROUND_SECONDS = 1.0
# Messages that are read from Redis at once.
CHUNK = 500
# The header in which the configuration module notes when a message was sent, in seconds since the epoch.
SENT_AT = "multinode_sent_at"
FINAL = ("SUCCESS", "FAILURE", "REVOKED")
# How much of the output of a worker that failed is kept.
LAST_WORDS = 4000
# A worker on trial that was signalled to stop.
STOP_SECONDS = 20.0


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

    def put(command: str, nodes: list[str] | None) -> set[str]:
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
    unexpected: dict[tuple[str, str], float] = {}
    flying: dict[str, tuple[str, float, t.Any]] = {}
    failures: list[str] = []
    sent = 0
    next_round = begin
    while pending(expected, answered) and time.monotonic() < deadline:
        if time.monotonic() >= next_round:
            waiting = {queue for queue, _sent, _result in flying.values()}
            for queue, count in pending(expected, answered).items():
                # More only once the last ones were delivered, so that a queue behind other work does not fill up.
                for _number in range(0 if queue in waiting else count):
                    # What nobody takes in time must not run later.
                    result = app.send_task(CANARY, queue=queue, expires=request["timeout_seconds"], ignore_result=False)
                    flying[result.id] = (queue, time.monotonic(), result)
                    sent += 1
            next_round = time.monotonic() + ROUND_SECONDS
        collected = False
        for identity, (queue, since, _result) in list(flying.items()):
            meta = app.backend.get_task_meta(identity)
            if meta["status"] not in FINAL:
                continue
            del flying[identity]
            collected = True
            app.backend.forget(identity)
            if meta["status"] != "SUCCESS":
                failures.append(f"{queue}: {meta['status']} {meta['result']!r}")
                continue
            key = (queue, meta["result"])
            known = meta["result"] in expected[queue]
            (answered if known else unexpected).setdefault(key, round(time.monotonic() - since, 3))
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
        for (queue, node), seconds in unexpected.items()
    ]
    return {"rows": rows, "sent": sent, "failures": failures, "seconds": round(time.monotonic() - begin, 2)}


def direct_canaries(app: t.Any, request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Send one canary to each node through the queue that it alone consumes."""
    from celery.utils.nodenames import worker_direct

    begin = time.monotonic()
    seconds = request["timeout_seconds"]
    rows, failures, flying = [], [], {}
    for node, host in request["nodes"].items():
        queue = worker_direct(node)
        result = app.send_task(request["task"], args=request["args"], queue=queue, expires=seconds, ignore_result=False)
        row = {"queue": queue.name, "node": node, "host": host, "seconds": None, "ok": False}
        rows.append(row)
        flying[result.id] = row
    while flying and time.monotonic() < begin + seconds:
        for identity, row in list(flying.items()):
            meta = app.backend.get_task_meta(identity)
            if meta["status"] not in FINAL:
                continue
            del flying[identity]
            app.backend.forget(identity)
            row["seconds"] = round(time.monotonic() - begin, 3)
            row["ok"] = meta["status"] == "SUCCESS"
            if not row["ok"]:
                failures.append(f"{row['node']}: {meta['status']} {meta['result']!r}")
        if flying:
            time.sleep(LOOK_SECONDS)
    for row in flying.values():
        failures.append(f"{row['node']}: no answer within {seconds:g} s")
    if flying:
        # Nobody may ever consume that queue again.
        with app.connection_for_write() as connection:
            for row in flying.values():
                connection.default_channel.queue_purge(row["queue"])
    return {"rows": rows, "sent": len(rows), "failures": failures, "seconds": round(time.monotonic() - begin, 2)}


def task_name(message: t.Any) -> str:
    """Return the name of a message's task; a message of another kind has none."""
    if not isinstance(message, dict):
        return ""
    headers = message.get("headers") or {}
    return str(headers.get("task") or "")


def age(message: t.Any, now: float) -> float | None:
    """Return how long ago a message was sent, if it states it."""
    sent = (message.get("headers") or {}).get(SENT_AT) if isinstance(message, dict) else None
    return round(max(0.0, now - sent), 1) if isinstance(sent, (int, float)) else None


def oldest(ages: t.Iterable[float | None]) -> float | None:
    """Return the highest age that is known."""
    return max((one for one in ages if one is not None), default=None)


def count_task(tasks: dict[str, int], message: t.Any) -> None:
    """Count a message under the name of its task."""
    name = task_name(message)
    tasks[name] = tasks.get(name, 0) + 1


def read_list(client: t.Any, key: str, length: int, limit: int) -> t.Iterator[t.Any]:
    """Yield the messages of a list that will be delivered first, at most so many."""
    for begin in range(0, min(length, limit), CHUNK):
        # Producers add on the left, workers take from the right.
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
    report: dict[str, t.Any] = {"count": client.hlen(key), "tasks": {}, "oldest_seconds": None, "unacked_seconds": None, "scanned": 0}
    by_queue: dict[str, dict[str, int]] = {}
    ages = []
    for begin in range(0, min(report["count"], limit), CHUNK):
        tags: t.Any = client.zrange(index, begin, min(begin + CHUNK, limit) - 1, withscores=True)
        if begin == 0 and tags:
            report["unacked_seconds"] = round(max(0.0, now - tags[0][1]), 1)
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


def load_release(request: dict[str, t.Any]) -> t.Any:
    """Return the application of a release as a worker would load it, with the user's code."""
    os.environ.update(request["environment"])
    sys.path[:0] = [request["config"], request["source"]]
    from celery.app.utils import find_app

    app = find_app(request["module_name"])
    app.finalize()
    app.loader.import_default_modules()
    return app


def unknown_tasks(queues: dict[str, t.Any], unacked: dict[str, t.Any], known: t.Container[str]) -> dict[str, dict[str, int]]:
    """Return for each queue the waiting tasks that a release does not know; what workers hold counts as a queue of its own."""
    places = {name: report["tasks"] for name, report in queues.items()}
    places["(held by workers)"] = unacked["tasks"]
    found = {
        # Messages of Celery's first protocol keep the name in their body.
        place: {task: count for task, count in sorted(tasks.items()) if task and task not in known}
        for place, tasks in places.items()
    }
    return {place: tasks for place, tasks in found.items() if tasks}


def trial(app: t.Any, request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Run a worker of the release that consumes a queue of its own, and have it execute a canary."""
    queue = f"multinode.trial.{request['host']}"
    node = f"{queue}@{request['host']}"
    argv = ["worker", f"--hostname={node}", f"--queues={queue}", "--concurrency=1", "--loglevel=INFO"]
    argv += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    environment = {**os.environ, "PYTHONPATH": f"{request['config']}:{request['source']}"}
    begin = time.monotonic()
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-P", "-m", "celery", "-A", request["module_name"], *argv]
        process = start(command, environment, output.fileno())
        ended = False
        error = ""
        try:
            result = app.send_task(
                request["task"], args=request["args"], queue=queue, expires=request["timeout_seconds"], ignore_result=False
            )
            while not error:
                meta = app.backend.get_task_meta(result.id)
                ended = os.waitpid(process, os.WNOHANG)[0] == process
                if meta["status"] == "SUCCESS":
                    break
                if meta["status"] in FINAL:
                    error = f"starts, but its canary ended with {meta['status']}: {meta['result']!r}"
                elif ended:
                    error = "does not start: its worker ended"
                elif time.monotonic() > begin + request["timeout_seconds"]:
                    error = f"executes no canary within {request['timeout_seconds']:g} s"
                time.sleep(LOOK_SECONDS)
            app.backend.forget(result.id)
        finally:
            if not ended:
                stop(process)
            forget_queue(app, queue, node)
        output.seek(max(0, output.seek(0, os.SEEK_END) - LAST_WORDS))
        printed = output.read().decode("utf-8", "replace")
    return {"ok": not error, "error": error, "output": printed if error else "", "seconds": round(time.monotonic() - begin, 2)}


def start(command: list[str], environment: dict[str, str], output: int) -> int:
    """Start a program in a process group of its own and return its process."""
    process = os.fork()
    if process:
        return process
    try:
        os.setpgid(0, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execve(command[0], command, environment)
    finally:
        # Only reached where the program could not be started; nothing of this process may run twice.
        os._exit(127)


def stop(process: int) -> None:
    """Ask a worker to stop, then end its process group."""
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if os.waitpid(process, os.WNOHANG)[0] == process:
            return
        time.sleep(LOOK_SECONDS)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)


def forget_queue(app: t.Any, queue: str, node: str) -> None:
    """Remove the queues of a worker that will not come back, and what binds them."""
    import redis
    from celery.utils.nodenames import worker_direct

    prefix = (app.conf.broker_transport_options or {}).get("global_keyprefix", "")
    direct = worker_direct(node)
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        client = redis.Redis(connection_pool=channel.pool)
        # kombu keeps the bindings that do not expire a second time.
        bindings = [f"{prefix}_kombu.binding", f"{prefix}_kombu.binding_permanent"]
        client.delete(prefix + queue, prefix + direct.name, *(f"{name}.{queue}" for name in bindings))
        for name in bindings:
            client.srem(f"{name}.{direct.exchange.name}", channel.sep.join((node, "", direct.name)))


def examine_release(request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Report which tasks a release registers, which waiting ones it does not know, and whether its worker executes a task."""
    try:
        app = load_release(request)
        registered = sorted(app.tasks)
    # A module may also leave through sys.exit.
    except (Exception, SystemExit):
        return {"error": traceback.format_exc()[-LAST_WORDS:]}
    answer: dict[str, t.Any] = {"error": "", "registered": registered}
    waiting = read_queues(app, request)
    known = {*registered, *request["allowed"]}
    answer["unknown"] = unknown_tasks(waiting["queues"], waiting["unacked"], known)
    answer["incomplete"] = sorted(name for name, report in waiting["queues"].items() if not report["complete"])
    answer["trial"] = {} if answer["unknown"] else trial(app, request)
    return answer


def settle(app: t.Any, request: dict[str, t.Any]) -> dict[str, t.Any]:
    """Put the unacknowledged messages of a dead worker back into their queues, and acknowledge those of tasks that it finished."""
    import redis

    wanted, done = set(request["tasks"]), set(request["done"])
    restored, acknowledged = [], []
    prefix = (app.conf.broker_transport_options or {}).get("global_keyprefix", "")
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        client = redis.Redis(connection_pool=channel.pool)
        # Before any of them is removed: places in the index would move.
        tags: t.Any = client.zrange(f"{prefix}{channel.unacked_index_key}", 0, -1)
        for begin in range(0, len(tags), CHUNK):
            chunk = tags[begin : begin + CHUNK]
            for tag, raw in zip(chunk, client.hmget(f"{prefix}{channel.unacked_key}", chunk)):
                identity = (json.loads(raw)[0].get("headers") or {}).get("id") if raw else None
                if identity in wanted:
                    channel.qos.restore_by_tag(tag.decode())
                    restored.append(identity)
                elif identity in done:
                    channel.qos.ack(tag.decode())
                    acknowledged.append(identity)
    return {"restored": restored, "acknowledged": acknowledged}


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    if request["action"] == "release":
        answer = examine_release(request)
    else:
        actions = {
            "inspect": inspect_nodes,
            "canary": send_canaries,
            "direct": direct_canaries,
            "queues": read_queues,
            "settle": settle,
        }
        answer = actions[request["action"]](load(request["config"]), request)
    json.dump(answer, sys.stdout, default=str)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
