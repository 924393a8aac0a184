# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every check of the doctor works with: the cluster as it was collected, findings, and the table of them."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import itertools
import textwrap
import typing as t

from ansible_collections.multinode.celery.plugins.module_utils._tables import line
from ansible_collections.multinode.celery.plugins.plugin_utils import findings

ERROR = "error"
WARNING = "warning"
INFO = "info"
SEVERITIES = (ERROR, WARNING, INFO)
HEADINGS = ("SEVERITY", "HOST", "FINDING", "REMEDY")
FINDING_WIDTH = 62
REMEDY_WIDTH = 52
HOST_WIDTH = 18
# As the kernel calls a process that a signal or a debugger stopped.
STOPPED_STATES = ("T", "t")


def shortened(names: c.Sequence[str], most: int = 4) -> str:
    """Return names as a text, the first ones only: a cell of the table is narrower than a line of preflight."""
    return findings.shortened(names, most)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong, where, and what to do about it."""

    severity: str
    check: str
    hosts: tuple[str, ...]
    message: str
    remedy: str


@dataclasses.dataclass
class Host:
    """What is expected of a host and what it reported."""

    name: str
    status: str
    message: str
    expected: dict[str, t.Any]
    report: dict[str, t.Any]
    differences: dict[str, str]
    not_compared: dict[str, str]
    nodes: list[str]
    clock_offset: float

    @property
    def answered(self) -> bool:
        """Tell whether there is a report."""
        return self.status == "ok"

    @property
    def drained(self) -> bool:
        """Tell whether the host's workers and scheduler stand still for maintenance."""
        return bool(self.report.get("program", {}).get("drained"))

    def runs(self, name: str) -> bool:
        """Tell whether a service of the report, named without its suffix, runs and is not stopped by a signal."""
        for entry in self.report.get("services", []):
            if entry["name"].removesuffix(".service") == name:
                return entry["active"] == "active" and (entry["process"] or {}).get("state") not in STOPPED_STATES
        return False

    def has(self, role: str) -> bool:
        """Tell whether the inventory gives the host a role."""
        return role in self.expected.get("roles", [])


@dataclasses.dataclass
class Cluster:
    """All hosts, and what the checks measure with."""

    hosts: list[Host]
    limits: dict[str, t.Any]

    def answering(self) -> list[Host]:
        """Return the hosts that gave a report."""
        return [host for host in self.hosts if host.answered]

    def having(self, role: str) -> list[Host]:
        """Return the answering hosts that have a role."""
        return [host for host in self.answering() if host.has(role)]


@dataclasses.dataclass
class Environment:
    """The hosts of one environment, what one of them learnt from its workers and queues, and what the checks measure with."""

    hosts: list[Host]
    query_host: str
    nodes: dict[str, t.Any]
    queues: dict[str, t.Any]
    limits: dict[str, t.Any]


HostCheck = t.Callable[[Cluster], t.Iterator[Finding]]
WorkerCheck = t.Callable[[Environment], t.Iterator[Finding]]


def environments(hosts: c.Iterable[Host]) -> dict[str, list[Host]]:
    """Return the hosts that have the application, by the name of their environment; a host whose inventory cannot be read has none."""
    found: dict[str, list[Host]] = {}
    for host in hosts:
        name = host.expected.get("environment", {}).get("name")
        if name:
            found.setdefault(name, []).append(host)
    return found


def answer(reported: c.Mapping[str, t.Any], variable: str) -> dict[str, t.Any]:
    """Return what a host registered in a variable, nothing where it was not asked."""
    found = dict(reported.get(variable) or {})
    return {} if found.get("skipped") else found


def make_host(name: str, collected: c.Mapping[str, t.Any]) -> Host:
    """Return a host from the registered result of its collection; whatever is missing is named by the status."""
    status = "unreachable" if collected.get("unreachable") else str(collected.get("status") or "failed")
    message = str(collected.get("message") or collected.get("msg") or "it gave no report")
    return Host(
        name, status if collected.get("report") or status != "ok" else "failed", message, dict(collected.get("expected") or {}),
        dict(collected.get("report") or {}), dict(collected.get("differences") or {}), dict(collected.get("not_compared") or {}),
        list(collected.get("nodes") or []), float(collected.get("clock_offset_seconds") or 0.0),
    )  # fmt: skip


def evaluate(
    cluster: Cluster, environments: c.Iterable[Environment], host_checks: c.Iterable[HostCheck], worker_checks: c.Iterable[WorkerCheck]
) -> list[Finding]:
    """Return everything that the checks find, the worst first; a check that breaks is reported and does not hide the others."""
    found: list[Finding] = []
    pairs: list[tuple[t.Callable[[t.Any], t.Iterator[Finding]], t.Any]] = [
        *itertools.product(host_checks, [cluster]), *itertools.product(worker_checks, environments)
    ]  # fmt: skip
    for check, subject in pairs:
        try:
            found.extend(check(subject))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
            message = f"The check {check.__name__} could not be made ({type(exc).__name__}: {exc})"
            found.append(Finding(WARNING, "doctor", (), message, "Report this, with doctor_json_path set, to the collection's authors"))
    return sorted(findings.merged(found), key=lambda finding: (SEVERITIES.index(finding.severity), finding.hosts))


def table(found: c.Sequence[Finding]) -> list[str]:
    """Return the findings as lines of a table."""
    if not found:
        return []
    width = min(HOST_WIDTH, max(len(HEADINGS[1]), *(len(shortened(finding.hosts)) for finding in found)))
    widths = (8, width, FINDING_WIDTH, REMEDY_WIDTH)
    rows = [HEADINGS, *((finding.severity, shortened(finding.hosts) or "-", finding.message, finding.remedy) for finding in found)]
    lines = []
    for row in rows:
        cells = [textwrap.wrap(text, size) or [""] for text, size in zip(row, widths)]
        for number in range(max(map(len, cells))):
            lines.append(line([cell[number] if number < len(cell) else "" for cell in cells], widths, "  "))
    return lines


def counted(found: c.Iterable[Finding]) -> dict[str, int]:
    """Return how many findings there are of each severity."""
    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in found:
        counts[finding.severity] += 1
    return counts


def fails(found: c.Iterable[Finding], least: str) -> bool:
    """Tell whether a finding is at least as severe as asked for; with C(never) none is."""
    return least in SEVERITIES and any(SEVERITIES.index(finding.severity) <= SEVERITIES.index(least) for finding in found)
