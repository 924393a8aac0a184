# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel and log files tell about processes.

The watchdog has a copy of this file beside it; C(multinode_heartbeat.py), which is part of the application, reads C(/proc) itself.
"""

from __future__ import annotations

import os
import time
import typing as t

# The start is known in clock ticks only, and both clocks are read one after the other.
TOLERANCE_SECONDS = 0.05


def stat_fields(process: int, proc: str = "/proc") -> list[str]:
    """Return the fields of C(/proc/<pid>/stat) from the state of the process on, none when there is no such process."""
    try:
        with open(f"{proc}/{process}/stat", encoding="utf-8", errors="replace") as stat:
            # The command in parentheses may itself contain spaces and parentheses.
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return []


def started_at(process: int, proc: str = "/proc") -> float | None:
    """Return when a process started, in seconds since the epoch by the clock of now."""
    fields = stat_fields(process, proc)
    if len(fields) < 20:
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def newer_than(paths: t.Iterable[str], moment: float) -> list[str]:
    """Return the paths that changed after a moment, in seconds since the epoch; one that does not exist is passed over."""
    # A link counts by itself: switching it is what changes, not what it points to.
    return [path for path in paths if os.path.lexists(path) and os.lstat(path).st_mtime > moment]


def newer_paths(process: int, paths: t.Iterable[str]) -> list[str]:
    """Return the paths that changed after the process started, none when there is no such process."""
    start = started_at(process)
    return [] if start is None else newer_than(paths, start + TOLERANCE_SECONDS)


def newer_path(process: int, paths: t.Iterable[str]) -> str | None:
    """Return the first path that changed after the process started."""
    return next(iter(newer_paths(process, paths)), None)


def replaced_code(maps: str) -> list[str]:
    """Return the programs and libraries of a C(/proc/<pid>/maps) that were replaced on disk since the process loaded them."""
    found = set()
    for line in maps.splitlines():
        words = line.split(None, 5)
        if len(words) == 6 and "x" in words[1] and words[5].startswith("/") and words[5].endswith(" (deleted)"):
            found.add(words[5].removesuffix(" (deleted)"))
    return sorted(found)


def restart_paths(process: int, paths: t.Iterable[str]) -> list[str]:
    """Return what a process has to be started again for: files changed since, and code that an upgrade replaced."""
    with open(f"/proc/{process}/maps", encoding="utf-8", errors="replace") as maps:
        return newer_paths(process, paths) + replaced_code(maps.read())


def tail(path: str, lines: int) -> str:
    """Return the last lines of a file, nothing when there is none."""
    try:
        with open(path, "rb") as log:
            log.seek(max(0, os.path.getsize(path) - 65536))
            return b"\n".join(log.read().splitlines()[-lines:]).decode("utf-8", "replace")
    except OSError:
        return ""
