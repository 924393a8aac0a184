"""Planned changes of the brokers lose nothing and show producers no error."""

from __future__ import annotations

import pytest
from lab import brokers, report

# Machines are noisy: what is aimed at is shown in the report as met or not.
GAP_SECONDS = 20


@pytest.fixture(scope="module")
def results():
    """Filled by the tests in their order, written even when one of them fails."""
    collected: dict = {}
    yield collected
    text = brokers.table(collected)
    print("\n" + text)
    report.write("switchover", collected, text)


def assert_nothing_noticed(result: dict) -> None:
    assert result["accepted"] > 200, "too little load to prove anything"
    assert (result["refused"], result["failed"], result["lost"], result["waiting"]) == (0, 0, 0, 0), result
    assert result["executed"] == result["accepted"]
    assert max(result["execution_gap_seconds"], result["producer_gap_seconds"]) <= GAP_SECONDS


def test_an_unknown_host_is_refused_before_anything_changes(lab):
    before = lab.sentinel_master()
    done = lab.playbook("playbooks/ops/switchover.yml", check=False, redis_switchover_to="no-such-host")
    assert done.returncode != 0
    assert "no such broker" in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert "changed=1" not in done.stdout
    assert lab.sentinel_master() == before


def test_an_even_number_of_brokers_is_refused(lab):
    done = lab.playbook("playbooks/ops/remove_brokers.yml", check=False, redis_remove_hosts=lab.group("brokers")[:1])
    assert done.returncode != 0
    assert "an odd number of at least three stays" in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert all(lab.master_seen_by(host) for host in lab.group("brokers"))


def test_a_switchover_to_a_named_broker_under_load(lab, results):
    results["switchover"] = brokers.switchover(lab)
    assert results["switchover"]["master"] == results["switchover"]["wanted"]
    assert_nothing_noticed(results["switchover"])


def test_a_restart_of_every_broker_under_load(lab, results):
    results["rolling_restart"] = brokers.rolling_restart(lab)
    assert results["rolling_restart"]["restarted"] == results["rolling_restart"]["processes"]
    assert results["rolling_restart"]["master"] != results["rolling_restart"]["master_before"]
    assert_nothing_noticed(results["rolling_restart"])


def test_what_is_up_to_date_is_not_restarted(lab):
    before = brokers.process_ids(lab)
    host = next(host for host in before if host != lab.sentinel_master())
    done = lab.playbook("playbooks/ops/update_brokers.yml", "--limit", host, redis_update_packages=False)
    assert done.stdout.count("changed=0") == done.stdout.count("failed=0") == 1, done.stdout[-2000:]
    assert brokers.process_ids(lab) == before
