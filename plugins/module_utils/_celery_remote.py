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


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    app = load(request["config"])
    action = {"inspect": inspect_nodes, "canary": send_canaries}[request["action"]]
    answer = action(app, request)
    json.dump(answer, sys.stdout, default=str)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
