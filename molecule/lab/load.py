# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Send a steady mix of tasks while something is done to the cluster, then count what became of each.

    with Load(lab, [Stream("proj.tasks.noop", [], "default", 20), Stream("proj.tasks.sleep", [30], "default", 0.1)]) as load:
        lab.playbook("playbooks/ops/…")
    result = load.result()
"""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

from lab.accounting import account, longest_gap, parse_records
from lab.hosts import Lab, progress, wait_until

# A task that does nothing, and the queue that it goes to unless another is named.
NOOP = "proj.tasks.noop"
QUEUE = "default"
# The numbers of a balance that reports show.
BALANCE = ("accepted", "refused", "executed", "failed", "doubled", "waiting", "lost", "execution_gap_seconds")
START_SECONDS = 40
# A forgotten load ends by itself.
LONGEST_SECONDS = 1800


@dataclasses.dataclass(frozen=True)
class Stream:
    """Tasks of one kind, a number of them each second; with a count no more than that many."""

    task: str
    args: list[Any]
    queue: str
    rate: float
    count: int = 0


class Load:
    """Streams that are sent from the scheduler's host, with the configuration deployed there, while the block runs."""

    def __init__(self, lab: Lab, streams: list[Stream]) -> None:
        self.lab, self.streams = lab, streams
        self.started_at = self.ended_at = 0.0

    def __enter__(self) -> Load:
        self.lab.install_agent(self.lab.scheduler)
        streams = json.dumps([dataclasses.asdict(stream) for stream in self.streams])
        self.program = self.lab.agent(self.lab.scheduler, "mix", "--streams", streams, "--seconds", str(LONGEST_SECONDS), "--until-closed")
        if wait_until(lambda: self.program.lines, START_SECONDS, 0.1) is None:
            self.program.close()
            raise RuntimeError("the producer does not send: " + "".join(self.program.errors)[-2000:])
        self.started_at = time.time()
        return self

    def __exit__(self, *unused: object) -> None:
        self.ended_at = time.time()
        self.program.close()
        self.program.wait(120)

    @property
    def queues(self) -> list[str]:
        return sorted({stream.queue for stream in self.streams})

    def accepted(self) -> int:
        """How many tasks were accepted until now."""
        return sum('"id"' in line and '"error"' not in line for line in list(self.program.lines))

    def result(self, settle_seconds: float = 180, fault_at: float | None = None, healed_at: float | None = None) -> dict[str, Any]:
        """The balance, once nothing waits in the queues any more or the time for it is over.

        accepted, refused, executed, failed, doubled, waiting, lost, execution_gap_seconds and producer_gap_seconds are the ones
        to look at; `queues` has the same for each queue.
        """
        left = self.lab.settle(self.queues, settle_seconds)
        waiting = (left.get("queued") or []) + (left.get("unacked") or [])
        sends, summary = parse_records(self.program.lines)
        executions = self.lab.executions()
        queue_of = {record["id"]: record["queue"] for record in self.program.records() if "id" in record}
        result = account(sends, executions, fault_at, healed_at, waiting)
        result["failed"] = len({event.task_id for event in self.lab.events("raised", "INTERNAL ERROR")} & set(queue_of))
        result["settle_seconds"] = round(left.get("seconds", -1), 1)
        result["settled"] = left.get("queued") == [] and left.get("unacked") == []
        result["producers_hanging"] = summary.get("hanging")
        result["queues"] = {}
        for queue in self.queues:
            ours = [send for send in sends if queue_of[send.task_id] == queue]
            one = account(ours, executions, fault_at, healed_at, waiting)
            ids = {send.task_id for send in ours}
            done = [execution.at for execution in executions if execution.task_id in ids]
            keys = ("accepted", "refused", "executed", "doubled", "waiting", "lost", "producer_gap_seconds")
            result["queues"][queue] = {key: one.get(key) for key in keys}
            result["queues"][queue]["execution_gap_seconds"] = round(longest_gap(done, self.started_at, self.ended_at), 2)
        progress("load: " + ", ".join(f"{key} {result.get(key)}" for key in (*BALANCE, "producer_gap_seconds")))
        return result
