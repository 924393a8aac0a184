"""Fails a run whose number of passed tests is not the number that its scenario states."""

from __future__ import annotations

import os

import pytest


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
