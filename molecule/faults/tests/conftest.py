"""The results that the report is made of."""

from __future__ import annotations

import pytest
from lab import faults, report


@pytest.fixture(scope="session")
def results():
    """Filled by the tests in their order, written even when one of them fails."""
    collected: dict = {}
    yield collected
    text = faults.table(collected)
    print("\n" + text)
    report.write("faults", collected, text)
