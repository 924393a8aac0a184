"""What pages and dashboards ask Prometheus has answers, on both monitoring hosts, and every rule can be evaluated."""

from __future__ import annotations

import json
import re
import subprocess
import time
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
# Longer than the alerts about a lost broker or master wait before they fire.
QUIET_SECONDS = 75
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
    assert len(shipped) > 40
    for host in lab.group("monitoring"):
        groups = ask(lab, host, ["rules"])["rules"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert {rule["name"] for rule in rules} >= shipped
        assert [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] != "ok"] == []


def alert_rules(lab: Lab, host: str) -> dict[str, list[dict[str, Any]]]:
    """The alerting rules of one host by their group."""
    groups = ask(lab, host, ["rules"])["rules"]["groups"]
    return {group["name"]: [rule for rule in group["rules"] if rule["type"] == "alerting"] for group in groups}


def firing(rules: list[dict[str, Any]]) -> list[str]:
    """The labels of the alerts of rules that fire."""
    return [str(alert["labels"]) for rule in rules for alert in rule["alerts"] if alert["state"] == "firing"]


def test_a_cluster_that_works_raises_no_alert_about_its_work(lab: Lab, busy: Load) -> None:
    about_work = {"queues", "brokers"}
    hosts = lab.group("monitoring")
    assert hosts

    def critical() -> list[str]:
        found = []
        for host in hosts:
            rules = alert_rules(lab, host)
            # An alert that always fires is seen, so others would be; each group is there, with alerts that could fire.
            assert any("DeadMansSwitch" in labels for labels in firing(rules["monitoring"])), rules["monitoring"]
            watched = {name: [rule for rule in rules[name] if rule["labels"]["severity"] == "critical"] for name in about_work}
            assert all(watched.values()), watched
            found += [f"{host}: {labels}" for some in watched.values() for labels in firing(some)]
        return found

    # What an earlier test did to the cluster may still be notified.
    assert wait_until(lambda: not critical(), 60, 3) is not None, critical()
    sent, ends = busy.accepted(), time.time() + QUIET_SECONDS
    while time.time() < ends:
        assert critical() == []
        time.sleep(5)
    assert busy.accepted() > sent, "the cluster has no work"
