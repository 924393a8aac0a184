# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every check of preflight works with: hosts, findings, and how findings are reported."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import difflib
import typing as t

from ansible_collections.multinode.celery.plugins.plugin_utils.findings import merged, shortened

HIDDEN = "(hidden)"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where it is, its value, and what to set instead."""

    check: str
    variable: str
    value: str
    hosts: tuple[str, ...]
    problem: str
    remedy: str
    fatal: bool = True

    def text(self) -> str:
        """The finding as one sentence or two."""
        value = f" = {self.value}" if self.value else ""
        hosts = f" on {shortened(self.hosts)}" if self.hosts else ""
        end = "" if self.problem.endswith("?") else "."
        return f"[{self.check}] {self.variable}{value}{hosts}: {self.problem}{end} {self.remedy}."


class Host:
    """A host as the checks see it; a value that cannot be known yet, or has a wrong type, is None."""

    def __init__(
        self,
        name: str,
        roles: c.Iterable[str],
        values: t.Mapping[str, t.Any],
        facts: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        self.name = name
        self.roles = frozenset(roles)
        self.values = values
        self.facts = facts or {}

    def get(self, name: str) -> t.Any:
        """The value of an input as it is."""
        return self.values.get(name)

    def number(self, name: str) -> int | None:
        """The value of an input as a whole number."""
        return number(self.get(name))

    def flag(self, name: str) -> bool | None:
        """The value of an input as a truth value."""
        value = self.get(name)
        if isinstance(value, str):
            return {"true": True, "yes": True, "false": False, "no": False}.get(value.lower())
        return value if isinstance(value, bool) else None

    def items(self, name: str) -> list[t.Any]:
        """The value of an input as a list."""
        value = self.get(name)
        return list(value) if isinstance(value, (list, tuple)) else []

    def mapping(self, name: str) -> dict[str, t.Any]:
        """The value of an input as a dictionary."""
        value = self.get(name)
        return dict(value) if isinstance(value, c.Mapping) else {}


@dataclasses.dataclass(frozen=True)
class Inventory:
    """All hosts that preflight looks at, and the roles that each group gets."""

    hosts: tuple[Host, ...]
    groups: t.Mapping[str, c.Sequence[str]]
    roles: t.Mapping[str, c.Sequence[str]]
    required_groups: tuple[str, ...] = ()
    limits: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    def having(self, role: str) -> list[Host]:
        """The hosts that get a role."""
        return [host for host in self.hosts if role in host.roles]

    def where(self, role: str) -> str:
        """The file in which the inputs of a role are looked for first."""
        groups = [group for group, roles in self.roles.items() if role in roles]
        return f"group_vars/{groups[0] if len(groups) == 1 else 'all'}/{role}.yml"


Check = t.Callable[[Inventory], t.Iterator[Finding]]


def number(value: t.Any) -> int | None:
    """A whole number, also when it is written as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return int(value)
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return int(value)
    return None


def did_you_mean(name: str, known: c.Iterable[str]) -> str:
    """A hint for a name that looks like a typing error of a known one."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def run_checks(inventory: Inventory, checks: c.Iterable[Check]) -> list[Finding]:
    """Everything that the checks find, each finding once."""
    return merged(finding for check in checks for finding in check(inventory))


def report(findings: c.Sequence[Finding], before: str) -> str:
    """The message that the user reads."""
    one = len(findings) == 1
    head = f"Preflight refuses this inventory, {'1 error' if one else f'{len(findings)} errors'}. {before}"
    return "\n".join([head, *(f"{place}. {finding.text()}" for place, finding in enumerate(findings, 1))])
