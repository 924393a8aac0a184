# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of processes and parameters of the kernel, as text of /proc and /sys tells them."""

from __future__ import annotations

import re
import typing as t

CAP_SYS_RESOURCE = 24
UNLIMITED = -1


def sysctl_path(name: str, root: str = "/proc/sys") -> str:
    """The file of a parameter; dots separate, and a slash stands for a dot inside a part."""
    return f"{root}/{name.replace('.', '/')}" if "/" not in name else f"{root}/{name}"


def same_value(one: t.Any, other: t.Any) -> bool:
    """Whether two values of a parameter are one, however they are spaced."""
    return str(one).split() == str(other).split()


def selected(text: str) -> str:
    """The choice that the kernel shows in brackets, as in C(always [madvise] never)."""
    found = re.search(r"\[(\w+)\]", text)
    return found[1] if found else text.strip()


def nofile_of(text: str) -> tuple[int, int] | None:
    """Soft and hard limit of open files in the text of C(/proc/PID/limits)."""
    found = re.search(r"^Max open files\s+(\S+)\s+(\S+)", text, re.MULTILINE)
    if not found:
        return None
    soft, hard = (UNLIMITED if entry == "unlimited" else int(entry) for entry in found.groups())
    return soft, hard


def may_raise(status: str) -> bool:
    """Whether the text of C(/proc/PID/status) shows the right to raise a hard limit."""
    found = re.search(r"^CapEff:\s*([0-9a-fA-F]+)", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> CAP_SYS_RESOURCE & 1)


def ceiling(limits: str, status: str, nr_open: int) -> int:
    """The highest limit of open files that the service manager can give, from the texts of process 1."""
    if may_raise(status):
        return nr_open
    own = nofile_of(limits)
    hard = own[1] if own else UNLIMITED
    return nr_open if hard == UNLIMITED else min(hard, nr_open)


def enough(soft: int, wanted: int, most: int) -> bool:
    """Whether a process has what was wanted, or all that there is."""
    return soft == UNLIMITED or soft >= min(wanted, most)


def units_of(shown: str) -> dict[str, dict[str, str]]:
    """The properties of each unit in the output of C(systemctl show)."""
    units: dict[str, dict[str, str]] = {}
    for block in shown.strip().split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in properties:
            units[properties["Id"]] = properties
    return units


def programs_of(status: str) -> dict[str, int]:
    """The process of each running program in the output of C(supervisorctl status)."""
    found = re.findall(r"^(\S+)\s+RUNNING\s+pid (\d+)", status, re.MULTILINE)
    return {name.split(":")[-1]: int(pid) for name, pid in found}
