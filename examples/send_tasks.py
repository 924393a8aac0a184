"""Sends tasks of examples/proj through every queue, waits for them and shows where each one ran.

It is a producer as a web application would be: it takes its configuration from the module that the deployment wrote.
"""

from __future__ import annotations

import sys
import time

from proj.celery import app
from proj.tasks import count_primes, digest, export, long, primes_of

TASKS = [
    *(count_primes.s(limit) for limit in (200_000, 400_000, 600_000, 800_000)),
    *(digest.s(text) for text in ("one", "two")),
    *(export.s(rows) for rows in (1_000, 2_000, 3_000, 4_000)),
    *(long.s(seconds, step=0.5) for seconds in (1, 2)),
    primes_of([100_000, 200_000, 300_000]),
]
TIMEOUT_SECONDS = 60
ROW = "{:<20} {:<18} {:<10} {:<12} {:<18} {:>7}"


def queue_of(signature) -> str:
    """Return the queue that the configured routes give to a signature."""
    return app.amqp.router.route({}, signature.task)["queue"].name


def main() -> int:
    """Send everything at once, then show the results in the order of sending."""
    sent = [(signature, time.monotonic(), signature.apply_async()) for signature in TASKS]
    print(ROW.format("task", "queue", "node", "host", "result", "seconds"))
    print(ROW.format("-" * 20, "-" * 18, "-" * 10, "-" * 12, "-" * 18, "-" * 7))
    failed = 0
    for signature, started, pending in sent:
        # A chord has no queue of its own: what is shown is where its last task ran.
        task = signature.body if signature.task == "celery.chord" else signature
        name = task.task.removeprefix("proj.tasks.") + (" (chord)" if task is not signature else "")
        try:
            report = pending.get(timeout=TIMEOUT_SECONDS)
        except Exception as error:
            failed += 1
            print(ROW.format(name, queue_of(task), "-", "-", type(error).__name__, "-"))
            continue
        node, _at, host = report["node"].partition("@")
        seconds = f"{time.monotonic() - started:.2f}"
        print(ROW.format(name, queue_of(task), node, host, str(report["result"])[:18], seconds), flush=True)
    print(f"\n{len(sent) - failed} of {len(sent)} tasks executed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
