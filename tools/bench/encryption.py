# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What TLS costs: the same tasks through the same cluster with it and without it, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab import report
from lab.hosts import Lab

FLAGS = ("cluster_tls_enabled",)
METRICS = ("tasks_per_second", "published_per_second")
ROUNDS = 3


def rounds(lab: Lab, drain: Callable[[Lab], dict[str, Any]]) -> dict[str, float]:
    """The middle one of a few measurements."""
    runs = [drain(lab) for unused in range(ROUNDS)]
    return {name: sorted(run[name] for run in runs)[ROUNDS // 2] for name in METRICS}


def compare(with_tls: dict[str, float], plain: dict[str, float]) -> dict[str, Any]:
    """Both, and the share that is left with TLS."""
    ratios = {f"{name}_ratio": round(with_tls[name] / plain[name], 3) for name in METRICS}
    return {"tls": with_tls, "plain": plain, **ratios}


def table(result: dict[str, Any]) -> str:
    """The results as a table."""
    rows = [
        [title, result["tls"][name], result["plain"][name], result[f"{name}_ratio"]]
        for name, title in zip(METRICS, ("no-op tasks/s through one worker process", "published/s"))
    ]
    return report.table(["TLS to the brokers", "with", "without", "ratio"], rows)
