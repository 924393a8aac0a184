# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Measure a cluster from its first deployment to its failovers: bench.py [PART]…

Starts a lab, deploys the shipped inventories/prod on it, measures, writes reports/bench.json and reports/bench.md,
and removes the lab.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import encryption
import monitoring
from lab import brokers, drains, faults, metrics, report, updates
from lab.accounting import account, parse_records, throughput
from lab.hosts import Lab, progress
from lab.load import NOOP, QUEUE
from lab.playbooks import deploy, run_playbook

NAME = "bench"
NETWORK = "172.31.14.0/24"
INVENTORY = "inventories/prod"
MORE = "tools/bench/more_hosts.yml"
FAULT_VARIABLES = ["--extra-vars", "@molecule/faults/vars.yml"]
# Ten million tasks a day.
SUSTAINED_RATE = 116
SUSTAINED_SECONDS = 120


def start_lab(*inventories: str) -> float:
    started = time.time()
    sources = [word for inventory in inventories for word in ("-i", inventory)]
    run_playbook("molecule/lab/create.yml", *sources, lab_name=NAME, lab_network=NETWORK)
    return round(time.time() - started, 1)


def remove_lab() -> None:
    run_playbook("molecule/lab/destroy.yml", "-i", "localhost,", lab_name=NAME)


def run_metrics(run: dict[str, Any]) -> dict[str, Any]:
    """What a run of the playbook cost, per host."""
    if run["exit_code"]:
        raise RuntimeError(run["output"])
    runs = run["module_runs"]
    return {
        "hosts": run["hosts"],
        "seconds": run["seconds"],
        "seconds_per_host": round(run["seconds"] / run["hosts"], 1),
        "changed": run["changed"],
        "module_runs_per_host": runs,
        "module_runs_highest": max(runs.values()),
        "slowest_tasks": run["slowest_tasks"],
    }


def measure_runs(lab: Lab, results: dict[str, Any]) -> None:
    results["first_run"] = run_metrics(deploy(lab))
    results["second_run"] = run_metrics(deploy(lab))
    for name in ("first_run", "second_run"):
        one = results[name]
        progress(f"{name}: {one['seconds']} s, changed {one['changed']}, at most {one['module_runs_highest']} module runs on a host")


def services(lab: Lab, verb: str, nodes: list[str]) -> None:
    for name, host in (node.split("@") for node in nodes):
        lab.run(host, f"systemctl {verb} celery-worker-{name}.service")


def drain(lab: Lab, queues: dict[str, list[str]], count: int) -> dict[str, Any]:
    """Fill queues that nobody consumes, let the nodes given loose on them, and see how fast they empty them."""
    producer_host = lab.scheduler
    before = lab.nodes_by_queue()
    # Stopped services, not cancelled consumers: a consumer added again was seen to take one message a second.
    for queue in queues:
        services(lab, "stop", before[queue])
    sends, sent_at = [], time.time()
    for queue in queues:
        records = lab.agent(
            producer_host, "send", "--task", NOOP, "--queue", queue, "--rate", "100000", "--catch-up",
            "--count", str(count), "--seconds", "300",
        ).wait(400)
        sends += [record for record in records if "id" in record and "error" not in record]
    send_rate = round(len(sends) / (time.time() - sent_at), 1)
    ids = {record["id"] for record in sends}
    for nodes in queues.values():
        services(lab, "start", nodes)
    left = lab.settle(list(queues), 300)
    done = [one for one in lab.executions() if one.task_id in ids]
    for queue, nodes in before.items():
        if queue in queues:
            services(lab, "start", nodes)
    return {
        "nodes": sorted({one.node for one in done}),
        "tasks": len(ids),
        "executed": len({one.task_id for one in done}),
        "tasks_per_second": throughput(done),
        "published_per_second": send_rate,
        "settle_seconds": left.get("seconds"),
    }


def measure_throughput(lab: Lab, results: dict[str, Any]) -> None:
    lab.install_agent(lab.scheduler)
    by_queue = lab.nodes_by_queue()
    results["one_process"] = drain(lab, {QUEUE: by_queue[QUEUE][:1]}, 3000)
    results["cluster"] = drain(lab, by_queue, 2000)
    for name in ("one_process", "cluster"):
        progress(f"{name}: {results[name]['tasks_per_second']} no-op tasks/s through {len(results[name]['nodes'])} worker processes")


def measure_sustained(lab: Lab, results: dict[str, Any]) -> None:
    producer_host = lab.scheduler
    lab.install_agent(producer_host)
    producer = lab.agent(
        producer_host, "send", "--task", NOOP, "--queue", QUEUE, "--rate", str(SUSTAINED_RATE), "--catch-up",
        "--seconds", str(SUSTAINED_SECONDS),
    )
    producer.wait(SUSTAINED_SECONDS + 90)
    left = lab.settle([QUEUE], 120)
    sends, unused = parse_records(producer.lines)
    result = account(sends, lab.executions(), waiting=(left.get("queued") or []) + (left.get("unacked") or []))
    result["settle_seconds"] = left.get("seconds")
    result["asked_per_second"] = SUSTAINED_RATE
    result["seconds"] = SUSTAINED_SECONDS
    results["sustained"] = result
    progress(f"sustained: {result['sent_per_second']} tasks/s, accepted {result['accepted']}, executed {result['executed']}, "
             f"lost {result['lost']}, doubled {result['doubled']}")


def measure_faults(lab: Lab, results: dict[str, Any]) -> None:
    """The broker faults under the inventory as shipped, the worker's under a visibility timeout worth waiting for."""
    outcome = results.setdefault("faults", {})
    for kind in ("kill", "partition", "hang"):
        outcome[kind] = faults.broker_fault(lab, kind)
        outcome[f"rerun_{kind}"] = faults.rerun(lab)
    shortened = deploy(lab, arguments=[*FAULT_VARIABLES, "--tags", "workers,schedulers"])
    if shortened["exit_code"]:
        raise RuntimeError(shortened["output"])
    outcome["worker"] = faults.worker_fault(lab)


def measure_hosts(lab: Lab, results: dict[str, Any]) -> None:
    """Twice as many hosts: deploy the new ones, then see what a converged run costs each host."""
    start_lab(INVENTORY, MORE)
    large = Lab(NAME, INVENTORY, MORE)
    results["eighteen_first_run"] = run_metrics(deploy(large))
    results["eighteen_second_run"] = run_metrics(deploy(large))
    progress(f"18 hosts: {results['eighteen_second_run']['seconds_per_host']} s for each host in a converged run, "
             f"9 hosts: {results.get('second_run', {}).get('seconds_per_host', '-')} s")


def measure_update(lab: Lab, results: dict[str, Any]) -> None:
    """To another release and back, host by host, under a mix of short and long tasks."""
    results["update"] = {
        "update": updates.under_load(lab, "rolling_update", celery_update_version="2.0.0", celery_update_batch=1),
        "rollback": updates.under_load(lab, "rollback", celery_update_batch=1),
    }


def measure_drains(lab: Lab, results: dict[str, Any]) -> None:
    """A worker host emptied, with a bound, with a node that hangs, and a pool that grows and shrinks."""
    host, seconds = lab.group("workers_cpu")[-1], drains.pace(lab)
    results["drains"] = {
        "drain": drains.drain(lab, host, seconds),
        "drain_bounded": drains.drain(lab, host, seconds, celery_drain_timeout_seconds=5),
        "drain_hung": drains.drain(lab, host, 10, hang="video", celery_worker_answer_timeout_seconds=5),
        "scale": drains.scale(lab, host, 4, 1),
    }


def measure_brokers(lab: Lab, results: dict[str, Any]) -> None:
    """A planned switchover, and a restart of every Redis and Sentinel."""
    results["switchover"] = {"switchover": brokers.switchover(lab), "rolling_restart": brokers.rolling_restart(lab)}


def measure_monitoring(lab: Lab, results: dict[str, Any]) -> None:
    # Readings of the first minutes still hold what services do when they start.
    time.sleep(60)
    results["monitoring"] = monitoring.measure(lab)


def measure_metrics(lab: Lab, results: dict[str, Any]) -> None:
    """How long Celery's exporters are blind in a failover, and what they cost."""
    results["metrics"] = {**monitoring.exporters(lab), "failovers": [metrics.failover(lab, kind) for kind in ("hung", "killed")]}


def measure_tls(lab: Lab, results: dict[str, Any]) -> None:
    """With TLS on the lab as it is, then without on a new one; the lab stays without."""

    def one_process(cluster: Lab) -> dict[str, Any]:
        return drain(cluster, {QUEUE: cluster.nodes_by_queue()[QUEUE][:1]}, 2000)

    lab.install_agent(lab.scheduler)
    with_tls = encryption.rounds(lab, one_process)
    remove_lab()
    start_lab(INVENTORY)
    plain = Lab(NAME, INVENTORY)
    run_metrics(deploy(plain, arguments=["--extra-vars", json.dumps(dict.fromkeys(encryption.FLAGS, False))]))
    plain.install_agent(plain.scheduler)
    results["tls"] = encryption.compare(with_tls, encryption.rounds(plain, one_process))
    progress(f"tls: {results['tls']}")


PARTS: dict[str, Callable[[Lab, dict[str, Any]], None]] = {
    "runs": measure_runs,
    "throughput": measure_throughput,
    "sustained": measure_sustained,
    "update": measure_update,
    "drains": measure_drains,
    "monitoring": measure_monitoring,
    "metrics": measure_metrics,
    "switchover": measure_brokers,
    "faults": measure_faults,
    "hosts": measure_hosts,
    # Last: it leaves another cluster behind.
    "tls": measure_tls,
}


def tables(results: dict[str, Any]) -> str:
    text = f"Measured on {results['machine']}.\n"
    rows = [
        [title, one["hosts"], one["seconds"], one["seconds_per_host"], one["module_runs_highest"], one["changed"]]
        for key, title in (("first_run", "first"), ("second_run", "second"), ("eighteen_first_run", "nine more hosts"),
                           ("eighteen_second_run", "second with them"))
        if (one := results.get(key))
    ]
    if rows:
        text += "\n" + report.table(["run of site.yml", "hosts", "seconds", "seconds per host", "module runs on a host, highest", "changed"], rows)
    rows = [
        [title, len(one["nodes"]), one["tasks"], one["executed"], one["tasks_per_second"], one["published_per_second"]]
        for key, title in (("one_process", "one worker process"), ("cluster", "the cluster"))
        if (one := results.get(key))
    ]
    if rows:
        text += "\n" + report.table(["no-op tasks through", "worker processes", "tasks", "executed", "tasks/s", "published/s"], rows)
    if one := results.get("sustained"):
        text += "\n" + report.table(
            ["sustained", "asked tasks/s", "sent tasks/s", "accepted", "refused", "executed", "doubled", "lost", "waiting"],
            [[f"{one['seconds']} s", one["asked_per_second"], one["sent_per_second"], one["accepted"], one["refused"], one["executed"],
              one["doubled"], one["lost"], one["waiting"]]],
        )
    if one := results.get("monitoring"):
        text += "\n" + report.table(
            ["series of a host", "more of a broker", "CPU of a broker's services, % of a core", "of it by being asked"],
            [[one["series_per_host"], one["series_more_per_broker"], round(sum(one["broker_percent_of_a_core_asked"].values()), 2),
              one["broker_cost_percent_of_a_core"]]],
        )
    if one := results.get("metrics"):
        text += "\n" + report.table(
            ["master", "new master after", "metrics of Celery after", "of them since the election"],
            [[run["kind"], f"{run['elected_seconds']} s", f"{run['total_seconds']} s", f"{run['metrics_after_election_seconds']} s"]
             for run in one["failovers"]],
        )
    if results.get("update"):
        text += "\n" + updates.table(results["update"])
    if results.get("drains"):
        text += "\n" + drains.table(results["drains"]) + "\n"
    if results.get("switchover"):
        text += "\n" + brokers.table(results["switchover"])
    if results.get("tls"):
        text += "\n" + encryption.table(results["tls"])
    if results.get("faults"):
        text += "\n" + faults.table(results["faults"])
    if results.get("problems"):
        text += "\nNot measured:\n" + "".join(f"- {part}: {why}\n" for part, why in results["problems"].items())
    return text


def machine() -> str:
    cores, memory = os.cpu_count(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cores} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f} at the start"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; all unless some are named")
    parser.add_argument("--keep", action="store_true", help="leave the lab running, and use it as it is if it runs")
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")

    results: dict[str, Any] = {"machine": machine(), "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "problems": {}}
    try:
        if not options.keep:
            remove_lab()
        progress("starting nine hosts")
        results["lab_seconds"] = start_lab(INVENTORY)
        lab = Lab(NAME, INVENTORY)
        if "runs" not in parts:
            run_metrics(deploy(lab))
        for part in parts:
            progress(f"== {part}")
            try:
                PARTS[part](lab, results)
            except Exception as error:  # one part that fails must not cost the results of the others
                results["problems"][part] = str(error)[-1500:]
                progress(f"{part}: {error}")
                lab.heal()
            report.write("bench", results, tables(results))
    finally:
        if not options.keep:
            remove_lab()
    print("\n" + tables(results))
    return 1 if results["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
