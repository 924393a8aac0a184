# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of running processes: the process is real, the service managers are fakes."""

from __future__ import annotations

import collections.abc as c
import pathlib
import subprocess
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.modules import limits_info
from module_run import FakePrograms, ModuleRun

FILES = 64


@pytest.fixture(name="pid")
def _pid() -> c.Iterator[int]:
    """A process that may open few files."""
    with subprocess.Popen(["sh", "-c", f"ulimit -n {FILES}; exec sleep 60"], stdout=subprocess.DEVNULL) as process:
        # The limit is there once the program is.
        while pathlib.Path(f"/proc/{process.pid}/comm").read_text().strip() != "sleep":
            pass
        yield process.pid
        process.kill()


@pytest.fixture(name="run")
def _run(pid: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> c.Callable[..., dict[str, t.Any]]:
    (tmp_path / "bin").mkdir()
    programs = FakePrograms(tmp_path / "bin", monkeypatch)
    programs.add("systemctl", f"printf 'Id=a.service\\nMainPID={pid}\\n\\nId=b.service\\nMainPID=0\\n'")
    programs.add("supervisorctl", f"echo 'celery:video   RUNNING   pid {pid}, uptime 0:00:01'; echo 'stopped   STOPPED   Not started'; exit 3")
    run = ModuleRun(limits_info, capsys)

    def ask(*processes: dict[str, t.Any], fails: bool = False) -> dict[str, t.Any]:
        return {**run(fails=fails, processes=list(processes)), "calls": programs.calls()}

    return ask


def test_a_process_that_may_open_enough_is_no_problem(run, pid: int) -> None:
    result = run({"unit": "a.service", "nofile": FILES})
    assert result["processes"] == [{"name": "a.service", "pid": pid, "nofile": FILES, "wanted": FILES}]
    assert (result["problems"], result["changed"]) == ([], False)
    assert result["ceiling"] > FILES


def test_a_process_that_may_open_too_few_is_one(run, pid: int) -> None:
    result = run({"unit": "a.service", "nofile": FILES + 1}, {"program": "video", "nofile": FILES + 2})
    assert result["problems"] == [
        f"a.service (process {pid}) may open {FILES} files and should be able to open {FILES + 1}: restart it",
        f"video (process {pid}) may open {FILES} files and should be able to open {FILES + 2}: restart it",
    ]


def test_a_limit_that_the_host_cannot_give_is_not_asked_for(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_info, "ceiling", lambda *_texts: FILES)
    result = run({"unit": "a.service", "nofile": 1_000_000})
    assert (result["problems"], result["processes"][0]["wanted"]) == ([], FILES)


@pytest.mark.parametrize("entry", [{"unit": "b.service"}, {"unit": "unknown.service"}, {"program": "stopped"}, {"program": "unknown"}])
def test_what_does_not_run_is_a_problem(run, entry: dict[str, str]) -> None:
    (name,) = entry.values()
    result = run({**entry, "nofile": FILES})
    assert result["problems"] == [f"{name} does not run"]


def test_each_manager_is_asked_once_and_only_where_it_has_something(run) -> None:
    calls = run({"unit": "a.service", "nofile": 1}, {"unit": "b.service", "nofile": 1})["calls"]
    assert calls == ["systemctl show --property=Id,MainPID a.service b.service"]
    assert run({"program": "video", "nofile": 1})["calls"][1:] == ["supervisorctl status"]
    assert run()["calls"][2:] == []


@pytest.mark.parametrize("wrong", [{"nofile": 1}, {"unit": "a.service", "program": "a", "nofile": 1}, {"unit": "a.service"}])
def test_a_process_has_one_name_and_a_limit(run, wrong: dict[str, t.Any]) -> None:
    run(wrong, fails=True)
