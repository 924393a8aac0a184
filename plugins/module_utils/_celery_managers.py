# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Service managers that run Celery worker nodes, behind one interface."""

from __future__ import annotations

import abc
import contextlib
import glob
import http.client
import os
import signal
import socket
import time
import typing as t
import xmlrpc.client

from ansible_collections.multinode.celery.plugins.module_utils._processes import newer_path, tail

# What the names of units and programs of worker nodes begin with; all others are left alone.
SERVICE_PREFIX = "celery-worker-"
# What the manager itself needs besides the time that a node may take.
MARGIN_SECONDS = 60
# What timeout(1) ends with when it had to end its command.
TIMED_OUT = 124

# A module's own run_command.
RunCommand = t.Callable[..., tuple[int, str, str]]


class ManagerError(Exception):
    """A manager that did not do what it was asked for."""


class State(t.NamedTuple):
    """What a manager knows about a node."""

    process: int | None
    failing: bool


def parse_show(text: str, prefix: str) -> dict[str, State]:
    """Return the states of the units in the output of C(systemctl show)."""
    states = {}
    for block in text.split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        name = unit.get("Id", "").removesuffix(".service")
        if not name.startswith(prefix):
            continue
        process = int(unit.get("MainPID") or 0) or None
        if unit.get("LoadState") == "not-found" and process is None:
            continue
        # A stopping unit has a process, but it is on its way out.
        if unit.get("ActiveState") == "deactivating":
            process = None
        failing = int(unit.get("NRestarts") or 0) >= 2 or unit.get("ActiveState") == "failed"
        states[name.removeprefix(prefix)] = State(process, failing)
    return states


class Manager(abc.ABC):
    """What the module asks of a service manager; names are those of nodes."""

    suffix = ""

    def __init__(self, run_command: RunCommand, directory: str, prefix: str, stop_timeout: int) -> None:
        self.run_command = run_command
        self.directory = directory
        self.prefix = prefix
        self.stop_timeout = stop_timeout + MARGIN_SECONDS

    def run(self, argv: t.Sequence[str], timeout: float, check: bool = True) -> str:
        """Run a command and return what it printed."""
        code, out, err = self.run_command(["timeout", f"{timeout:g}", *argv], expand_user_and_vars=False)
        if code == TIMED_OUT:
            raise ManagerError(f"{' '.join(argv[:2])} did not end within {timeout:g} s")
        if check and code:
            raise ManagerError(f"{' '.join(argv)}: {(err or out).strip()}")
        return out

    def definition(self, name: str) -> str:
        """Return the path of a node's definition."""
        return f"{self.directory}/{self.prefix}{name}{self.suffix}"

    def definitions(self) -> list[str]:
        """Return the nodes that have a definition."""
        return sorted(
            os.path.basename(path).removeprefix(self.prefix).removesuffix(self.suffix)
            for path in glob.glob(f"{glob.escape(self.directory)}/{self.prefix}*{self.suffix}")
        )

    def processes(self) -> dict[str, int]:
        """Return the main processes of the running nodes."""
        return {name: state.process for name, state in self.states().items() if state.process}

    def own_paths(self) -> list[str]:
        """Return further files that every node of this manager depends on."""
        return []

    def remove(self, names: t.Sequence[str]) -> None:
        """Drain, stop and remove nodes."""
        self.end_remove(self.begin_remove(names))

    @staticmethod
    def wake(process: int) -> None:
        """Let a suspended process go on."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)

    @abc.abstractmethod
    def states(self) -> dict[str, State]:
        """Return what is known about every node."""

    @abc.abstractmethod
    def prepare(self, needed: bool) -> None:
        """Make the manager itself run where it is needed."""

    @abc.abstractmethod
    def reload(self) -> None:
        """Make the manager read its definitions."""

    @abc.abstractmethod
    def start(self, names: t.Sequence[str]) -> None:
        """Start nodes side by side."""

    @abc.abstractmethod
    def begin_restart(self, names: t.Sequence[str]) -> None:
        """Ask nodes to stop and, as far as the manager does it by itself, to start again."""

    @abc.abstractmethod
    def end_restart(self, name: str) -> None:
        """Start a node of C(begin_restart) whose process has ended, where the manager does not do it by itself."""

    @abc.abstractmethod
    def begin_stop(self, names: t.Sequence[str]) -> None:
        """Ask nodes to stop without waiting for it."""

    @abc.abstractmethod
    def end_stop(self, names: t.Sequence[str]) -> None:
        """Wait for the nodes of C(begin_stop)."""

    @abc.abstractmethod
    def kill(self, name: str, process: int) -> None:
        """End a node that does not answer, with everything that it started."""

    @abc.abstractmethod
    def begin_remove(self, names: t.Sequence[str]) -> list[str]:
        """Ask nodes to stop for good without waiting for it."""

    @abc.abstractmethod
    def end_remove(self, names: t.Sequence[str]) -> None:
        """Wait for the nodes of C(begin_remove) and forget their definitions."""

    @abc.abstractmethod
    def not_enabled(self, names: t.Sequence[str]) -> list[str]:
        """Return the nodes that would not start with the host."""

    @abc.abstractmethod
    def enable(self, names: t.Sequence[str]) -> None:
        """Make nodes start with the host."""

    @abc.abstractmethod
    def output(self, name: str) -> str:
        """Return the last lines that a node wrote outside its log file."""


class Systemd(Manager):
    """Each node is a unit."""

    suffix = ".service"

    def _units(self, names: t.Iterable[str]) -> list[str]:
        return [f"{self.prefix}{name}.service" for name in names]

    def states(self) -> dict[str, State]:
        """Return what systemd knows, also about units whose file is gone."""
        properties = "Id,LoadState,ActiveState,MainPID,NRestarts"
        units = [*self._units(self.definitions()), f"{self.prefix}*.service"]
        return parse_show(self.run(["systemctl", "show", "--property", properties, *units], MARGIN_SECONDS), self.prefix)

    def prepare(self, needed: bool) -> None:
        """Do nothing, systemd always runs."""

    def reload(self) -> None:
        """Read the units again."""
        self.run(["systemctl", "daemon-reload"], MARGIN_SECONDS)

    def start(self, names: t.Sequence[str]) -> None:
        """Run the start jobs; a node that fails is reported by its state, with its last lines."""
        if names:
            self.run(["systemctl", "start", *self._units(names)], self.stop_timeout, check=False)

    def begin_restart(self, names: t.Sequence[str]) -> None:
        """Queue the restart jobs: systemd finishes them whatever becomes of this program."""
        if names:
            self.run(["systemctl", "restart", "--no-block", *self._units(names)], MARGIN_SECONDS, check=False)

    def end_restart(self, name: str) -> None:
        """Do nothing, the restart job starts the unit."""

    def begin_stop(self, names: t.Sequence[str]) -> None:
        """Queue the stop jobs."""
        if names:
            self.run(["systemctl", "stop", "--no-block", *self._units(names)], MARGIN_SECONDS, check=False)

    def end_stop(self, names: t.Sequence[str]) -> None:
        """Join the stop jobs."""
        if names:
            self.run(["systemctl", "stop", *self._units(names)], self.stop_timeout, check=False)

    def kill(self, name: str, process: int) -> None:
        """Kill the unit's control group."""
        self.run(["systemctl", "kill", "--kill-whom=all", "--signal=KILL", *self._units([name])], MARGIN_SECONDS, check=False)

    def begin_remove(self, names: t.Sequence[str]) -> list[str]:
        """Disable the units and queue the stop jobs."""
        if names:
            self.run(["systemctl", "disable", *self._units(names)], MARGIN_SECONDS, check=False)
        self.begin_stop(names)
        return list(names)

    def end_remove(self, names: t.Sequence[str]) -> None:
        """Join the stop jobs and remove the units."""
        if not names:
            return
        self.end_stop(names)
        alive = sorted(set(names) & set(self.processes()))
        if alive:
            raise ManagerError(f"nodes {', '.join(alive)} do not stop")
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.definition(name))
        self.reload()
        self.run(["systemctl", "reset-failed", *self._units(names)], MARGIN_SECONDS, check=False)

    def not_enabled(self, names: t.Sequence[str]) -> list[str]:
        """Look for the links that enabling makes."""
        wants = f"{self.directory}/multi-user.target.wants"
        return [name for name, unit in zip(names, self._units(names)) if not os.path.lexists(f"{wants}/{unit}")]

    def enable(self, names: t.Sequence[str]) -> None:
        """Enable the units."""
        if names:
            self.run(["systemctl", "enable", *self._units(names)], MARGIN_SECONDS)

    def output(self, name: str) -> str:
        """Return the end of the journal."""
        unit = self._units([name])[0]
        return self.run(["journalctl", "--unit", unit, "--lines", "15", "--output", "cat"], MARGIN_SECONDS, check=False)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self.path = path
        self.timeout = timeout

    def make_connection(self, host: t.Any) -> _Connection:
        return _Connection(self.path, self.timeout)


class Supervisor(Manager):
    """Each node is a program of Debian's supervisor service."""

    suffix = ".conf"
    unit = "supervisor.service"
    drop_in = "/etc/systemd/system/supervisor.service.d/celery-worker.conf"

    def __init__(self, run_command: RunCommand, directory: str, prefix: str, stop_timeout: int, socket_path: str) -> None:
        super().__init__(run_command, directory, prefix, stop_timeout)
        self.socket_path = socket_path

    def _rpc(self) -> t.Any:
        transport = _Transport(self.socket_path, MARGIN_SECONDS)
        return xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor

    def _info(self) -> dict[str, dict[str, t.Any]]:
        if not os.path.exists(self.socket_path):
            return {}
        try:
            programs = self._rpc().getAllProcessInfo()
        except OSError:
            # A socket that nobody listens on is left by a service that was killed.
            return {}
        return {
            program["group"].removeprefix(self.prefix): program
            for program in programs
            if program["group"].startswith(self.prefix)
        }

    def own_paths(self) -> list[str]:
        """Return the drop-in: every node inherits the service's limits."""
        return [self.drop_in]

    def states(self) -> dict[str, State]:
        """Return what supervisor knows, also about programs whose file is gone."""
        return {
            name: State(
                program["pid"] if program["statename"] in ("STARTING", "RUNNING") else None,
                program["statename"] in ("BACKOFF", "FATAL"),
            )
            for name, program in self._info().items()
        }

    def _service_process(self) -> int:
        return int(self.run(["systemctl", "show", "--property", "MainPID", "--value", self.unit], MARGIN_SECONDS) or 0)

    def prepare(self, needed: bool) -> None:
        """Start the service, and restart it where its drop-in is newer: limits are inherited from it."""
        if not needed:
            return
        process = self._service_process()
        if process and not newer_path(process, [self.drop_in]) and os.path.exists(self.socket_path):
            return
        self.run(["systemctl", "daemon-reload"], MARGIN_SECONDS)
        self.run(["systemctl", "restart" if process else "start", self.unit], self.stop_timeout)
        deadline = time.monotonic() + MARGIN_SECONDS
        while not os.path.exists(self.socket_path):
            if time.monotonic() > deadline:
                raise ManagerError(f"supervisor does not open {self.socket_path}")
            time.sleep(0.2)

    def _call(self, name: str, *arguments: t.Any) -> t.Any:
        try:
            return getattr(self._rpc(), name)(*arguments)
        except (OSError, xmlrpc.client.Fault) as error:
            raise ManagerError(f"supervisor, {name} {' '.join(str(word) for word in arguments)}: {error}") from error

    def reload(self) -> None:
        """Read the programs again; which ones run is left to the other methods."""
        self._call("reloadConfig")

    def _wait_stopped(self, names: t.Iterable[str]) -> None:
        deadline = time.monotonic() + self.stop_timeout
        waiting = set(names)
        while waiting:
            info = self._info()
            over = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")
            waiting = {name for name in waiting if name in info and info[name]["statename"] not in over}
            if waiting and time.monotonic() > deadline:
                raise ManagerError(f"nodes {', '.join(sorted(waiting))} do not stop")
            if waiting:
                time.sleep(0.3)

    def start(self, names: t.Sequence[str]) -> None:
        """Replace the programs by those of their files."""
        for name in names:
            self._replace(name)

    def begin_restart(self, names: t.Sequence[str]) -> None:
        """Send the stop signals."""
        self.begin_stop(names)

    def end_restart(self, name: str) -> None:
        """Replace the stopped program."""
        self._wait_stopped([name])
        self._replace(name)

    def end_stop(self, names: t.Sequence[str]) -> None:
        """Wait until supervisor has noticed the end of the programs."""
        self._wait_stopped(names)

    def kill(self, name: str, process: int) -> None:
        """Kill the process group: each program leads one."""
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process) == process:
                os.killpg(process, signal.SIGKILL)
            else:
                os.kill(process, signal.SIGKILL)

    def _replace(self, name: str) -> None:
        info = self._info()
        if name in info:
            if info[name]["statename"] in ("BACKOFF", "STARTING", "RUNNING"):
                self.begin_stop([name])
                self._wait_stopped([name])
            self._call("removeProcessGroup", self.prefix + name)
        self._call("addProcessGroup", self.prefix + name)
        # It starts what it adds, unless the service itself was started while the host was drained.
        if self._info().get(name, {}).get("statename") == "STOPPED":
            self._call("startProcessGroup", self.prefix + name, False)

    def begin_stop(self, names: t.Sequence[str]) -> None:
        """Send the stop signals."""
        info = self._info()
        for name in names:
            if name in info and info[name]["statename"] in ("STARTING", "RUNNING", "BACKOFF"):
                self._call("stopProcessGroup", self.prefix + name, False)

    def begin_remove(self, names: t.Sequence[str]) -> list[str]:
        """Send the stop signals."""
        self.begin_stop(names)
        return list(names)

    def end_remove(self, names: t.Sequence[str]) -> None:
        """Join the stops and remove the programs."""
        if not names:
            return
        self._wait_stopped(names)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.definition(name))
        info = self._info()
        for name in names:
            if name in info:
                self._call("removeProcessGroup", self.prefix + name)
        if info:
            self.reload()

    def not_enabled(self, names: t.Sequence[str]) -> list[str]:
        """Look for the link that enables the service."""
        link = f"/etc/systemd/system/multi-user.target.wants/{self.unit}"
        return [] if os.path.lexists(link) else list(names)

    def enable(self, names: t.Sequence[str]) -> None:
        """Enable the service."""
        if names:
            self.run(["systemctl", "enable", self.unit], MARGIN_SECONDS)

    def output(self, name: str) -> str:
        """Return the end of what supervisor captured."""
        return tail(f"/var/log/supervisor/{self.prefix}{name}.log", 15)
