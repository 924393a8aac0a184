# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Change the brokers under load: a planned switchover, and a restart of every Redis and Sentinel."""

from __future__ import annotations

import re
import time
from typing import Any

from lab import report
from lab.hosts import Lab
from lab.load import BALANCE, NOOP, QUEUE, Load, Stream

RATE = 25
# What the design aims at.
AIM_GAP_SECONDS = 4
PAUSE = re.compile(r"writes\s+paused for ([\d.]+)\s+s")


def under_load(lab: Lab, name: str, **variables: Any) -> dict[str, Any]:
    """Run a playbook while tasks are sent, and count what became of them."""
    before = lab.sentinel_master()
    started = time.time()
    with Load(lab, [Stream(NOOP, [], QUEUE, RATE)]) as load:
        time.sleep(2)
        done = lab.playbook(f"playbooks/ops/{name}.yml", **variables)
        time.sleep(3)
    outcome = load.result()
    pause = PAUSE.search(done.stdout.replace("\n", " "))
    return {
        "playbook": name,
        "seconds": round(time.time() - started, 1),
        "master_before": before,
        "master": lab.sentinel_master(),
        "pause_seconds": float(pause[1]) if pause else None,
        **{key: outcome.get(key) for key in (*BALANCE, "producer_gap_seconds")},
        "aim_gap_seconds": AIM_GAP_SECONDS,
        "aim_gap_met": max(outcome["execution_gap_seconds"], outcome["producer_gap_seconds"]) <= AIM_GAP_SECONDS,
    }


def switchover(lab: Lab) -> dict[str, Any]:
    """Move the master to a named broker."""
    before = lab.sentinel_master()
    wanted = next(host for host in reversed(lab.group("brokers")) if host != before)
    return {"wanted": wanted, **under_load(lab, "switchover", redis_switchover_to=wanted)}


def process_ids(lab: Lab) -> dict[str, list[str]]:
    """Main processes of Redis and Sentinel on each broker."""
    command = "systemctl show --property MainPID --value redis-broker.service redis-broker-sentinel.service"
    return {host: lab.run(host, command).split() for host in lab.group("brokers")}


def rolling_restart(lab: Lab) -> dict[str, Any]:
    """Have every Redis and Sentinel restarted, as new packages or settings would."""
    before = process_ids(lab)
    for host in lab.group("brokers"):
        lab.run(host, "touch /etc/systemd/system/redis-broker.service /etc/systemd/system/redis-broker-sentinel.service")
    result = under_load(lab, "update_brokers", redis_update_packages=False)
    after = process_ids(lab)
    result["restarted"] = sum(old != new for host in before for old, new in zip(before[host], after[host]))
    result["processes"] = 2 * len(before)
    return result


def table(results: dict[str, dict[str, Any]]) -> str:
    """The balances as a table."""
    columns = ["accepted", "refused", "executed", "failed", "doubled", "lost", "execution_gap_seconds", "producer_gap_seconds", "pause_seconds", "seconds"]
    rows = [
        [name.replace("_", " "), *(one.get(column) for column in columns), f"{one['aim_gap_seconds']}, {report.met(one['aim_gap_met'])}"]
        for name, one in results.items()
    ]
    heads = [column.removesuffix("_seconds").replace("_", " ") + (" s" if column.endswith("seconds") else "") for column in columns]
    return report.table(["brokers", *heads, "aim: gap s"], rows)
