"""The lab under test and the results that the report is made of."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools" / "bench"))

import report  # noqa: E402
from lab import Lab  # noqa: E402


@pytest.fixture(scope="session")
def lab():
    """The lab named by the environment; whatever a failed test left broken is healed at the end."""
    lab = Lab(os.environ.get("LAB_NAME", "cluster"), os.environ.get("LAB_INVENTORY", "inventories/prod"))
    lab.heal()
    yield lab
    lab.heal()


@pytest.fixture(scope="session")
def results():
    """Filled by the tests in their order, written even when one of them fails."""
    collected: dict = {}
    yield collected
    text = report.fault_tables(collected)
    print("\n" + text)
    report.write("faults", collected, text)
