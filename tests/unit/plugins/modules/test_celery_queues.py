# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module asks of the deployed release; its interpreter is a fake that keeps the question."""

from __future__ import annotations

import collections.abc as c
import json
import os
import pathlib
import pwd
import shutil
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.modules import celery_queues
from module_run import ModuleRun

ANSWER = {"queues": {"video": {"length": 2}}, "unacked": {"count": 1}}
OPTIONS = {"config_directory": "/etc/celery/proj", "user": pwd.getpwuid(os.geteuid()).pw_name, "queues": ["video", "default"]}


class Release:
    """The current release of an application, with an interpreter with given answers."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.python = root / "proj/current/venv/bin/python"
        self.python.parent.mkdir(parents=True)
        self.answer(f"echo 'a line of the application'; echo '{json.dumps(ANSWER)}'")

    def answer(self, script: str) -> None:
        self.python.write_text(f'#!/bin/sh\ncat > {self.root}/question\nenv > {self.root}/environment\nprintf "%s" "$3" > {self.root}/program\n{script}\n')
        self.python.chmod(0o755)

    @property
    def question(self) -> dict[str, t.Any]:
        return json.loads((self.root / "question").read_text())


@pytest.fixture(name="release")
def _release(tmp_path: pathlib.Path) -> Release:
    return Release(tmp_path)


@pytest.fixture(name="run")
def _run(release: Release, capsys: pytest.CaptureFixture[str]) -> c.Callable[..., dict[str, t.Any]]:
    run = ModuleRun(celery_queues, capsys)
    return lambda **options: run(**{**OPTIONS, "app_directory": str(release.root / "proj"), **options})


def test_the_answer_of_the_release_is_the_result(run) -> None:
    result = run()
    assert (result["queues"], result["unacked"], result["changed"]) == (ANSWER["queues"], ANSWER["unacked"], False)


def test_the_question_names_queues_bounds_and_the_release(run, release: Release) -> None:
    run(limit=10)
    question = release.question
    assert (question["action"], question["queues"], question["limit"]) == ("queues", ["video", "default"], 10)
    assert question["source"] == f"{release.root}/proj/current/src"
    program = (release.root / "program").read_text()
    assert '"queues"' in program and 'if __name__ == "__main__"' in program


def test_nothing_of_the_caller_reaches_the_application(run, release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "x")
    run()
    environment = (release.root / "environment").read_text()
    assert "SECRET_OF_THE_CALLER" not in environment and "CELERY_CONFIG_MODULE=celeryconfig" in environment


def test_check_mode_asks_too(run) -> None:
    assert run(check=True)["queues"] == ANSWER["queues"]


def test_a_release_that_ends_with_an_error_is_one(run, release: Release) -> None:
    release.answer("echo 'ConnectionError: no broker' >&2; exit 1")
    assert "ended with 1: ConnectionError: no broker" in run(fails=True)["msg"]


def test_an_error_shows_no_password(run, release: Release) -> None:
    release.answer("echo 'cannot reach redis://prod:a-password@192.0.2.1:6379/0' >&2; exit 1")
    message = run(fails=True)["msg"]
    assert "192.0.2.1" in message and "a-password" not in message


def test_a_host_without_a_release_is_an_error(run, release: Release) -> None:
    shutil.rmtree(release.root / "proj")
    assert "does not exist: deploy the application first" in run(fails=True)["msg"]


def test_queues_have_to_be_named(run) -> None:
    assert "queues" in run(fails=True, queues=None)["msg"]
