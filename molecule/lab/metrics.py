# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the exporters of Celery on a monitoring host, and measure how long they are blind in a failover."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from lab.hosts import Lab, progress, wait_until

WORKERS, QUEUES = 9808, 9809
SCRAPE = """
import sys, urllib.request
for port in sys.argv[1:]:
    print(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=15).read().decode())
"""
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Samples:
    """What one scrape answered."""

    def __init__(self, text: str) -> None:
        self.rows = [(name, dict(LABEL.findall(labels or "")), float(value)) for name, labels, value in SAMPLE.findall(text)]

    def find(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Series of a name that carry these labels."""
        return [(found, value) for key, found, value in self.rows if key == name and labels.items() <= found.items()]

    def value(self, name: str, **labels: str) -> float:
        """The sum of these series."""
        found = self.find(name, **labels)
        if not found:
            raise RuntimeError(f"no series {name} {labels}")
        return sum(value for _labels, value in found)


def scrape(lab: Lab, host: str, *ports: int) -> Samples:
    """Ask exporters on a host, all of ours when none is named."""
    return Samples(lab.run(host, f"python3 -c '{SCRAPE}' {' '.join(str(port) for port in ports or (WORKERS, QUEUES))}"))


def redis(lab: Lab, command: str, name: str, *argv: str) -> str:
    """Ask the master itself about a key of the environment."""
    environment = lab.hostvars[lab.group("brokers")[0]]["default_environment"]
    return lab.redis(lab.sentinel_master(), f"-n {environment['vhost']} {command} '{environment['key_prefix']}{name}' {' '.join(argv)}").strip()


def sees_all(lab: Lab, host: str, nodes: set[str]) -> bool:
    """Whether both exporters of a host answer with fresh values of every node and every queue."""
    samples = scrape(lab, host)
    up = {labels["node"] for labels, value in samples.find("multinode_worker_up") if value}
    fresh = samples.value("multinode_events_last_seconds") < 3
    return bool(samples.value("multinode_queues_up")) and fresh and nodes <= up and bool(samples.find("celery_queue_length"))


def failover(lab: Lab, kind: str = "hung") -> dict[str, Any]:
    """Hang or kill the master and count the seconds until the exporters show everything again, also since there was a new master."""
    host = lab.group("monitoring")[0]
    nodes = {labels["node"] for labels, value in scrape(lab, host, WORKERS).find("multinode_worker_up") if value}
    master = lab.sentinel_master()
    begin = time.time()
    if kind == "hung":
        lab.signal_brokers(master, "SIGSTOP")
    else:
        lab.run(master, "systemctl kill --kill-whom=main --signal=KILL redis-broker.service")
    try:
        elected = wait_until(lambda: lab.sentinel_master() != master, 60, 0.2)
        back = wait_until(lambda: sees_all(lab, host, nodes), 60, 0.2)
    finally:
        if kind == "hung":
            lab.signal_brokers(master, "SIGCONT")
    total = time.time() - begin
    if elected is None or back is None:
        raise RuntimeError(f"no new master ({elected}) or no metrics ({back}) within 60 s")
    wait_until(lambda: lab.is_replica(master), 60)
    result = {"kind": kind, "elected_seconds": round(elected, 1), "metrics_after_election_seconds": round(back, 1), "total_seconds": round(total, 1)}
    progress(f"metrics: {json.dumps(result)}")
    return result
