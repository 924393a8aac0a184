"""What pages and dashboards ask Prometheus has answers, on both monitoring hosts, and every rule can be evaluated."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any
from urllib.parse import quote

import pytest
from lab import ROOT
from lab.hosts import Lab, wait_until
from lab.load import Load, Stream

DASHBOARDS = sorted((ROOT / "roles/grafana_dashboards/files/dashboards").glob("*.json"))
QUERIES = json.loads((ROOT / "roles/prometheus/files/overview/queries.json").read_text())
RULES = ROOT / "roles/prometheus/templates/etc/prometheus/rules"
# Runs on a monitoring host: one program for all questions.
ASK = """
import json, sys, urllib.request
answers = {}
for query in json.load(sys.stdin):
    address = "http://127.0.0.1:9090/prometheus/api/v1/" + query
    with urllib.request.urlopen(address, timeout=10) as answer:
        answers[query] = json.load(answer)["data"]
print(json.dumps(answers))
"""
WORK = [
    Stream("proj.tasks.count_primes", [100_000], "video_processing", 3),
    Stream("proj.tasks.sleep", [0.3], "default", 3),
    Stream("proj.tasks.export", [50], "data_export", 3),
    # Fails, so that failures can be shown.
    Stream("proj.tasks.count_primes", ["no number"], "default", 0.5),
]


def ask(lab: Lab, host: str, paths: list[str]) -> dict[str, Any]:
    """Answers of the Prometheus of one host, by path."""
    command = ["docker", "exec", "--interactive", lab.container(host), "python3", "-c", ASK]
    return json.loads(subprocess.run(command, input=json.dumps(paths), capture_output=True, text=True, check=True).stdout)


def expressions() -> dict[str, str]:
    """Every expression of every panel and of the overview page, by the place where it stands; variables stand for everything."""
    found = {f"overview page: {kind} {name}": query for kind, queries in QUERIES.items() for name, query in queries.items()}
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                found[f"{path.stem}: {panel['title']} {target['refId']}"] = re.sub(r"\$\w+", ".*", target["expr"])
    return found


def without_data(lab: Lab, host: str) -> dict[str, str]:
    asked = {place: f"query?query={quote(expression)}" for place, expression in expressions().items()}
    answers = ask(lab, host, sorted(set(asked.values())))
    return {place: expressions()[place] for place, path in asked.items() if not answers[path]["result"]}


@pytest.fixture(scope="module")
def busy(lab: Lab):
    with Load(lab, WORK) as load:
        yield load
    balance = load.result()
    # What failed was not executed to its end, and nothing else is missing.
    assert balance["lost"] == balance["failed"]


def test_every_expression_of_dashboards_and_of_the_page_returns_data(lab: Lab, busy: Load) -> None:
    hosts = lab.group("monitoring")
    assert hosts and len(expressions()) > 60
    missing: dict[str, dict[str, str]] = {}

    def complete() -> bool:
        missing.update({host: without_data(lab, host) for host in hosts})
        return not any(missing.values())

    wait_until(complete, 150, 5)
    assert not any(missing.values()), json.dumps(missing, indent=1)


def test_every_rule_is_loaded_and_can_be_evaluated(lab: Lab, busy: Load) -> None:
    shipped = {rule for path in RULES.glob("*.j2") for rule in re.findall(r"- (?:alert|record): (\S+)", path.read_text())}
    for host in lab.group("monitoring"):
        groups = ask(lab, host, ["rules"])["rules"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert {rule["name"] for rule in rules} >= shipped
        assert [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] != "ok"] == []


def test_a_cluster_that_works_raises_no_alert_about_its_work(lab: Lab, busy: Load) -> None:
    about_work = {"queues", "brokers"}

    def firing() -> list[str]:
        groups = [group for host in lab.group("monitoring") for group in ask(lab, host, ["rules"])["rules"]["groups"] if group["name"] in about_work]
        alerts = [alert for group in groups for rule in group["rules"] for alert in rule.get("alerts", [])]
        return [str(alert["labels"]) for alert in alerts if alert["state"] == "firing" and alert["labels"]["severity"] == "critical"]

    assert wait_until(lambda: not firing(), 60, 3) is not None, firing()
