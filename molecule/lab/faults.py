# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Break a host of the lab under load and count what became of every task."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from lab import report
from lab.accounting import account, parse_log, parse_records
from lab.hosts import Lab, progress, wait_until
from lab.load import NOOP, QUEUE
from lab.playbooks import deploy

RATE = 100
SLEEP = "proj.tasks.sleep"
# What the design aims at, in seconds; tests assert wider bounds because machines are noisy.
AIM_GAP = {"kill": 8, "partition": 8, "hang": 15}
# An unacknowledged message of a dead worker is looked for this often, see unacked_restore_interval.
SWEEP = 10

_KINDS: dict[str, tuple[Callable[[Lab, str], None], Callable[[Lab, str], None]]] = {
    "kill": (lambda lab, host: lab.kill(host), lambda lab, host: lab.start(host)),
    "partition": (lambda lab, host: lab.cut(host), lambda lab, host: lab.join(host)),
    "hang": (lambda lab, host: lab.signal_brokers(host, "SIGSTOP"), lambda lab, host: lab.signal_brokers(host, "SIGCONT")),
}


def recent_executions(lab: Lab, nodes: list[str], since: float) -> int:
    """Of the nodes, how many executed something after a moment; reads the last lines of each log only."""
    busy = 0
    for node in nodes:
        name, host = node.split("@")
        text = lab.run(host, f"tail -n 40 /var/log/celery/{name}.log", check=False)
        busy += any(execution.at > since for execution in parse_log(text, node))
    return busy


def broker_fault(lab: Lab, kind: str, before: float = 6, after: float = 8, bound: float = 60) -> dict[str, Any]:
    """Break the master's host under load, wait for the work to go on, start the host again under load."""
    strike, mend = _KINDS[kind]
    producer_host = lab.scheduler
    lab.install_agent(producer_host)
    nodes = lab.nodes_of(QUEUE)
    visibility = lab.setting("visibility_timeout")
    master = lab.sentinel_master()
    others = [host for host in lab.group("brokers") if host != master]
    progress(f"{kind}: the master is {master}, {len(nodes)} nodes consume {QUEUE}; sending {RATE} tasks/s")

    producer = lab.agent(
        producer_host, "send", "--task", NOOP, "--queue", QUEUE, "--rate", str(RATE), "--until-closed",
        "--seconds", str(before + bound + after + 60),
    )
    if wait_until(lambda: len(producer.lines) > RATE, 30, 0.1) is None:
        raise RuntimeError("the producer does not send: " + "".join(producer.errors)[-2000:])
    time.sleep(before)

    fault_at = time.time()
    strike(lab, master)
    elected = wait_until(
        lambda: any(lab.master_seen_by(host) not in ("", lab.address(master)) for host in others), bound, 0.2
    )
    progress(f"{kind}: a new master after {elected and round(elected, 1)} s")
    resumed = wait_until(
        lambda: recent_executions(lab, nodes, max(fault_at + 3, time.time() - 3)) == len(nodes), bound, 0.5
    )
    progress(f"{kind}: every node works again" if resumed is not None else f"{kind}: not every node works again after {bound} s")
    time.sleep(4)

    # The old master is watched from before it is back until it is a replica: it must not take one write.
    probe = lab.agent(producer_host, "probe", "--address", lab.address(master), "--seconds", "90", "--until-closed")
    time.sleep(1)
    healed_at = time.time()
    mend(lab, master)
    joined = wait_until(lambda: lab.is_replica(master), 75)
    progress(f"{kind}: the old master is a replica after {joined and round(joined, 1)} s")
    time.sleep(max(2.0, after - (time.time() - healed_at)))
    producer.close()
    probe.close()
    producer.wait(90)
    attempts = Counter(record["outcome"] for record in probe.wait(30) if "outcome" in record)

    # What a failover left unacknowledged comes back after the visibility timeout; the rest is done at once.
    left = lab.settle([QUEUE], visibility + 2 * SWEEP + 10)
    sends, summary = parse_records(producer.lines)
    waiting = (left.get("queued") or []) + (left.get("unacked") or [])
    result = {
        "fault": kind,
        "host": master,
        "new_master": lab.sentinel_master(),
        "election_seconds": elected and round(elected, 1),
        "all_nodes_resumed": resumed is not None,
        "old_master_is_replica": joined is not None,
        "replica_after_seconds": joined and round(joined, 1),
        "writes_taken_by_old_master": attempts["accepted"],
        "old_master_answers": dict(attempts),
        "consuming_nodes": nodes,
        "settle_seconds": round(left.get("seconds", -1), 1),
        "slots_skipped": summary.get("skipped"),
        "producers_hanging": summary.get("hanging"),
        **account(sends, lab.executions(), fault_at, healed_at, waiting),
        "aim_gap_seconds": AIM_GAP[kind],
    }
    result["aim_gap_met"] = result["execution_gap_seconds"] <= AIM_GAP[kind]
    result["aim_lost_met"] = result["lost"] == 0
    progress(summary_line(result))
    return result


def summary_line(result: dict[str, Any]) -> str:
    keys = ("accepted", "refused", "executed", "doubled", "waiting", "lost", "execution_gap_seconds", "producer_gap_seconds",
            "node_gap_seconds", "writes_taken_by_old_master")
    return f"{result['fault']}: " + ", ".join(f"{key} {result[key]}" for key in keys if key in result)


def worker_fault(lab: Lab, seconds: int = 12, count: int = 8) -> dict[str, Any]:
    """Kill a worker's host while it runs long tasks; count who executed them in the end, and when."""
    producer_host = lab.scheduler
    lab.install_agent(producer_host)
    visibility = lab.setting("visibility_timeout")
    nodes = lab.nodes_of(QUEUE)
    victim = nodes[0].split("@")[1]
    progress(f"worker: {count} tasks of {seconds} s to {', '.join(nodes)}; {victim} will be killed")
    producer = lab.agent(
        producer_host, "send", "--task", SLEEP, "--args", json.dumps([seconds]), "--queue", QUEUE, "--rate", "20",
        "--count", str(count), "--seconds", "10",
    )
    sends, unused_summary = parse_records([json.dumps(record) for record in producer.wait(60)])
    ids = {send.task_id for send in sends if not send.error}
    wait_until(lambda: any(one.task_id in ids for one in lab.executions([victim], "received")), 20)
    time.sleep(2)
    fault_at = time.time()
    lab.kill(victim)

    def unfinished() -> set[str]:
        return ids - {one.task_id for one in lab.executions()}

    # Redelivered after the visibility timeout at the next sweep, then queued behind each other.
    bound = visibility + SWEEP + count * seconds / 2 + 60
    finished = wait_until(lambda: not unfinished(), bound, 2)
    ended = lab.executions()
    received = lab.executions(event="received")
    unacked = {
        one.task_id for one in received
        if one.task_id in ids and one.node.endswith(f"@{victim}")
        and not any(done.task_id == one.task_id and done.at < fault_at for done in ended)
    }
    waits = []
    for task_id in unacked:
        first = min(one.at for one in received if one.task_id == task_id and one.node.endswith(f"@{victim}"))
        again = [one.at for one in received if one.task_id == task_id and not one.node.endswith(f"@{victim}")]
        waits += [min(again) - first] if again else []

    lab.start(victim)
    back = wait_until(lambda: all(node in lab.nodes_of(QUEUE) for node in nodes), 90, 2)
    left = lab.settle([QUEUE], visibility + 2 * SWEEP + seconds)
    waiting = (left.get("queued") or []) + (left.get("unacked") or [])
    result = {
        "fault": "worker",
        "host": victim,
        "visibility_timeout_seconds": visibility,
        "unacked_by_killed_host": len(unacked),
        "redelivered": len(waits),
        "redelivered_after_seconds": sorted(round(wait, 1) for wait in waits),
        "finished_seconds": finished and round(finished, 1),
        "node_back_after_seconds": back and round(back, 1),
        **account(sends, lab.executions(), waiting=waiting),
    }
    for name in ("execution_gap_seconds", "node_gap_seconds", "producer_gap_seconds", "sent_per_second"):
        result.pop(name, None)
    result["aim_redelivery_met"] = bool(waits) and len(waits) == len(unacked) and max(waits) <= visibility + SWEEP + 5
    result["aim_lost_met"] = result["lost"] == 0
    progress(f"worker: held {len(unacked)}, redelivered after {result['redelivered_after_seconds']} s, lost {result['lost']}, doubled {result['doubled']}")
    return result


def rerun(lab: Lab, arguments: list[str] | None = None) -> dict[str, Any]:
    """Deploy again after a failover: nothing may change, least of all the master."""
    before = lab.sentinel_master()
    result = deploy(lab, arguments=arguments)
    result["master_before"], result["master_after"] = before, lab.sentinel_master()
    progress(f"site.yml again: {result['seconds']} s, changed {result['changed']}, failed {result['failed']}, "
             f"master {before} -> {result['master_after']}")
    for change in result.get("changed_tasks", []):
        progress(f"  changed: {change['host']}: {change['task']}")
    return result


def table(results: dict[str, Any]) -> str:
    """What each fault did, and what running the playbook after it did, as Markdown."""
    broken = [results[name] for name in ("kill", "partition", "hang") if name in results]
    text = report.table(
        ["master's host", "accepted", "refused", "executed", "doubled", "lost", "waiting", "execution gap s",
         "slowest node's gap s", "producer gap s", "new master after s", "aim: gap s", "aim: lost 0", "writes taken by old master"],
        [
            [one["fault"], one["accepted"], one["refused"], one["executed"], one["doubled"], one["lost"], one["waiting"],
             one.get("execution_gap_seconds"), max(one.get("node_gap_seconds", {}).values(), default=None),
             one.get("producer_gap_seconds"), one["election_seconds"],
             f"{one['aim_gap_seconds']}, {report.met(one['aim_gap_met'])}", report.met(one["aim_lost_met"]), one["writes_taken_by_old_master"]]
            for one in broken
        ],
    )
    reruns = {name: value for name, value in results.items() if name.startswith("rerun_")}
    if reruns:
        text += "\n" + report.table(
            ["site.yml after", "seconds", "changed", "failed", "master unmoved"],
            [[name.removeprefix("rerun_"), one["seconds"], one["changed"], one["failed"], one["master_before"] == one["master_after"]]
             for name, one in reruns.items()],
        )
    if "worker" in results:
        one = results["worker"]
        text += "\n" + report.table(
            ["worker's host killed", "accepted", "executed", "doubled", "lost", "held by it", "redelivered", "redelivered after s",
             "visibility timeout s", "aim: redelivered in time"],
            [[one["host"], one["accepted"], one["executed"], one["doubled"], one["lost"], one["unacked_by_killed_host"],
              one["redelivered"], max(one["redelivered_after_seconds"], default=None), one["visibility_timeout_seconds"],
              report.met(one["aim_redelivery_met"])]],
        )
    return text
