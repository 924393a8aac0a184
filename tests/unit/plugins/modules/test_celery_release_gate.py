# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _celery_remote as remote
from ansible_collections.multinode.celery.plugins.modules import celery_release_gate as gate

GOOD = {"error": "", "unknown": {}, "trial": {"ok": True}}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (GOOD, ""),
        ({**GOOD, "trial": {}}, ""),
        ({**GOOD, "error": "ImportError: no proj"}, "cannot be imported\nImportError"),
        ({**GOOD, "unknown": {"default": {"proj.gone": 3, "proj.lost": 1}}}, "default: proj.gone (3), proj.lost (1)"),
        ({**GOOD, "trial": {"ok": False, "error": "executes no canary within 60 s", "output": "last words"}}, "60 s\nlast words"),
    ],
)
def test_why_a_release_may_not_be_deployed(answer, words):
    found = gate.objection("2.0.0", answer)
    assert words in found
    assert bool(found) == bool(words)


def test_waiting_tasks_that_a_release_does_not_know():
    queues = {"default": {"tasks": {"a": 1, "gone": 2, "": 5}}, "video": {"tasks": {"a": 1}}}
    found = remote.unknown_tasks(queues, {"tasks": {"gone": 1, "a": 1}}, {"a"})
    assert found == {"default": {"gone": 2}, "(held by workers)": {"gone": 1}}


def test_a_release_that_leaves_while_it_is_imported_is_refused(monkeypatch):
    def leave(_request):
        raise SystemExit("no licence")

    monkeypatch.setattr(remote, "load_release", leave)
    assert "SystemExit: no licence" in remote.examine_release({})["error"]
