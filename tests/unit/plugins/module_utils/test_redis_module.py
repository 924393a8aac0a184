# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm


class Failed(Exception):
    """The module has failed."""


class Module:
    """What the functions need of an AnsibleModule."""

    def __init__(self, check_mode: bool) -> None:
        self.check_mode = check_mode
        self.params = {"wait_seconds": 30.0}

    def fail_json(self, msg: str) -> t.NoReturn:
        """End the module."""
        raise Failed(msg)


class Client:
    """A connection."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *unused: object) -> None:
        pass


@pytest.mark.parametrize(("check_mode", "wait"), [(False, 30.0), (True, 0)])
def test_a_server_that_answers_is_configured(monkeypatch: pytest.MonkeyPatch, check_mode: bool, wait: float) -> None:
    """Check mode waits for none that may be starting."""
    waited = []

    def opened(params: dict[str, t.Any]) -> Client:
        waited.append(params["wait_seconds"])
        return Client()

    monkeypatch.setattr(rm, "open_server", opened)
    result = rm.configure(Module(check_mode), "Redis", lambda client, params, check: {"check": check, "wait": params["wait_seconds"]})
    assert (result, waited) == ({"check": check_mode, "wait": 30.0}, [wait])


@pytest.mark.parametrize(
    ("check_mode", "error", "words"),
    [
        (False, rc.Unavailable(rc.REFUSED, "nothing listens"), "Redis cannot be asked for its settings: nothing listens"),
        (True, rc.Unavailable(rc.DENIED, "user admin is refused"), "Redis cannot be asked for its settings: user admin"),
        (True, rc.ReplyError("ERR unknown"), "Redis refuses a setting or a user: ERR unknown"),
    ],
)
def test_a_server_that_cannot_be_configured_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, check_mode: bool, error: Exception, words: str
) -> None:
    """In check mode too, where it runs."""

    def refuse(*unused: object) -> t.NoReturn:
        raise error

    monkeypatch.setattr(rm, "open_server", lambda params: Client())
    with pytest.raises(Failed, match=words):
        rm.configure(Module(check_mode), "Redis", refuse)


def test_one_that_does_not_run_yet_is_up_to_date_in_check_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a clean host."""

    def refuse(params: dict[str, t.Any]) -> t.NoReturn:
        raise rc.Unavailable(rc.REFUSED, "nothing listens")

    monkeypatch.setattr(rm, "open_server", refuse)
    result = rm.configure(Module(True), "Sentinel", lambda *unused: {"changed": True})
    assert (result["changed"], result["restart_required"]) == (False, False)
    assert result["msg"].startswith("Sentinel does not run yet")
