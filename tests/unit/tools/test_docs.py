# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that README.md states are counted, and a mark that counts nothing is an error."""

from __future__ import annotations

import pathlib
import runpy

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
DOCS = runpy.run_path(str(CHECKOUT / "tools/docs.py"))
counted, counts = DOCS["counted"], DOCS["counts"]


def test_the_readme_states_what_there_is() -> None:
    text = (CHECKOUT / "README.md").read_text()
    assert counted(text, counts()) == text


def test_there_is_a_runbook_for_each_alert_that_is_counted() -> None:
    headings = [line for line in (CHECKOUT / "docs/runbooks.md").read_text().splitlines() if line.startswith("## ")]
    assert counts()["alerts"] == len(headings)


def test_a_stale_number_is_replaced() -> None:
    assert counted("It has <!-- count: alerts -->3<!-- end --> alerts.", {"alerts": 12}) == "It has <!-- count: alerts -->12<!-- end --> alerts."


@pytest.mark.parametrize(
    "text", ["no mark", "<!-- count: alerts -->1<!-- end --> <!-- count: cats -->1<!-- end -->"], ids=["mark lost", "mark without a number"]
)
def test_marks_and_numbers_belong_together(text: str) -> None:
    with pytest.raises(SystemExit, match=r"README\.md has marks for"):
        counted(text, {"alerts": 1})
