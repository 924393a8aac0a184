# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep figures as JSON and show them as Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
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


def fault_tables(results: dict[str, Any]) -> str:
    """What each fault did, and what running the playbook after it did."""
    faults = [results[name] for name in ("kill", "partition", "hang") if name in results]
    text = table(
        ["master's host", "accepted", "refused", "executed", "doubled", "lost", "waiting", "execution gap s",
         "slowest node's gap s", "sender gap s", "new master after s", "aim: gap s", "aim: lost 0", "writes taken by old master"],
        [
            [one["fault"], one["accepted"], one["refused"], one["executed"], one["doubled"], one["lost"], one["waiting"],
             one.get("execution_gap_seconds"), max(one.get("node_gap_seconds", {}).values(), default=None),
             one.get("sender_gap_seconds"), one["election_seconds"],
             f"{one['aim_gap_seconds']}, {met(one['aim_gap_met'])}", met(one["aim_lost_met"]), one["writes_taken_by_old_master"]]
            for one in faults
        ],
    )
    reruns = {name: value for name, value in results.items() if name.startswith("rerun_")}
    if reruns:
        text += "\n" + table(
            ["site.yml after", "seconds", "changed", "failed", "master unmoved"],
            [[name.removeprefix("rerun_"), one["seconds"], one["changed"], one["failed"], one["master_before"] == one["master_after"]]
             for name, one in reruns.items()],
        )
    if "worker" in results:
        one = results["worker"]
        text += "\n" + table(
            ["worker's host killed", "accepted", "executed", "doubled", "lost", "held by it", "redelivered", "redelivered after s",
             "visibility timeout s", "aim: redelivered in time"],
            [[one["host"], one["accepted"], one["executed"], one["doubled"], one["lost"], one["held_by_killed_host"],
              one["redelivered"], max(one["redelivered_after_seconds"], default=None), one["visibility_timeout_seconds"],
              met(one["aim_redelivery_met"])]],
        )
    return text


def write(name: str, results: dict[str, Any], text: str) -> Path:
    REPORTS.mkdir(exist_ok=True)
    (REPORTS / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
    target = REPORTS / f"{name}.md"
    target.write_text(text)
    return target
