# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until started Celery worker nodes consume, as their logs tell."""

from __future__ import annotations

import os
import re
import time
import typing as t

from ansible_collections.multinode.celery.plugins.module_utils._celery_managers import Manager, State
from ansible_collections.multinode.celery.plugins.module_utils._processes import started_at, tail
from ansible_collections.multinode.celery.plugins.module_utils._redaction import redact

READY_MARK = b" ready."
# Without a line in the log (a level above INFO) a node that lives this long has got past its imports.
QUIET_SECONDS = 8
LOOK_SECONDS = 0.4
# One failure may be a race with another program; several in a row are not.
FAILED_LOOKS = 5

_OPTION = re.compile(r"--(logfile|loglevel|pool)=([^\s\"']+)")

Nodes = t.Mapping[str, t.Mapping[str, t.Any]]


def defined_node(manager: Manager, name: str) -> dict[str, str]:
    """Return the log, its level and the pool of a node that is known from its definition alone."""
    try:
        with open(manager.definition(name), encoding="utf-8", errors="replace") as file:
            options = dict(_OPTION.findall(file.read()))
    except OSError:
        options = {}
    return {
        "name": name,
        "log_file": options.get("logfile", ""),
        "log_level": options.get("loglevel", "INFO"),
        "pool": options.get("pool", "prefork"),
    }


def is_ready(log_file: str, offset: int) -> bool:
    """Tell whether the log grew by Celery's line that the node is ready."""
    try:
        # A rotation in between leaves a smaller file.
        start = offset if os.path.getsize(log_file) >= offset else 0
        with open(log_file, "rb") as log:
            log.seek(start)
            return any(line.rstrip().endswith(READY_MARK) for line in log)
    except OSError:
        return False


def log_sizes(nodes: Nodes, names: t.Iterable[str]) -> dict[str, int]:
    """Return how long the logs are now."""
    sizes = {}
    for name in names:
        path = nodes[name]["log_file"]
        sizes[name] = os.path.getsize(path) if os.path.exists(path) else 0
    return sizes


def wait_until_ready(manager: Manager, nodes: Nodes, offsets: t.Mapping[str, int], timeout: int) -> dict[str, str]:
    """Wait for all nodes at once; return the ones that failed with the reason."""
    deadline = time.monotonic() + timeout
    waiting = set(offsets)
    failures = dict.fromkeys(waiting, 0)
    failed: dict[str, str] = {}
    while waiting:
        states = manager.states()
        for name in sorted(waiting):
            process, failing = states.get(name, State(None, False))
            if process:
                quiet = nodes[name].get("log_level", "INFO") not in ("INFO", "DEBUG")
                alive = time.time() - (started_at(process) or time.time())
                if is_ready(nodes[name]["log_file"], offsets[name]) or (quiet and alive >= QUIET_SECONDS):
                    waiting.discard(name)
                    continue
            failures[name] += failing
            if failures[name] >= FAILED_LOOKS:
                failed[name] = "does not stay up"
            elif time.monotonic() > deadline:
                failed[name] = f"{'is not connected to the broker' if process else 'does not run'} after {timeout} s"
        waiting -= set(failed)
        if waiting:
            time.sleep(LOOK_SECONDS)
    return failed


def last_log_lines(manager: Manager, nodes: Nodes, failed: t.Mapping[str, str]) -> str:
    """Return why nodes did not come up, with the last lines that they wrote."""
    return "\n".join(
        f"node {name} {reason}; its last log lines:\n"
        + redact("\n".join([manager.output(name), tail(nodes[name]["log_file"], 15)]).strip())
        for name, reason in sorted(failed.items())
    )
