# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What monitoring costs: series for each host, CPU on a broker with and without anybody who asks it, and Celery's exporters."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any

from lab import metrics
from lab.hosts import Lab

ASKERS = "monitoring-prometheus celery-exporter celery-queue-exporter flower"
SERVICES = ("monitoring-node-exporter.service", "redis-broker.service", "redis-broker-sentinel.service")
CELERY_EXPORTERS = ("celery-exporter.service", "celery-queue-exporter.service")


def query(lab: Lab, expression: str) -> list[dict[str, Any]]:
    """Ask the first monitoring host's Prometheus, from within the host."""
    path = f"/prometheus/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    code = f"import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9090{path}').read().decode())"
    return json.loads(lab.run(lab.group("monitoring")[0], f'python3 -c "{code}"'))["data"]["result"]


def cpu_seconds(lab: Lab, host: str, units: Sequence[str]) -> dict[str, float]:
    """CPU time in seconds that the main process of each unit has used, in user and in kernel mode."""
    lines = lab.run(host, f"for pid in $(systemctl show --property MainPID --value {' '.join(units)}); do cat /proc/$pid/stat; done").splitlines()
    # The name of a program may hold blanks; the 14th and 15th field count clock ticks of a hundredth of a second.
    used = [sum(int(tick) for tick in line.rpartition(")")[2].split()[11:13]) / 100 for line in lines]
    return dict(zip(units, used, strict=True))


def percent(lab: Lab, host: str, seconds: int) -> dict[str, float]:
    """Share of one core that each service takes."""
    before, started = cpu_seconds(lab, host, SERVICES), time.time()
    time.sleep(seconds)
    after, passed = cpu_seconds(lab, host, SERVICES), time.time() - started
    return {name: round((after[name] - before[name]) / passed * 100, 3) for name in SERVICES}


def measure(lab: Lab, seconds: int = 120) -> dict[str, Any]:
    """Leaves the lab as it was."""
    series = {row["metric"]["job"]: int(row["value"][1]) for row in query(lab, 'count by (job) ({__name__!=""})') if "job" in row["metric"]}
    hosts = [int(row["value"][1]) for row in query(lab, 'sum by (host) (scrape_samples_scraped{job="node"})')]
    brokers = [int(row["value"][1]) for row in query(lab, 'sum by (host) (scrape_samples_scraped{job=~"redis|sentinel"})')]
    host = lab.group("brokers")[0]
    asked = percent(lab, host, seconds)
    for name in lab.group("monitoring"):
        lab.run(name, f"systemctl stop {ASKERS}")
    try:
        alone = percent(lab, host, seconds)
    finally:
        for name in lab.group("monitoring"):
            lab.run(name, f"systemctl start {ASKERS}")
    return {
        "series_by_job": series,
        "series_per_host": max(hosts, default=0),
        "series_more_per_broker": max(brokers, default=0),
        "broker_percent_of_a_core_asked": asked,
        "broker_percent_of_a_core_alone": alone,
        "broker_cost_percent_of_a_core": round(sum(asked.values()) - sum(alone.values()), 3),
        "seconds": seconds,
    }


def exporters(lab: Lab, seconds: float = 60, interval: float = 15) -> dict[str, Any]:
    """Scrape Celery's exporters at the default interval; what that costs the master and the monitoring host, and how many series there are."""
    host, master = lab.group("monitoring")[0], lab.sentinel_master()

    def used() -> dict[str, float]:
        return {**cpu_seconds(lab, master, ["redis-broker.service"]), **cpu_seconds(lab, host, CELERY_EXPORTERS)}

    before, calls, begin = used(), commands(lab, master), time.time()
    while time.time() - begin < seconds:
        samples = metrics.scrape(lab, host)
        time.sleep(interval)
    took = time.time() - begin
    return {
        "cpu_percent": {unit.removesuffix(".service"): round(100 * (now - before[unit]) / took, 2) for unit, now in used().items()},
        "series": len(samples.rows),
        "redis_commands_per_second": round((commands(lab, master) - calls) / took, 1),
    }


def commands(lab: Lab, host: str) -> int:
    """Commands that a broker has processed."""
    return int(re.findall(r"total_commands_processed:(\d+)", lab.redis(host, "info stats"))[0])
