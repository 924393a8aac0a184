# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel and log files tell about processes."""

from __future__ import annotations

import os
import re
import time
import typing as t

_CREDENTIALS = re.compile(r"(\w+://[^\s:/@]*:)[^\s@]+@")
# The start is known in clock ticks only, and both clocks are read one after the other.
TOLERANCE_SECONDS = 0.05


def start_ticks(stat: str) -> int:
    """Return the start time of a process, in ticks since boot, from the text of C(/proc/<pid>/stat)."""
    # The command in parentheses may itself contain spaces and parentheses.
    return int(stat.rpartition(")")[2].split()[19])


def started_at(process: int, proc: str = "/proc") -> float | None:
    """Return when a process started, in seconds since the epoch by the clock of now."""
    try:
        with open(f"{proc}/{process}/stat", encoding="utf-8", errors="replace") as stat:
            ticks = start_ticks(stat.read())
    except (OSError, IndexError, ValueError):
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def newer_path(process: int, paths: t.Iterable[str]) -> str | None:
    """Return the first path that changed after the process started."""
    start = started_at(process)
    if start is None:
        return None
    for path in paths:
        try:
            # A link counts by itself: switching it is what changes, not what it points to.
            changed = os.lstat(path).st_mtime
        except OSError:
            continue
        if changed > start + TOLERANCE_SECONDS:
            return path
    return None


def tail(path: str, lines: int) -> str:
    """Return the last lines of a file, nothing when there is none."""
    try:
        with open(path, "rb") as log:
            log.seek(max(0, os.path.getsize(path) - 65536))
            return b"\n".join(log.read().splitlines()[-lines:]).decode("utf-8", "replace")
    except OSError:
        return ""


def redact(text: str) -> str:
    """Hide the passwords of URLs."""
    return _CREDENTIALS.sub(r"\1**@", text)
