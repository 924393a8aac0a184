# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch Celery worker nodes stop, end those that hang, and report what became of their tasks.

A node drains by itself, see C(multinode_drain.py) of the role C(celery_worker): TERM stops the consumption, running tasks
finish within a bound, QUIT gives the rest back, and the manager's KILL comes last. What is done here is what a node cannot
do for itself: notice that it does not answer, end it, and put back what it had not acknowledged.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _celery_client
from ansible_collections.multinode.celery.plugins.module_utils._celery_client import ClientError, ask
from ansible_collections.multinode.celery.plugins.module_utils._celery_managers import SERVICE_PREFIX, Manager, ManagerError, Supervisor, Systemd
from ansible_collections.multinode.celery.plugins.module_utils._celery_ready import defined_node
from ansible_collections.multinode.celery.plugins.module_utils._processes import stat_fields
from ansible_collections.multinode.celery.plugins.module_utils._tables import aligned

LOOK_SECONDS = 0.3
UNIT_DIRECTORY = "/etc/systemd/system"
PROGRAM_DIRECTORY = "/etc/supervisor/conf.d"
SUPERVISOR_SOCKET = "/run/supervisor.sock"
# A suspended process, in /proc/<pid>/stat; neither TERM nor QUIT reaches it.
SUSPENDED = ("T", "t")
# A log of INFO lines of this size goes back further than any running task of a busy node.
LOG_BYTES = 8 * 1024 * 1024
SETTLE_SECONDS = 20
COLUMNS = ("node", "outcome", "seconds", "finished", "given back", "lost")

ARGUMENTS: dict[str, t.Any] = {
    **_celery_client.ARGUMENTS,
    "app_directory": {"type": "path"},
    "config_directory": {"type": "path"},
    # Units look for it, and supervisor reads it as environment.
    "marker": {"type": "path", "required": True},
    "report_directory": {"type": "path", "required": True},
    "answer_timeout_seconds": {"type": "int", "default": 30},
    "start_timeout_seconds": {"type": "int", "default": 120},
    "stop_timeout_seconds": {"type": "int", "default": 360},
}

_TASK = re.compile(r"Task (?P<name>[^\s\[]+)\[(?P<id>[^\]\s]+)\] (?P<event>received|\S+)")


class Leaver(t.NamedTuple):
    """A process of a node that was signalled to stop."""

    manager: Manager
    name: str
    process: int
    log_file: str
    pool: str


def service_managers(module: AnsibleModule) -> tuple[Manager, Manager]:
    """Return the two service managers, as C(ARGUMENTS) describe them."""
    run, stop = module.run_command, module.params["stop_timeout_seconds"]
    return Systemd(run, UNIT_DIRECTORY, SERVICE_PREFIX, stop), Supervisor(run, PROGRAM_DIRECTORY, SERVICE_PREFIX, stop, SUPERVISOR_SOCKET)


def leavers(manager: Manager, names: t.Iterable[str]) -> list[Leaver]:
    """Return the running ones of some nodes; their definitions still stand."""
    processes = manager.processes()
    found = {name: defined_node(manager, name) for name in names if name in processes}
    return [Leaver(manager, name, processes[name], node["log_file"], node["pool"]) for name, node in found.items()]


def status(process: int, proc: str = "/proc") -> str:
    """Return the letter of a process's state, nothing when it is gone or only waits to be reaped."""
    letter = "".join(stat_fields(process, proc)[:1])
    return "" if letter in ("Z", "X") else letter


def can_write(directory: str) -> bool:
    """Tell whether a report could have been written: on a full disk its absence means nothing."""
    try:
        return os.statvfs(directory).f_bavail > 0
    except OSError:
        return False


def read_report(directory: str, name: str, process: int) -> dict[str, t.Any] | None:
    """Return what a process wrote about its drain, nothing when it never began one."""
    try:
        with open(f"{directory}/{name}.json", encoding="utf-8") as file:
            report = json.load(file)
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) and report.get("process") == process else None


def read_tasks(log: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the tasks (id to name) that a log shows as received since the node's last start: not ended, and succeeded."""
    start = log.rfind(" ready.\n")
    running: dict[str, str] = {}
    succeeded: dict[str, str] = {}
    for found in _TASK.finditer(log, max(start, 0)):
        if found["event"] == "received":
            running[found["id"]] = found["name"]
            succeeded.pop(found["id"], None)
        elif running.pop(found["id"], None) and found["event"] == "succeeded":
            succeeded[found["id"]] = found["name"]
    return running, succeeded


def read_log(path: str) -> str:
    """Return the end of a log."""
    try:
        with open(path, "rb") as log:
            log.seek(max(0, os.path.getsize(path) - LOG_BYTES))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""


def describe(tasks: t.Mapping[str, t.Sequence[str]], state: str) -> list[str]:
    """Return the tasks of one state as C(name[id])."""
    return sorted(f"{name}[{identity}]" for identity, (name, found) in tasks.items() if found == state)


def row(name: str, seconds: float, report: t.Mapping[str, t.Any] | None, killed: bool) -> dict[str, t.Any]:
    """Return what is known about one stop."""
    tasks = (report or {}).get("tasks", {})
    phase = (report or {}).get("phase", "")
    ended = {state: describe(tasks, state) for state in ("finished", "given_back", "lost", "running", "waiting")}
    if killed or phase in ("draining", "timed_out"):
        outcome = "killed"
    elif phase == "ended":
        outcome = "timed out" if report and report.get("timed_out") else "stopped"
    else:
        # It had not begun to work yet, or was started before nodes wrote reports.
        outcome = "no report"
    return {
        "node": name,
        "outcome": outcome,
        "seconds": round(seconds, 1),
        "finished": ended["finished"],
        "given_back": ended["given_back"],
        "lost": ended["lost"],
        # Of a node that was killed meanwhile; settled with the broker where it can be asked.
        "unsettled": sorted([*ended["running"], *ended["waiting"]]),
    }


def identity_of(task: str) -> str:
    """Return the identity in C(name[id])."""
    return task.rpartition("[")[2].rstrip("]")


def table(rows: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Return the rows as aligned lines with a heading, and the tasks of interest below."""
    cells = [list(COLUMNS)]
    notes = []
    for one in rows:
        counts = [str(len(one[key])) for key in ("finished", "given_back", "lost")]
        cells.append([one["node"], one["outcome"], f"{one['seconds']:.1f}", *counts])
        for key, words in (("given_back", "given back"), ("lost", "LOST"), ("unsettled", "unknown, delivered again after the visibility timeout")):
            notes += [f"{one['node']}: {words}: {task}" for task in one[key]]
    return aligned(cells) + notes


class Drain:
    """Stops of nodes of one host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.directory = module.params["report_directory"]
        self.answer_timeout = module.params["answer_timeout_seconds"]
        self.killed: set[str] = set()
        self.woken: dict[str, float] = {}
        # Tasks of killed nodes that succeeded.
        self.done: set[str] = set()

    def shorten(self, names: t.Iterable[str], seconds: int) -> None:
        """Ask nodes that are about to stop for a shorter drain than the one they were started with."""
        for name in names:
            path = f"{self.directory}/{name}.bound"
            with contextlib.suppress(OSError):
                # The directory belongs to the application's user: nothing is followed that is there.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(f"{seconds}\n")

    def watch(self, leaving: t.Sequence[Leaver], gone: t.Callable[[str], None] | None = None) -> list[dict[str, t.Any]]:
        """Wait until the processes have ended, calling back for each; return a row for each."""
        begin = time.monotonic()
        waiting = {leaver.name: leaver for leaver in leaving}
        rows = []
        while waiting:
            seconds = time.monotonic() - begin
            for name, leaver in sorted(waiting.items()):
                letter = status(leaver.process)
                if not letter:
                    del waiting[name]
                    rows.append(self._row(leaver, seconds))
                    if gone:
                        gone(name)
                elif letter in SUSPENDED and name not in self.woken:
                    # As systemd does by itself: a process that somebody suspended gets to hear of its stop.
                    self.woken[name] = seconds
                    leaver.manager.wake(leaver.process)
                elif name not in self.killed and self._is_deaf(leaver, letter, seconds):
                    self.killed.add(name)
                    leaver.manager.kill(name, leaver.process)
            if any(seconds > leaver.manager.stop_timeout for leaver in waiting.values()):
                raise ManagerError(f"nodes {', '.join(sorted(waiting))} do not stop")
            if waiting:
                time.sleep(LOOK_SECONDS)
        for leaver in leaving:
            with contextlib.suppress(OSError):
                os.unlink(f"{self.directory}/{leaver.name}.bound")
        return sorted(self._settled(rows), key=lambda one: one["node"])

    def _is_deaf(self, leaver: Leaver, letter: str, seconds: float) -> bool:
        """Tell whether a node has not noticed in time that it shall stop; one that drains has written its report."""
        if letter in SUSPENDED:
            return seconds > self.woken.get(leaver.name, 0) + self.answer_timeout
        # The main thread of a solo pool is inside its task, which may be a long call that no signal interrupts.
        if seconds <= self.answer_timeout or leaver.pool == "solo":
            return False
        return not read_report(self.directory, leaver.name, leaver.process) and can_write(self.directory)

    def _row(self, leaver: Leaver, seconds: float) -> dict[str, t.Any]:
        report = read_report(self.directory, leaver.name, leaver.process)
        # The manager kills what outlasts its own timeout.
        killed = leaver.name in self.killed or (not report and seconds >= self.module.params["stop_timeout_seconds"])
        found = row(leaver.name, seconds, report, killed)
        if found["outcome"] == "killed":
            running, succeeded = read_tasks(read_log(leaver.log_file))
            # A child may have finished what the main process could not acknowledge any more.
            self.done |= set(succeeded)
            ended = [task for task in found["unsettled"] if identity_of(task) in succeeded]
            found["finished"] = sorted([*found["finished"], *ended])
            found["unsettled"] = sorted({*found["unsettled"], *(f"{name}[{identity}]" for identity, name in running.items())} - {*ended})
        return found

    def _settled(self, rows: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
        """Put back at once what killed nodes had not acknowledged; what the broker does not have was acknowledged before it ran."""
        killed = [one for one in rows if one["outcome"] == "killed"]
        held = {identity_of(task) for one in killed for task in (*one["unsettled"], *one["given_back"])}
        if not (held or self.done) or not self.module.params["app_directory"]:
            return rows
        try:
            restored = set(ask(self.module, "settle", SETTLE_SECONDS, tasks=sorted(held), done=sorted(self.done))["restored"])
        except ClientError as error:
            self.module.warn(f"the broker was not asked for the tasks of killed nodes: {error}")
            return rows
        for one in killed:
            for task in one["unsettled"]:
                one["given_back" if identity_of(task) in restored else "lost"].append(task)
            one["unsettled"] = []
        return rows
