"""A host that is added to the inventory is deployed, allowed by the brokers and monitored; they refuse it when it is gone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from lab import ROOT
from lab.playbooks import run_playbook

ADDED = "cpu-3"
BROKERS, MONITORS = {"broker-1", "broker-2", "broker-3"}, {"monitor-1", "monitor-2"}
RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


def playbook(name, *arguments, added=True):
    """Run a playbook against the shipped inventory, the added host and the lab's addresses."""
    shipped, overlay = os.environ["ANSIBLE_INVENTORY"].split(",")
    inventories = [shipped, "molecule/cluster/scale_out", overlay] if added else [shipped, overlay]
    return run_playbook(name, *arguments, inventories=inventories).stdout


@pytest.fixture(scope="module", autouse=True)
def _added_host():
    """Start one host more, and leave the lab as it was."""
    lab = Path(os.environ["ANSIBLE_INVENTORY"].split(",")[1]).parent
    files = {path: path.read_text() for path in (lab / "inventory/hosts.yml", lab / "ssh/config")}
    try:
        playbook("molecule/lab/create.yml", "--extra-vars", f"@{ROOT / 'molecule/cluster/lab.yml'}")
        yield
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", f"cluster-{ADDED}"], check=True, capture_output=True)
        for path, text in files.items():
            path.write_text(text)
        # The monitoring hosts no longer scrape it, and the brokers no longer allow it.
        changed = changes(playbook("site.yml", "--tags", "prometheus,firewall", added=False))
    assert {host for host, count in changed.items() if count} == BROKERS | MONITORS, changed


def changes(output):
    """How many tasks changed each host."""
    return {host: int(count) for host, count, _unreachable, _failed in RECAP.findall(output)}


def docker(*argv):
    return subprocess.run(["docker", *argv], check=True, capture_output=True, text=True).stdout


def brokers_that_allow_it():
    """Brokers whose live rules name the added host."""
    address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", f"cluster-{ADDED}").strip()
    rules = {broker: docker("exec", f"cluster-{broker}", "nft", "list", "set", "inet", "multinode_celery", "brokers_ipv4") for broker in BROKERS}
    return {broker for broker, text in rules.items() if address in re.findall(r"[\d.]+", text)}


def test_a_host_that_is_deployed_alone_is_allowed_by_the_brokers():
    assert brokers_that_allow_it() == set()
    assert changes(playbook("site.yml", "--limit", ADDED))[ADDED] > 0
    assert brokers_that_allow_it() == BROKERS


def test_no_other_host_is_touched_but_those_that_monitor_it():
    changed = changes(playbook("site.yml"))
    assert len(changed) == 10
    # They get one target more.
    assert {host for host, count in changed.items() if count} == MONITORS, changed


def test_the_added_host_executes_tasks():
    assert f"video@{ADDED}" in playbook("playbooks/ops/verify.yml")
