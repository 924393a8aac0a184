# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _celery_managers as managers

PREFIX = "celery-worker-"


def run_command(argv, **_options):
    """Replace the function of the same name of a module."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def unit(name, **properties):
    defaults = {"Id": f"{PREFIX}{name}.service", "LoadState": "loaded", "ActiveState": "active", "MainPID": 7, "NRestarts": 0}
    return "\n".join(f"{key}={value}" for key, value in {**defaults, **properties}.items())


def test_show_is_read_unit_by_unit():
    text = "\n\n".join(
        [
            unit("video"),
            unit("export", ActiveState="deactivating"),
            unit("broken", MainPID=0, ActiveState="activating", NRestarts=4),
            unit("gone", LoadState="not-found", MainPID=0, ActiveState="inactive"),
            unit("orphan", LoadState="not-found"),
            unit("x", Id="ssh.service"),
        ]
    )
    assert managers.parse_show(text + "\n", PREFIX) == {
        "video": managers.State(7, False),
        "export": managers.State(None, False),
        "broken": managers.State(None, True),
        "orphan": managers.State(7, False),
    }


def test_definitions_are_those_of_worker_nodes_only(tmp_path):
    for name in ("celery-worker-a.service", "celery-worker-b-2.service", "celery-beat.service", "celery-worker-a.conf"):
        (tmp_path / name).touch()
    assert managers.Systemd(run_command, str(tmp_path), PREFIX, 1).definitions() == ["a", "b-2"]
    supervisor = managers.Supervisor(run_command, str(tmp_path), PREFIX, 1, str(tmp_path / "socket"))
    assert supervisor.definitions() == ["a"]
    assert supervisor.definition("a") == str(tmp_path / "celery-worker-a.conf")


def test_no_supervisor_means_no_programs(tmp_path):
    supervisor = managers.Supervisor(run_command, str(tmp_path), PREFIX, 1, str(tmp_path / "socket"))
    assert supervisor.states() == {}
    supervisor.remove([])


def test_links_show_which_units_are_enabled(tmp_path):
    wants = tmp_path / "multi-user.target.wants"
    wants.mkdir()
    (wants / "celery-worker-a.service").symlink_to("/nowhere")
    assert managers.Systemd(run_command, str(tmp_path), PREFIX, 1).not_enabled(["a", "b"]) == ["b"]


class FakeSupervisor(managers.Supervisor):
    """Keeps programs in a dictionary and logs what is asked."""

    def __init__(self, directory, states):
        super().__init__(run_command, str(directory), PREFIX, 1, "/nowhere")
        self.programs = {name: {"statename": state, "pid": 5} for name, state in states.items()}
        self.calls = []
        self.added = "STARTING"

    def _info(self):
        return self.programs

    def _call(self, name, *arguments):
        self.calls.append((name, *arguments))
        node = arguments[0].removeprefix(PREFIX) if arguments else None
        if name == "stopProcessGroup":
            self.programs[node]["statename"] = "STOPPED"
        if name == "removeProcessGroup":
            del self.programs[node]
        if name == "addProcessGroup":
            self.programs[node] = {"statename": self.added, "pid": 6}


def test_supervisor_replaces_programs_and_stops_them_together(tmp_path):
    supervisor = FakeSupervisor(tmp_path, {"a": "RUNNING", "b": "RUNNING", "c": "FATAL"})
    supervisor.start(["c", "d"])
    supervisor.begin_restart(["a", "b"])
    for name in ("a", "b"):
        supervisor.end_restart(name)
    assert [call[:2] for call in supervisor.calls] == [
        ("removeProcessGroup", "celery-worker-c"),
        ("addProcessGroup", "celery-worker-c"),
        ("addProcessGroup", "celery-worker-d"),
        ("stopProcessGroup", "celery-worker-a"),
        ("stopProcessGroup", "celery-worker-b"),
        ("removeProcessGroup", "celery-worker-a"),
        ("addProcessGroup", "celery-worker-a"),
        ("removeProcessGroup", "celery-worker-b"),
        ("addProcessGroup", "celery-worker-b"),
    ]
    assert supervisor.processes() == {"a": 6, "b": 6, "c": 6, "d": 6}


def test_supervisor_starts_programs_that_it_does_not_start_by_itself(tmp_path):
    supervisor = FakeSupervisor(tmp_path, {})
    supervisor.added = "STOPPED"
    supervisor.start(["a"])
    assert supervisor.calls[-1] == ("startProcessGroup", "celery-worker-a", False)


def test_supervisor_removes_programs_with_their_files(tmp_path):
    (tmp_path / "celery-worker-a.conf").touch()
    supervisor = FakeSupervisor(tmp_path, {"a": "RUNNING", "b": "RUNNING"})
    supervisor.remove(["a"])
    assert supervisor.definitions() == []
    assert sorted(supervisor.programs) == ["b"]


def test_a_command_that_fails_is_named():
    systemd = managers.Systemd(run_command, "/nowhere", PREFIX, 1)
    with pytest.raises(managers.ManagerError, match="false"):
        systemd.run(["false"], 5)
    assert systemd.run(["false"], 5, check=False) == ""


def test_a_command_that_does_not_end_is_ended():
    with pytest.raises(managers.ManagerError, match=r"sleep 60 did not end within 0\.1 s"):
        managers.Systemd(run_command, "/nowhere", PREFIX, 1).run(["sleep", "60"], 0.1)
