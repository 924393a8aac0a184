"""A host that is added to the inventory is deployed and monitored, and no other host is touched."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from lab import ROOT, run_playbook

ADDED = "cpu-3"
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
        # The monitoring hosts no longer ask for it.
        playbook("playbooks/monitoring.yml", "--tags", "prometheus", added=False)


def test_only_the_added_host_is_touched():
    changed = {host: int(count) for host, count, _unreachable, _failed in RECAP.findall(playbook("site.yml"))}
    assert changed.pop(ADDED) > 0
    assert len(changed) == 9
    # They get one target more.
    assert {host for host, count in changed.items() if count} == {"monitor-1", "monitor-2"}, changed


def test_the_added_host_executes_tasks():
    assert f"video@{ADDED}" in playbook("playbooks/ops/verify.yml")
