# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host gives to a bundle, and that no secret is in it: of the module, and of the action once more."""

from __future__ import annotations

import collections.abc as c
import pathlib
import stat
import typing as t
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.multinode.celery.plugins.action import support_bundle as action
from ansible_collections.multinode.celery.plugins.modules import support_bundle
from module_run import ModuleRun

SECRET = "correct-horse-battery"


@pytest.fixture(name="run")
def _run(capsys: pytest.CaptureFixture[str]) -> c.Callable[..., dict[str, str]]:
    run = ModuleRun(support_bundle, capsys)
    return lambda **options: run(**{"directory": "/unused", **options})["texts"]


def test_files_are_found_by_their_patterns(run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.log").write_text("one\n")
    (tmp_path / "b.log").write_text("two\n")
    (tmp_path / "c.log").mkdir()
    texts = run(files=[f"{tmp_path}/*.log", f"{tmp_path}/missing"])
    assert texts == {f"files{tmp_path}/a.log": "one\n", f"files{tmp_path}/b.log": "two\n"}


def test_of_a_long_file_the_end_is_kept_from_a_whole_line_on(run, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "long.log"
    path.write_text("password: " + "x" * 50 + "\nlast line\n")
    assert run(files=[str(path)], bytes_max=30) == {f"files{path}": "last line\n"}


def test_bytes_that_are_no_text_do_no_harm(run, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "binary.log"
    path.write_bytes(b"ok \xff\n")
    assert run(files=[str(path)])[f"files{path}"].startswith("ok ")


def test_a_file_that_cannot_be_read_is_reported(run, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.log").touch()

    def refused(_path: str, _most: int) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(support_bundle, "end_of", refused)
    assert run(files=[f"{tmp_path}/a.log"]) == {f"files{tmp_path}/a.log": "not read: Permission denied\n"}


def test_commands_are_shown_with_what_they_print_and_how_they_end(run) -> None:
    texts = run(commands={"good.txt": "echo 'one  two'", "bad.txt": "sh -c 'echo out; echo err >&2; exit 3'", "gone.txt": "no-such-program-here"})
    assert texts["commands/good.txt"] == "$ echo 'one  two'\none  two\n"
    assert texts["commands/bad.txt"] == "$ sh -c 'echo out; echo err >&2; exit 3'\nout\nerr\nended with 3"
    assert "ended with 127" in texts["commands/gone.txt"]


def test_a_command_that_hangs_is_ended(run) -> None:
    assert "ended with 124" in run(commands={"slow.txt": "sleep 30"}, timeout_seconds=1)["commands/slow.txt"]


def test_no_variable_and_no_second_command_is_read_from_a_command(run) -> None:
    assert run(commands={"x.txt": "echo $HOME ; id"})["commands/x.txt"] == "$ echo $HOME ; id\n$HOME ; id\n"


def test_secrets_are_left_out_of_files_and_of_commands(run, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "app.conf"
    # Ansible takes out the values that it knows; a password that the inventory does not have is found by the text around it.
    path.write_text(f"url = redis://prod:of-somebody-else@192.0.2.1/0\nother = {SECRET}\nport = 6379\n")
    texts = run(files=[str(path)], commands={"echo.txt": f"echo {SECRET} redis://prod:of-somebody-else@192.0.2.1/0"}, secrets=[SECRET])
    assert len(texts) == 2 and all("192.0.2.1" in text for text in texts.values())
    assert SECRET not in str(texts) and "of-somebody-else" not in str(texts)
    assert "port = 6379" in texts[f"files{path}"]


class Action(action.ActionModule):
    """The action with a host of given answers."""

    def __init__(self, directory: pathlib.Path, answer: dict[str, t.Any] | Exception) -> None:
        self._task = SimpleNamespace(args={"directory": str(directory), "files": ["/x"]})
        self._loader = self._templar = None
        self.answer, self.reported = answer, {}

    def _execute_module(self, module_name: str | None = None, module_args: dict[str, t.Any] | None = None, **_others: t.Any) -> dict[str, t.Any]:
        self.reported = {"module": module_name, **(module_args or {})}
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(name="collect")
def _collect(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> c.Callable[..., tuple[dict[str, t.Any], dict[str, t.Any]]]:
    monkeypatch.setattr(action, "secrets_of", lambda *_arguments: {SECRET})
    monkeypatch.setattr(action, "RoleFiles", lambda _loader: None)
    monkeypatch.setattr(action.ActionModule, "_known", lambda *_arguments: (["/etc/placed"], ["/var/log/x/*.log"], {"firewall: files": f"no {SECRET}"}))
    monkeypatch.setattr(action.ActionBase, "run", lambda *_args, **_others: {})

    def collect(answer: dict[str, t.Any] | Exception) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        one = Action(tmp_path, answer)
        return one.run(task_vars={"inventory_hostname": "cpu-1", "hostvars": {}}), one.reported

    return collect


def test_the_host_is_reported_every_secret_and_what_it_gives_is_kept_for_its_owner_alone(collect, tmp_path: pathlib.Path) -> None:
    result, reported = collect({"texts": {"files/etc/a": "one\n", "commands/b.txt": f"leaked {SECRET}\n"}})
    files = ["/etc/placed", "/var/log/x/*.log", "/x"]
    assert reported == {"module": "multinode.celery.support_bundle", "directory": str(tmp_path), "files": files, "secrets": [SECRET]}
    assert result == {"changed": False, "status": "ok", "message": "", "files": 2}
    assert (tmp_path / "cpu-1/files/etc/a").read_text() == "one\n"
    assert (tmp_path / "cpu-1/unknown.txt").read_text() == "firewall: files: no (hidden)\n"
    # What slipped through the module's hands does not slip through here.
    assert SECRET not in (tmp_path / "cpu-1/commands/b.txt").read_text()
    assert stat.S_IMODE((tmp_path / "cpu-1/files/etc/a").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("answer", "status", "word"),
    [
        (AnsibleConnectionFailure("no route to host"), "unreachable", "no route to host"),
        ({"failed": True, "msg": f"bad {SECRET}"}, "failed", "bad"),
        ({}, "failed", "gave nothing"),
    ],
)
def test_a_host_that_gives_nothing_leaves_a_note(collect, tmp_path: pathlib.Path, answer: t.Any, status: str, word: str) -> None:
    result, _answer = collect(answer)
    assert (result["status"], result["files"]) == (status, 0) and word in result["message"]
    note = (tmp_path / "cpu-1/status.txt").read_text()
    assert note.startswith(f"{status}: ") and word in note and SECRET not in str(result) + note
