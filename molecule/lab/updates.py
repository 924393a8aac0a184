# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Update and roll back the release under a mixed load, and measure who consumed meanwhile."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

from lab import ROOT, playbooks, report
from lab.accounting import fewest, parse_ready, stretches
from lab.hosts import APP, Lab, progress, wait_until
from lab.load import BALANCE, Load, Stream

# From a hundredth of a second to a minute; of the long ones a few are enough to be in the way of every batch.
MIX = [
    Stream("proj.tasks.noop", [], "default", 8),
    Stream("proj.tasks.sleep", [0.01], "default", 5),
    Stream("proj.tasks.sleep", [4], "default", 0.1),
    Stream("proj.tasks.sleep", [1], "video_processing", 0.5),
    Stream("proj.tasks.sleep", [60], "video_processing", 0.2, 2),
    Stream("proj.tasks.sleep", [0.5], "data_export", 5),
    Stream("proj.tasks.sleep", [30], "data_export", 0.05, 2),
]
BATCH = re.compile(r"([\w.-]+(?:, [\w.-]+)*): release \S+ after ([\d.]+) s")
STOPPING = re.compile(r"^([\d.]+) \S+ systemd\[1\]: Stopping celery-worker-(\S+)\.service", re.MULTILINE)


def kill_in_the_middle(lab: Lab, name: str, host: str, version: str, **variables: Any) -> None:
    """Run a playbook and kill it, with all that it started here, as soon as it has switched the release of a host."""
    command = playbooks.command(f"playbooks/ops/{name}.yml", *lab.inventories, **variables)
    with tempfile.TemporaryFile("w+") as output:
        program = subprocess.Popen(
            command, cwd=ROOT, env=playbooks.environment(), start_new_session=True, stdout=output, stderr=subprocess.STDOUT,
        )
        try:
            # A look costs a tenth of a second of the machine that all hosts share; a batch takes many seconds.
            waited = wait_until(lambda: program.poll() is not None or current(lab, host) == version, 900, 1.5)
            if waited is None or program.poll() is not None:
                output.seek(0)
                raise RuntimeError(f"{name} was to be killed on {host}, but ended with {program.poll()}:\n{output.read()[-6000:]}")
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()


def current(lab: Lab, host: str) -> str:
    """The release that a host is switched to."""
    return lab.run(host, f"basename $(readlink /opt/celery/{APP}/current)").strip()


def running(lab: Lab, host: str) -> set[str]:
    """The releases that the worker processes of a host run from."""
    found = lab.run(host, "pgrep --full --list-full 'venv/bin/celery .* worker '", check=False)
    return set(re.findall(rf"/opt/celery/{APP}/releases/([^/]+)/venv/bin/celery", found))


def consumed(lab: Lab, since: float) -> dict[str, list[tuple[float, float]]]:
    """When each node consumed, from its log and from what systemd did."""
    now, found = time.time(), {}
    for host in lab.group("workers"):
        stops: dict[str, list[float]] = {}
        for at, name in STOPPING.findall(lab.run(host, "journalctl --no-pager --output=short-unix --unit='celery-worker-*'", check=False)):
            stops.setdefault(f"{name}@{host}", []).append(float(at))
        for node, text in lab.log_files(host).items():
            found[node] = [one for one in stretches(parse_ready(text), stops.get(node, []), now) if one[1] > since]
    return found


def consumers(lab: Lab, since: float, until: float) -> dict[str, dict[str, int]]:
    """For each pool how many nodes consumed in the beginning, and how many there were at least at any time."""
    pools: dict[str, list[tuple[float, float]]] = {}
    for node, times in consumed(lab, since).items():
        pools.setdefault(re.sub(r"(-\d+)?@.*", "", node), []).extend(times)
    return {
        pool: {"at_first": sum(begin <= since < end for begin, end in times), "fewest": fewest(times, since, until)}
        for pool, times in sorted(pools.items()) if times
    }


def under_load(lab: Lab, name: str, streams: list[Stream] | None = None, before: Callable[[], object] | None = None, **variables: Any) -> dict[str, Any]:
    """Run an update or a rollback under load; `before` may do something to the cluster first, under the same load."""
    with Load(lab, streams or MIX) as load:
        time.sleep(3)
        if before:
            before()
        started = time.time()
        output = playbooks.output(lab, f"playbooks/ops/{name}.yml", **variables)
        seconds = round(time.time() - started, 1)
        time.sleep(2)
    outcome = load.result()
    result = {
        "playbook": name,
        "seconds": seconds,
        "batches": {hosts: float(took) for hosts, took in BATCH.findall(output)},
        "consumers": consumers(lab, load.started_at, load.ended_at),
        **{key: outcome.get(key) for key in BALANCE},
        "queues": outcome["queues"],
    }
    progress(f"{name}: {seconds} s, batches {result['batches']}, consumers {result['consumers']}")
    return result


def table(results: dict[str, Any]) -> str:
    """What an update did to the tasks, and what each batch took."""
    done = [(name, one) for name, one in results.items() if "batches" in one]
    text = report.table(
        ["under mixed load", "seconds", *(key.replace("_", " ") for key in BALANCE)],
        [[name, one["seconds"], *(one[key] for key in BALANCE)] for name, one in done],
    )
    text += "\n" + report.table(
        ["under mixed load", "batch", "seconds"], [[name, batch, took] for name, one in done for batch, took in one["batches"].items()]
    )
    return text + "\n" + report.table(
        ["under mixed load", "pool", "nodes at first", "consuming at any time, at least"],
        [[name, pool, count["at_first"], count["fewest"]] for name, one in done for pool, count in one["consumers"].items()],
    )
