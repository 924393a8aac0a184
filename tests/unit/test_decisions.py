# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions have one form and are in their index, and measurements have one home."""

from __future__ import annotations

import pathlib
import re

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "docs/decisions"
DECISIONS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
HEADINGS = ["Context", "Decision", "Consequences", "Alternatives"]
STATUSES = ("built", "decided", "replaced by")
MEASUREMENTS = CHECKOUT / "docs/measurements.md"
# A file that a command of the checkout writes and git ignores.
REPORT = re.compile(r"\breports/")
DOCS = sorted((CHECKOUT / "docs").rglob("*.md"))


def anchor(heading: str) -> str:
    """The anchor that a forge makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_numbers_follow_each_other() -> None:
    assert [path.name[:5] for path in DECISIONS] == [f"{number:04d}-" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name[:4])
def test_a_decision_has_number_status_and_headings(page: pathlib.Path) -> None:
    text = page.read_text()
    assert re.match(rf"# {page.name[:4]}: \S.*\n\nStatus: ({'|'.join(STATUSES)})\b", text)
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == HEADINGS
    bodies = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    assert [heading for heading, body in zip(HEADINGS, bodies, strict=True) if len(body.split()) < 15] == []


def test_the_index_lists_each_decision_once_with_its_title_and_status() -> None:
    listed = re.findall(r"^\| \[(.*)\]\((.*)\) \| ([\w ]+) \|$", (FOLDER / "README.md").read_text(), flags=re.MULTILINE)
    wanted = []
    for page in DECISIONS:
        title, _blank, status = page.read_text().splitlines()[:3]
        wanted.append((title.removeprefix("# "), page.name, next(word for word in STATUSES if status.startswith(f"Status: {word}"))))
    assert wanted
    assert listed == wanted


def test_only_the_page_of_measurements_cites_reports() -> None:
    assert MEASUREMENTS in DOCS
    assert [str(page.relative_to(CHECKOUT)) for page in DOCS if page != MEASUREMENTS and REPORT.search(page.read_text())] == []
    assert REPORT.search(MEASUREMENTS.read_text())


def test_each_measurement_names_its_command_date_and_commit() -> None:
    text = MEASUREMENTS.read_text()
    headings = {anchor(heading) for heading in re.findall(r"^## (.*)$", text, flags=re.MULTILINE)}
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    form = re.compile(r"\| \[[^]]+\]\(#([\w-]+)\) \| \S.* \| \S.* \| 20\d\d-\d\d-\d\d \| `[0-9a-f]{7,}` \|")
    assert [row for row in rows if not form.fullmatch(row)] == []
    assert {found[1] for row in rows if (found := form.fullmatch(row))} == headings


def test_links_to_measurements_lead_to_a_heading_of_it() -> None:
    headings = {anchor(heading) for heading in re.findall(r"^## (.*)$", MEASUREMENTS.read_text(), flags=re.MULTILINE)}
    targets = {target for page in DOCS for target in re.findall(r"measurements\.md#([\w-]+)", page.read_text())}
    assert targets
    assert sorted(targets - headings) == []
