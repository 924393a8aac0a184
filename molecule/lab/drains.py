# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Empty, hang, scale and remove workers under load."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from lab.hosts import Lab, wait_until
from lab.load import BALANCE, NOOP, QUEUE, Load, Stream

VIDEO = "video_processing"
LONG = "proj.tasks.long"
# "video   | timed out | 5.4     | 0        | 2          | 0"
ROW = re.compile(r"^\W*(?P<node>[\w-]+) +\| (?P<outcome>stopped|timed out|killed|no report) +\| (?P<seconds>[\d.]+) +\| "
                 r"(?P<finished>\d+) +\| (?P<given_back>\d+) +\| (?P<lost>\d+)", re.MULTILINE)


def rows(text: str) -> dict[str, dict[str, Any]]:
    """What a playbook reports about each node that it stopped."""
    return {
        found["node"]: {
            "outcome": found["outcome"],
            "seconds": float(found["seconds"]),
            **{key: int(found[key]) for key in ("finished", "given_back", "lost")},
        }
        for found in ROW.finditer(text)
    }


def short_streams() -> list[Stream]:
    return [Stream(NOOP, [], QUEUE, 20), Stream(LONG, [1, 0.5], VIDEO, 1)]


def nodes_up(lab: Lab, host: str) -> list[str]:
    """Worker nodes of a host that run."""
    units = lab.run(host, "systemctl list-units --plain --no-legend --state=active 'celery-worker-*'")
    return sorted(line.split()[0].removeprefix("celery-worker-").removesuffix(".service") for line in units.splitlines() if line)


def main_process(lab: Lab, host: str, node: str) -> int:
    return int(lab.run(host, f"systemctl show --property=MainPID --value celery-worker-{node}.service"))


def suspend(lab: Lab, host: str, node: str) -> None:
    """Hold all processes of a node, and its main process so that nothing wakes it; ends with the process."""
    process = main_process(lab, host, node)
    lab.run(host, f"systemctl kill --signal=STOP celery-worker-{node}.service")
    lab.run(host, f"setsid sh -c 'while kill -STOP {process}; do sleep 0.003; done' >/dev/null 2>&1 &")


def pace(lab: Lab) -> int:
    """Seconds that a task must take to be still running when a playbook has come to the point, on this machine now."""
    started = time.time()
    lab.playbook("playbooks/preflight.yml")
    return round(max(25.0, 4 * (time.time() - started)))


def runs_long(lab: Lab, host: str, node: str) -> bool:
    """Tell whether a node runs a task for longer than any short one takes."""
    record = json.loads(lab.run(host, f"cat /var/lib/celery/heartbeat/{node}@{host}.json"))
    return any(task["name"] == LONG and task["seconds"] > 2 for task in record["active"])


def drain(lab: Lab, host: str, seconds: int, hang: str = "", **variables: Any) -> dict[str, Any]:
    """Drain a host while it runs long tasks and short ones arrive; put it back to work, and count."""
    streams = [*short_streams(), Stream(LONG, [seconds], VIDEO, 2, 4)]
    with Load(lab, streams) as load:
        if wait_until(lambda: runs_long(lab, host, "video"), 60) is None:
            raise RuntimeError(f"no long task has come to {host}")
        if hang:
            suspend(lab, host, hang)
        stopped = rows(lab.playbook("playbooks/ops/drain.yml", celery_drain_hosts=[host], **variables).stdout)
        left = nodes_up(lab, host)
        started = time.time()
        lab.playbook("playbooks/ops/undrain.yml", celery_drain_hosts=[host])
        undrain = time.time() - started
        time.sleep(2)
    outcome = load.result(180 + 4 * seconds)
    return {
        "host": host,
        "nodes": stopped,
        "still_up": left,
        "drain_seconds": max((node["seconds"] for node in stopped.values()), default=0.0),
        "undrain_playbook_seconds": round(undrain, 1),
        **{key: outcome.get(key) for key in BALANCE},
    }


def scale(lab: Lab, host: str, high: int, low: int) -> dict[str, Any]:
    """Scale a pool up and down while its tasks run."""
    pool: dict[str, Any] = {"celery_worker_scale_pool": "video", "celery_worker_scale_hosts": [host]}
    with Load(lab, [*short_streams(), Stream(LONG, [4], VIDEO, 1)]) as load:
        lab.playbook("playbooks/ops/scale.yml", **pool, celery_worker_scale_instances=high)
        up = nodes_up(lab, host)
        down = lab.playbook("playbooks/ops/scale.yml", **pool, celery_worker_scale_instances=low).stdout
    outcome = load.result()
    stopped = rows(down)
    return {
        "host": host,
        "nodes_up": up,
        "nodes_down": nodes_up(lab, host),
        "nodes": stopped,
        "drain_seconds": max((node["seconds"] for node in stopped.values()), default=0.0),
        **{key: outcome.get(key) for key in BALANCE},
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """The balances as Markdown."""
    columns = ("drain_seconds", "accepted", "executed", "refused", "failed", "doubled", "lost")
    lines = [f"| | {' | '.join(column.replace('_', ' ') for column in columns)} |", f"| --- {'| --- ' * len(columns)}|"]
    lines += [f"| {name.replace('_', ' ')} | {' | '.join(str(one.get(column)) for column in columns)} |" for name, one in results.items()]
    return "\n".join(lines)
