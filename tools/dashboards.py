# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the Grafana dashboards of the role grafana_dashboards, so that all of them look and behave alike.

dashboards.py          write what differs
dashboards.py --check  write nothing, name what differs, exit 1 if anything does
"""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

TARGET = pathlib.Path(__file__).resolve().parents[1] / "roles/grafana_dashboards/files/dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
LINKS = [{"type": "dashboards", "title": "Celery", "tags": ["multinode-celery"], "asDropdown": False, "includeVars": True, "keepTime": True}]
UP_DOWN = [{"type": "value", "options": {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}}}]
ROLES = [{"type": "value", "options": {"0": {"text": "replica", "color": "blue"}, "1": {"text": "master", "color": "green"}}}]
Panel = dict[str, t.Any]


def steps(*bounds: tuple[float | None, str]) -> dict[str, t.Any]:
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in bounds]}


def targets(expressions: dict[str, str], instant: bool) -> list[dict[str, t.Any]]:
    return [
        {"refId": chr(65 + index), "datasource": SOURCE, "expr": expression, "legendFormat": legend, "instant": instant, "range": not instant}
        for index, (legend, expression) in enumerate(expressions.items())
    ]


def stat(title: str, expression: str, unit: str = "short", meaning: str = "", bounds: t.Any = None, mappings: t.Any = (), decimals: int | None = None) -> Panel:
    """One large number over its history."""
    defaults: dict[str, t.Any] = {"unit": unit, "mappings": list(mappings), "color": {"mode": "thresholds"}, "thresholds": bounds or steps((None, "blue"))}
    if decimals is not None:
        defaults["decimals"] = decimals
    return {
        "type": "stat", "title": title, "description": meaning, "size": (4, 4), "targets": targets({"": expression}, instant=False),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "graphMode": "area", "colorMode": "value", "justifyMode": "auto", "textMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    }


def graph(title: str, expressions: dict[str, str], unit: str = "short", meaning: str = "", stacked: bool = False, width: int = 12) -> Panel:
    """Lines over time, with a legend that shows the last and the highest value."""
    custom = {
        "drawStyle": "line", "lineWidth": 1, "lineInterpolation": "linear", "fillOpacity": 25 if stacked else 8, "showPoints": "never",
        "spanNulls": 60000, "stacking": {"mode": "normal" if stacked else "none", "group": "A"}, "axisSoftMin": 0,
    }
    defaults = {"unit": unit, "min": 0, "custom": custom, "color": {"mode": "palette-classic"}, "thresholds": steps((None, "green"))}
    return {
        "type": "timeseries", "title": title, "description": meaning, "size": (width, 8), "targets": targets(expressions, instant=False),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def timeline(title: str, expressions: dict[str, str], mappings: list[t.Any], meaning: str = "", width: int = 12) -> Panel:
    """States over time, one band for each thing."""
    return {
        "type": "state-timeline", "title": title, "description": meaning, "size": (width, 6), "targets": targets(expressions, instant=False),
        "fieldConfig": {
            "defaults": {
                "mappings": mappings, "custom": {"fillOpacity": 75, "lineWidth": 0},
                "color": {"mode": "thresholds"}, "thresholds": steps((None, "text")),
            },
            "overrides": [],
        },
        "options": {"mergeValues": True, "showValue": "auto", "rowHeight": 0.85, "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"}},
    }


def table(title: str, expressions: dict[str, str], by: str, units: dict[str, str], meaning: str = "", width: int = 24) -> Panel:
    """One row for each value of a label, one column for each expression."""
    queries = targets(expressions, instant=True)
    for query in queries:
        query["format"] = "table"
    names = {f"Value #{query['refId']}": query["legendFormat"] for query in queries}
    return {
        "type": "table", "title": title, "description": meaning, "size": (width, 8), "targets": queries,
        "fieldConfig": {
            "defaults": {"custom": {"align": "auto", "filterable": False}, "thresholds": steps((None, "text"))},
            "overrides": [{"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]} for name, unit in units.items()],
        },
        "options": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
        "transformations": [
            {"id": "joinByField", "options": {"byField": by, "mode": "outer"}},
            {"id": "filterFieldsByName", "options": {"include": {"names": [by, *names]}}},
            {"id": "organize", "options": {"renameByName": {by: by.capitalize(), **names}}},
        ],
    }


def row(title: str) -> Panel:
    return {"type": "row", "title": title, "size": (WIDTH, 1), "collapsed": False, "panels": []}


def variable(name: str, query: str) -> dict[str, t.Any]:
    return {
        "name": name, "type": "query", "label": name.capitalize(), "datasource": SOURCE, "refresh": 2, "sort": 5, "multi": True, "includeAll": True,
        "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}, "definition": query, "query": {"query": query, "refId": name},
    }


def place(panels: list[Panel]) -> list[Panel]:
    """Give each panel a number and its place, from left to right and from top to bottom."""
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        width, tall = panel.pop("size")
        if x + width > WIDTH:
            x, y, height = 0, y + height, 0
        panel.update(id=number, gridPos={"x": x, "y": y, "w": width, "h": tall})
        if panel["type"] != "row":
            panel["datasource"] = SOURCE
        x, height = x + width, max(height, tall)
    return panels


def dashboard(name: str, title: str, meaning: str, variables: list[dict[str, t.Any]], panels: list[Panel]) -> dict[str, t.Any]:
    source = {"name": "datasource", "type": "datasource", "label": "Source", "query": "prometheus", "refresh": 1, "hide": 0, "current": {}}
    return {
        "uid": f"multinode-celery-{name}", "title": f"Celery / {title}", "description": meaning, "tags": ["multinode-celery"], "schemaVersion": 39,
        "version": 1, "editable": True, "graphTooltip": 1, "refresh": "15s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser", "links": LINKS,
        "templating": {"list": [source, *variables]}, "annotations": {"list": ANNOTATIONS}, "panels": place(panels),
    }


ANNOTATIONS = [
    {
        "name": "New master", "enable": True, "hide": False, "iconColor": "purple", "datasource": SOURCE, "titleFormat": "{{host}} has become the master",
        "expr": "broker:master:max == 1 and on (host) broker:master:max offset 1m == 0", "step": "15s",
    }
]
FEW_BAD = steps((None, "green"), (1, "orange"), (5, "red"))
ALL_UP = steps((None, "red"), (100, "green"))

OVERVIEW = dashboard(
    "overview", "Overview", "Is the cluster well, and where should one look?", [],
    [
        stat("Waiting", "sum(queue:length:max)", meaning="Messages that no worker has received."),
        stat("Oldest message", "max(queue:oldest_age_seconds:max)", "s", "Age of the oldest message that waits in any queue.", decimals=0),
        stat("Finished", "sum(node:tasks_finished:rate2m)", "ops", "Tasks that ended, with success or without.", decimals=2),
        stat("Failed", "cluster:tasks_failed:percent5m or vector(0)", "percent", "Share of failed tasks in five minutes.", FEW_BAD, decimals=1),
        stat("Workers up", "100 * avg(node:up:max)", "percent", "Share of the known workers that gave a sign of life.", ALL_UP, decimals=0),
        stat("Alerts", 'count(ALERTS{alertstate="firing", severity=~"critical|warning"}) or vector(0)', "short", "Alerts that fire.", FEW_BAD),
        row("Work"),
        graph("Waiting messages", {"{{queue}}": "queue:length:max"}, meaning="Messages that wait in each queue."),
        graph("Finished tasks", {"{{pool}}": "pool:tasks_finished:rate2m"}, "ops", "Tasks that each pool finishes in a second.", stacked=True),
        graph("Mean run time", {"{{pool}}": "pool:runtime_seconds:mean5m"}, "s", "Mean run time of the tasks of each pool in five minutes."),
        graph("Age of the oldest message", {"{{queue}}": "queue:oldest_age_seconds:max"}, "s", "How long the oldest message of each queue has waited."),
        row("Machines"),
        timeline("Brokers", {"{{host}}": "broker:master:max"}, ROLES, "Who was master when. A gap: Redis did not answer."),
        timeline("Workers", {"{{node}}": "node:up:max"}, UP_DOWN, "Which worker was up when."),
        graph("Processor", {"{{host}}": "host:cpu_used:ratio"}, "percentunit", "Used share of each host's processors."),
        graph("Available memory", {"{{host}}": "host:memory_available:ratio"}, "percentunit", "Available share of each host's memory."),
    ],
)

QUEUES = dashboard(
    "queues", "Queues", "What waits, for how long, and whether it gets less.", [variable("queue", "label_values(queue:length:max, queue)")],
    [
        table(
            "Now",
            {
                "Waiting": 'queue:length:max{queue=~"$queue"}', "Oldest": 'queue:oldest_age_seconds:max{queue=~"$queue"}',
                "Unacked": 'queue:unacked:max{queue=~"$queue"}', "Consumers": 'queue:consumers:max{queue=~"$queue"}',
                "Finished": 'queue:tasks_finished:rate5m{queue=~"$queue"}',
            },
            "queue", {"Oldest": "s", "Finished": "ops"}, "Each queue as it is now.",
        ),
        graph("Waiting messages", {"{{queue}}": 'queue:length:max{queue=~"$queue"}'}, meaning="Messages that no worker has received, all priorities together."),
        graph(
            "Age of the oldest message",
            {"{{queue}}": 'queue:oldest_age_seconds:max{queue=~"$queue"}'},
            "s", "Rises by a second each second where nothing is received.",
        ),
        graph(
            "Arriving and finished",
            {"{{queue}} arriving": 'queue:arrivals:rate5m{queue=~"$queue"}', "{{queue}} finished": 'queue:tasks_finished:rate5m{queue=~"$queue"}'},
            "ops", "Arrivals are computed from the length and from what is finished. A worker of several queues counts for each of them.",
        ),
        graph(
            "Time until empty", {"{{queue}}": 'queue:length:max{queue=~"$queue"} / (queue:tasks_finished:rate5m{queue=~"$queue"} > 0)'}, "s",
            "How long the workers would take for what waits, if nothing arrived.",
        ),
        graph("Unacked", {"{{queue}}": 'queue:unacked:max{queue=~"$queue"}'}, meaning="Messages that workers have not acknowledged."),
        graph(
            "Oldest unacked",
            {"{{queue}}": 'queue:unacked_oldest_age_seconds:max{queue=~"$queue"}'},
            "s", "How long a message of this queue has been unacknowledged.",
        ),
        graph("Consumers", {"{{queue}}": 'queue:consumers:max{queue=~"$queue"}'}, meaning="Workers that consume the queue.", width=24),
    ],
)

POOL = 'pool=~"$pool"'
NODE = 'pool=~"$pool", node=~"$node"'
OF_NODES = 'hostname=~"$node"'
WORKERS = dashboard(
    "workers", "Workers", "What workers do, how fast, and what fails.",
    [variable("pool", "label_values(node:up:max, pool)"), variable("node", 'label_values(node:up:max{pool=~"$pool"}, node)')],
    [
        timeline("Up", {"{{node}}": f"node:up:max{{{NODE}}}"}, UP_DOWN, "Which worker was up when.", width=24),
        graph("Running tasks", {"{{node}}": f"node:tasks_active:max{{{NODE}}}"}, meaning="Tasks that each worker runs at the moment.", stacked=True),
        graph("Finished tasks", {"{{node}}": f"node:tasks_finished:rate2m{{{NODE}}}"}, "ops", "Tasks that each worker finishes in a second.", stacked=True),
        graph(
            "Run time by pool",
            {
                "{{pool}} 95th percentile": f"pool:runtime_seconds:p95_5m{{{POOL}}}",
                "{{pool}} mean": f"pool:runtime_seconds:mean5m{{{POOL}}}",
            },
            "s", "The percentile is read from a histogram: true to the bounds of its buckets.",
        ),
        graph(
            "Failed tasks by worker",
            {"{{node}}": f"node:tasks_failed:rate5m{{{NODE}}} or 0 * node:tasks_finished:rate5m{{{NODE}}}"},
            "ops", "Tasks that ended with an exception.",
        ),
        row("Tasks"),
        graph(
            "Finished by task",
            {"{{name}}": f"sum by (name) (rate(celery_task_succeeded_total{{{OF_NODES}}}[5m]))"},
            "ops", "Tasks that succeeded, by name.",
        ),
        graph(
            "Failed by task and exception",
            {"{{name}}: {{exception}}": f"sum by (name, exception) (rate(celery_task_failed_total{{{OF_NODES}}}[5m]))"}, "ops", "Tasks that failed, by name.",
        ),
        graph(
            "Retried, rejected, revoked",
            {state: f"sum(rate(celery_task_{state}_total{{{OF_NODES}}}[5m])) or vector(0)" for state in ("retried", "rejected", "revoked")},
            "ops", "What neither succeeded nor failed.",
        ),
        graph(
            "Mean run time by task",
            {
                "{{name}}": f"sum by (name) (rate(celery_task_runtime_sum{{{OF_NODES}}}[5m]))"
                f" / (sum by (name) (rate(celery_task_runtime_count{{{OF_NODES}}}[5m])) > 0)",
            },
            "s", "Mean over five minutes.",
        ),
    ],
)

BROKER = 'job="redis", host=~"$host"'
SENTINEL = 'job="sentinel", host=~"$host"'
BROKERS = dashboard(
    "brokers", "Brokers", "Redis and Sentinel: who leads, who follows, how much they hold.", [variable("host", "label_values(broker:up:max, host)")],
    [
        stat("Masters", "brokers:masters:count", meaning="Must be one.", bounds=steps((None, "red"), (1, "green"), (2, "red"))),
        stat("Brokers up", "sum(broker:up:max)", meaning="Redis processes that answer."),
        stat("Sentinels up", "sum(broker:sentinel_up:max)", meaning="Sentinels that answer; most of them must."),
        stat(
            "Memory",
            "100 * max(broker:memory_used:ratio)",
            "percent", "The fullest broker.", steps((None, "green"), (70, "orange"), (85, "red")), decimals=1,
        ),
        stat("Clients", "max(broker:clients:max)", meaning="Connections of the broker with most of them."),
        stat("Commands", "sum(broker:commands:rate2m)", "ops", "Of all brokers together.", decimals=0),
        timeline("Roles", {"{{host}}": 'broker:master:max{host=~"$host"}'}, ROLES, "Who was master when. A gap: Redis did not answer."),
        timeline("Sentinels", {"{{host}}": 'broker:sentinel_up:max{host=~"$host"}'}, UP_DOWN, "Which Sentinel answered when."),
        graph("Memory", {"{{host}}": 'broker:memory_used_bytes:max{host=~"$host"}'}, "bytes", "Memory of the data and of clients' buffers."),
        graph("Clients", {"{{host}}": 'broker:clients:max{host=~"$host"}'}, meaning="Open connections."),
        graph("Commands", {"{{host}}": 'broker:commands:rate2m{host=~"$host"}'}, "ops", "Commands in a second."),
        graph(
            "Network",
            {
                "{{host}} received": f"rate(redis_net_input_bytes_total{{{BROKER}}}[2m])",
                "{{host}} sent": f"rate(redis_net_output_bytes_total{{{BROKER}}}[2m])",
            },
            "Bps", "What Redis receives and sends, replication included.",
        ),
        graph(
            "Processor", {"{{host}}": f"rate(redis_cpu_sys_seconds_total{{{BROKER}}}[2m]) + rate(redis_cpu_user_seconds_total{{{BROKER}}}[2m])"}, "percentunit",
            "Redis runs commands on one core: 100 % is its limit.",
        ),
        graph("Replicas of the master", {"{{host}}": f"redis_connected_slaves{{{BROKER}}}"}, meaning="Replicas that are connected to each broker."),
        graph(
            "Sentinels that see the master",
            {"{{host}}": f"redis_sentinel_master_ok_sentinels{{{SENTINEL}}}"},
            meaning="Sentinels that each Sentinel finds in order.",
        ),
        graph(
            "Refused connections and evicted keys",
            {
                "{{host}} refused": f"rate(redis_rejected_connections_total{{{BROKER}}}[5m])",
                "{{host}} evicted": f"rate(redis_evicted_keys_total{{{BROKER}}}[5m])",
            },
            "ops", "Both must be zero.",
        ),
    ],
)

HOST = 'job="node", group=~"$group", host=~"$host"'
OF_HOST = 'host=~"$host"'
HOSTS = dashboard(
    "hosts", "Hosts", "Processor, memory, disks and network of every host.",
    [variable("group", 'label_values(up{job="node"}, group)'), variable("host", 'label_values(up{job="node", group=~"$group"}, host)')],
    [
        timeline("Up", {"{{host}}": f"up{{{HOST}}}"}, UP_DOWN, "Which host answered when.", width=24),
        graph("Processor", {"{{host}}": f"host:cpu_used:ratio{{{OF_HOST}}}"}, "percentunit", "Used share of all cores."),
        graph("Load", {"{{host}}": f"node_load5{{{HOST}}}"}, meaning="Processes that run or want to, mean of five minutes."),
        graph("Available memory", {"{{host}}": f"host:memory_available:ratio{{{OF_HOST}}}"}, "percentunit", "Available share of the memory."),
        graph("Free disk space", {"{{host}} {{mountpoint}}": f"host:disk_available:ratio{{{OF_HOST}}}"}, "percentunit", "Free share of each file system."),
        graph(
            "Network",
            {
                "{{host}} received": f'sum by (host) (rate(node_network_receive_bytes_total{{{HOST}, device!="lo"}}[2m]))',
                "{{host}} sent": f'sum by (host) (rate(node_network_transmit_bytes_total{{{HOST}, device!="lo"}}[2m]))',
            },
            "Bps", "All interfaces except the local one.",
        ),
        graph(
            "Descriptors",
            {"{{host}}: {{what}}": f"host:descriptors_used:ratio{{{OF_HOST}}}"},
            "percentunit", "Used share of the open files or connections that are allowed.",
        ),
        graph("Failed units", {"{{host}}": f'sum by (host) (node_systemd_unit_state{{{HOST}, state="failed"}})'}, meaning="Units that systemd has given up."),
        graph(
            "Certificates", {"{{host}} {{path}}": f"min by (host, path) (multinode_certificate_expiry_timestamp_seconds{{{HOST}}}) - time()"}, "s",
            "Time until each certificate expires.",
        ),
    ],
)
DASHBOARDS = {"overview": OVERVIEW, "queues": QUEUES, "workers": WORKERS, "brokers": BROKERS, "hosts": HOSTS}


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    for name, content in DASHBOARDS.items():
        path, text = TARGET / f"{name}.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        if not path.exists() or path.read_text() != text:
            stale.append(path.name)
            if not check:
                path.write_text(text)
    print(f"{len(DASHBOARDS)} dashboards, {len(stale)} {'differ' if check else 'written'}", *stale)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
