# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight and the doctor do alike with what they find.

A finding of preflight is about an input, one of the doctor about what a host reported; both are dataclasses that name hosts.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t


class OnHosts(t.Protocol):
    """A dataclass that names the hosts on which something is wrong."""

    __dataclass_fields__: t.ClassVar[dict[str, t.Any]]

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the hosts."""


AnyFinding = t.TypeVar("AnyFinding", bound=OnHosts)


def shortened(names: c.Sequence[str], most: int = 5) -> str:
    """Return a list of names that stays readable with hundreds of them."""
    rest = len(names) - most
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:most])} and {rest} more"


def merged(findings: c.Iterable[AnyFinding]) -> list[AnyFinding]:
    """Return what several hosts share once, with all their names."""
    hosts: dict[AnyFinding, dict[str, None]] = {}
    for finding in findings:
        hosts.setdefault(dataclasses.replace(finding, hosts=()), {}).update(dict.fromkeys(finding.hosts))
    return [dataclasses.replace(finding, hosts=tuple(names)) for finding, names in hosts.items()]
