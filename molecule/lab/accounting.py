# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Count what was accepted, executed, doubled and lost, and how long nothing happened.

Only pure functions: they are given text and times, and touch no host.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

# "[2026-11-22 15:25:00,123: INFO/ForkPoolWorker-1] Task proj.tasks.noop[<uuid>] succeeded in 0.01s: None"
# gevent and threads pools log from MainProcess; the log format is Celery's default.
EXECUTED = re.compile(
    r"^\[(?P<day>\d{4}-\d\d-\d\d) (?P<time>\d\d:\d\d:\d\d),(?P<milli>\d{3}): \w+/[^\]]*\] "
    r"Task (?P<task>[\w.]+)\[(?P<id>[0-9a-f-]{36})\] (?P<event>received|succeeded|raised|INTERNAL ERROR)",
    re.MULTILINE,
)


READY = re.compile(r"^\[(?P<day>\d{4}-\d\d-\d\d) (?P<time>\d\d:\d\d:\d\d),(?P<milli>\d{3}): \w+/MainProcess\] \S+ ready\.", re.MULTILINE)


class Execution(NamedTuple):
    task_id: str
    at: float
    node: str


class Send(NamedTuple):
    task_id: str
    sent: float
    returned: float
    error: str


def parse_moment(day: str, clock: str, milli: str) -> float:
    """Seconds since the epoch of a log line; test hosts keep UTC."""
    return datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp() + int(milli) / 1000


def parse_log(text: str, node: str, *events: str) -> list[Execution]:
    """Executions found in one worker node's log, or other events of tasks."""
    return [
        Execution(match["id"], parse_moment(match["day"], match["time"], match["milli"]), node)
        for match in EXECUTED.finditer(text)
        if match["event"] in (events or ("succeeded",))
    ]


def parse_ready(text: str) -> list[float]:
    """Moments at which a node had begun to consume, as its log tells."""
    return [parse_moment(match["day"], match["time"], match["milli"]) for match in READY.finditer(text)]


def stretches(starts: Iterable[float], stops: Iterable[float], end: float) -> list[tuple[float, float]]:
    """Times in which a node consumed, from the moments at which it was ready and those at which it stopped.

    A node that was killed records nothing: its next start begins a new stretch, and the old one ends there, too.
    """
    found, since = [], None
    for at, started in sorted([*((at, True) for at in starts), *((at, False) for at in stops)]):
        if since is not None:
            found.append((since, at))
        since = at if started else None
    return found + ([(since, end)] if since is not None else [])


def fewest(times: list[tuple[float, float]], start: float, end: float) -> int:
    """How many of the stretches overlap at every moment of [start, end], at least."""
    moments = sorted({start, *(one for stretch in times for one in stretch if start <= one < end)})
    return min(sum(begin <= moment < stop for begin, stop in times) for moment in moments)


def parse_records(lines: Iterable[str]) -> tuple[list[Send], dict[str, Any]]:
    """The producer's lines: one per attempt, and its summary. A line cut off by a dead host is skipped."""
    sends, summary = [], {}
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if "summary" in record:
            summary = record
        elif "id" in record:
            sends.append(Send(record["id"], record["sent"], record["returned"], record.get("error", "")))
    return sends, summary


def longest_gap(moments: Iterable[float], start: float, end: float) -> float:
    """Longest stretch without an event inside [start, end], both ends counted as events."""
    inside = sorted(moment for moment in moments if start <= moment <= end)
    points = [start, *inside, end]
    return max((later - earlier for earlier, later in itertools.pairwise(points)), default=0.0)


def account(
    sends: list[Send],
    executions: list[Execution],
    fault_at: float | None = None,
    healed_at: float | None = None,
    waiting: Iterable[str] = (),
) -> dict[str, Any]:
    """The balance of one run.

    accepted: the call returned; refused: it raised. An id is lost when it was accepted, was never
    executed and waits nowhere in the broker. Ids executed although refused are counted apart: the
    producer got an error, so they promise nothing. Gaps are looked for between the fault and the moment
    at which the broken host was started again, so that its return cannot pass for a recovery.
    """
    accepted = {send.task_id: send for send in sends if not send.error}
    refused = {send.task_id: send for send in sends if send.error}
    ours = [execution for execution in executions if execution.task_id in accepted or execution.task_id in refused]
    times = Counter(execution.task_id for execution in ours)
    waiting_ids = {task_id for task_id in waiting if task_id in accepted and task_id not in times}
    missing = [send for task_id, send in accepted.items() if task_id not in times and task_id not in waiting_ids]

    result: dict[str, Any] = {
        "accepted": len(accepted),
        "refused": len(refused),
        "executed": sum(task_id in times for task_id in accepted),
        "executed_though_refused": sum(task_id in times for task_id in refused),
        "doubled": sum(count > 1 for count in times.values()),
        "waiting": len(waiting_ids),
        "lost": len(missing),
        "lost_ids": sorted(send.task_id for send in missing),
        "nodes": dict(sorted(Counter(execution.node for execution in ours).items())),
        "errors": dict(Counter(send.error.split(":", maxsplit=1)[0] for send in refused.values())),
    }
    if accepted:
        # The window ends with the last attempt: afterwards nothing is left to execute and a pause is no outage.
        first, last = min(send.sent for send in sends), max(send.sent for send in sends)
        start = max(first, fault_at - 2) if fault_at else first
        end = max(start, min(last, healed_at or last))
        returns = [send.returned for send in accepted.values()]
        result["execution_gap_seconds"] = round(longest_gap([one.at for one in ours], start, end), 2)
        # A node that executes nothing while the others work has not recovered.
        result["node_gap_seconds"] = {
            node: round(longest_gap([one.at for one in ours if one.node == node], start, end), 2)
            for node in result["nodes"]
        }
        result["producer_gap_seconds"] = round(longest_gap(returns, start, end), 2)
        result["sent_per_second"] = round(len(accepted) / max(last - first, 0.001), 1)
        if fault_at:
            result["lost_seconds_from_fault"] = sorted(round(send.returned - fault_at, 2) for send in missing)
        if healed_at:
            result["gap_after_return_seconds"] = round(longest_gap([one.at for one in ours], healed_at, max(last, healed_at)), 2)
    return result


def throughput(executions: list[Execution], trim: float = 0.1) -> float:
    """Tasks per second between the moments at which a tenth and nine tenths were done."""
    moments = sorted(execution.at for execution in executions)
    first, last = int(len(moments) * trim), int(len(moments) * (1 - trim)) - 1
    if last <= first or moments[last] <= moments[first]:
        return 0.0
    return round((last - first) / (moments[last] - moments[first]), 1)
