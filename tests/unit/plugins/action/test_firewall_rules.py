# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When rules are kept; the host is a list of what happens to each module that is sent to it."""

from __future__ import annotations

import typing as t
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.multinode.celery.plugins.action import firewall_rules
from ansible_collections.multinode.celery.plugins.action.firewall_rules import ActionModule

ARGS = {"table": "t", "unit": "t.service", "rules": "table inet t {}", "rollback_seconds": 10}
APPLIED = {"changed": True, "armed": True, "unit_active": False, "diff": {"after": "x"}}
HELD = {"changed": True, "armed": False, "held": True, "unit_active": False}
CUT = AnsibleConnectionFailure("no route")


class Host(ActionModule):
    """An action whose host gives the listed answers, the last one permanently, and counts new connections."""

    def __init__(self, *answers: t.Any, transport: str = "ssh") -> None:
        self._task = SimpleNamespace(check_mode=False, args=ARGS)
        self._connection = SimpleNamespace(transport=transport, reset=self.count)
        self.answers, self.steps, self.connections = list(answers), [], 0

    def count(self) -> None:
        self.connections += 1

    def validate_argument_spec(self, *_specs, **_others):
        return None, dict(ARGS)

    def _execute_module(self, module_name=None, module_args=None, **_others):
        self.steps.append((module_args["step"], self.connections))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(firewall_rules.ActionBase, "run", lambda *_args, **_others: {})
    monkeypatch.setattr(firewall_rules.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(firewall_rules.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))


@pytest.mark.parametrize("answer", [{"changed": False, "armed": False, "unit_active": True}, {"failed": True, "msg": "refused"}])
def test_where_nothing_was_applied_one_round_trip_is_all(answer: dict) -> None:
    host = Host(answer)
    assert host.run() == answer
    assert host.steps == [("apply", 0)]


def test_rules_are_confirmed_through_a_new_connection() -> None:
    host = Host(APPLIED, HELD)
    assert host.run() == {**APPLIED, "armed": False}
    assert host.steps == [("apply", 0), ("confirm", 1)]


def test_a_connection_that_succeeds_late_is_enough() -> None:
    host = Host(APPLIED, CUT, {"unreachable": True}, HELD)
    assert host.run()["changed"]
    assert host.connections == 3


def test_rules_that_end_the_connection_at_once_are_confirmed_too() -> None:
    host = Host(CUT, HELD)
    assert host.run() == {"changed": True, "armed": False, "unit_active": False}


@pytest.mark.parametrize("answers", [(APPLIED, CUT, {**HELD, "held": False}), (CUT, {**HELD, "held": False})])
def test_rules_that_the_host_took_back_are_a_failure(answers: tuple) -> None:
    result = Host(*answers).run()
    assert result["failed"] and result["rolled_back"]
    assert "previous rules again" in result["msg"]


def test_a_host_that_stays_away_is_a_failure() -> None:
    result = Host(APPLIED, CUT).run()
    assert result["failed"] and not result["rolled_back"]
    assert "does not answer" in result["msg"]


def test_a_local_connection_cannot_be_made_anew() -> None:
    host = Host(APPLIED, HELD, transport="local")
    assert host.run()["changed"]
    assert host.connections == 0
