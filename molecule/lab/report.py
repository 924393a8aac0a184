# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep results in reports/ as JSON and as Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab import ROOT

REPORTS = ROOT / "reports"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def cell(value: Any) -> str:
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "yes" if value else "no"
        return str(value).replace("|", "\\|")

    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' for unused in head)}|"]
    lines += [f"| {' | '.join(cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def met(value: Any) -> str:
    return "met" if value else "not met"


def write(name: str, results: dict[str, Any], text: str) -> Path:
    REPORTS.mkdir(exist_ok=True)
    (REPORTS / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
    target = REPORTS / f"{name}.md"
    target.write_text(text)
    return target
