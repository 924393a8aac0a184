"""What the scenarios share: the lab under test, and a run that must have passed as many tests as its scenario states."""

from __future__ import annotations

import os

import pytest
from lab.hosts import Lab


@pytest.fixture(scope="session")
def lab():
    """The lab named by the environment; whatever a failed test left broken is healed at the end."""
    lab = Lab(os.environ.get("LAB_NAME", "cluster"), *os.environ.get("LAB_INVENTORY", "inventories/prod").split(","))
    lab.heal()
    yield lab
    lab.heal()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Compare the number of tests that passed with EXPECTED_TESTS of the scenario's molecule.yml."""
    expected = os.environ.get("EXPECTED_TESTS")
    if expected is None or exitstatus != pytest.ExitCode.OK or session.config.option.collectonly:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    passed = len(reporter.stats.get("passed", []))
    reporter.write_line(f"\n{passed} tests passed, {expected} are expected")
    if passed != int(expected):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
