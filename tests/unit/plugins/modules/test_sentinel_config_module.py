# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module sends to a running Sentinel, which is a fake, and what it tells."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.modules import sentinel_config
from fake_redis import FakeRedis
from module_run import ModuleRun

HASH = "#" + "b" * 64
ACL = f"user admin on {HASH} ~* &* +@all\nuser peer on {HASH} resetchannels -@all +ping\n"
# What a Sentinel does not report is in its own file.
STATE = "sentinel monitor celery 192.0.2.1 6379 2\nsentinel auth-pass celery master-password\nsentinel auth-user celery sentinel\n"


@pytest.fixture(name="sentinel")
def _sentinel() -> c.Iterator[FakeRedis]:
    with FakeRedis({"admin": "secret"}) as sentinel:
        sentinel.masters = {"celery": {"ip": "192.0.2.1", "port": "6379", "quorum": "2", "down-after-milliseconds": "3000", "flags": "master"}}
        sentinel.sentinel_settings = {"sentinel-user": "peer", "sentinel-pass": "peer-password", "announce-ip": "192.0.2.1"}
        sentinel.users = {"default": ["off", "-@all"], "admin": ["on", HASH, "~*", "&*", "+@all"]}
        yield sentinel


@pytest.fixture(name="run")
def _run(sentinel: FakeRedis, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> c.Callable[..., dict[str, t.Any]]:
    run, state = ModuleRun(sentinel_config, capsys), tmp_path / "sentinel.conf"
    state.write_text(STATE)
    wanted = {
        "port": sentinel.port, "password": "secret", "wait_seconds": 0, "master_address": "192.0.2.1", "quorum": 2, "auth_user": "sentinel",
        "auth_password": "master-password", "peer_user": "peer", "peer_password": "peer-password", "state_path": str(state),
        "master_settings": {"down-after-milliseconds": 3000}, "settings": {"announce-ip": "192.0.2.1"},
    }  # fmt: skip
    return lambda **options: run(**{**wanted, **options})


def changing(sentinel: FakeRedis) -> list[list[str]]:
    """Commands that change something, without the user that nobody can be."""
    verbs = [["SENTINEL", "SET"], ["SENTINEL", "MONITOR"], ["SENTINEL", "REMOVE"], ["ACL", "SETUSER"], ["ACL", "DELUSER"]]
    sent = [argv for argv in sentinel.commands if argv[:2] in verbs or argv[:3] == ["SENTINEL", "CONFIG", "SET"]]
    return [argv for argv in sent if not argv[2].startswith("probe-")]


def test_a_sentinel_that_is_as_it_should_be_is_left_alone(run, sentinel) -> None:
    result = run()
    assert (result["changed"], result["settings"], result["restart_required"]) == (False, [], False)
    assert changing(sentinel) == []


def test_settings_of_the_master_and_of_the_sentinel_are_changed(run, sentinel) -> None:
    result = run(quorum=3, master_settings={"down-after-milliseconds": 5000}, settings={"announce-ip": "192.0.2.9"})
    assert result["settings"] == ["announce-ip", "down-after-milliseconds", "quorum"]
    assert (sentinel.masters["celery"]["quorum"], sentinel.masters["celery"]["down-after-milliseconds"]) == ("3", "5000")
    assert sentinel.sentinel_settings["announce-ip"] == "192.0.2.9"
    assert "quorum 2\n" in result["diff"]["before"] and "quorum 3\n" in result["diff"]["after"]


def test_passwords_are_changed_and_not_shown(run, sentinel) -> None:
    result = run(auth_password="a-new-one", peer_password="another-new-one")
    assert result["settings"] == ["auth-pass", "sentinel-pass"]
    assert (sentinel.masters["celery"]["auth-pass"], sentinel.sentinel_settings["sentinel-pass"]) == ("a-new-one", "another-new-one")
    shown = str(result)
    assert "auth-pass ..." in result["diff"]["after"]
    assert not [word for word in ("a-new-one", "another-new-one", "master-password", "peer-password") if word in shown]


def test_check_mode_reports_and_sends_nothing(run, sentinel) -> None:
    result = run(check=True, quorum=3, acl=ACL)
    assert (result["changed"], result["settings"], result["users"]) == (True, ["quorum"], ["peer"])
    assert changing(sentinel) == [] and sentinel.masters["celery"]["quorum"] == "2"


def test_a_master_that_is_known_is_never_moved(run, sentinel) -> None:
    assert not run(master_address="192.0.2.2")["changed"]
    assert sentinel.masters["celery"]["ip"] == "192.0.2.1" and changing(sentinel) == []


def test_a_master_that_is_unknown_is_watched_from_now_on(run, sentinel) -> None:
    sentinel.masters.clear()
    result = run(master_address="192.0.2.2", master_port=6380)
    assert sentinel.sent("SENTINEL", "MONITOR") == [["SENTINEL", "MONITOR", "celery", "192.0.2.2", "6380", "2"]]
    assert "monitor" in result["settings"] and sentinel.masters["celery"]["down-after-milliseconds"] == "3000"


def test_check_mode_watches_nothing(run, sentinel) -> None:
    sentinel.masters.clear()
    result = run(check=True)
    assert result["changed"] and "monitor" in result["settings"] and sentinel.masters == {}


def test_another_masters_state_is_not_taken_for_this_ones(run, sentinel, tmp_path: pathlib.Path) -> None:
    (tmp_path / "sentinel.conf").write_text(STATE.replace("celery", "other"))
    assert run()["settings"] == ["auth-pass", "auth-user"]


def test_users_are_set_and_deleted(run, sentinel) -> None:
    sentinel.users["gone"] = ["on", HASH, "+@all"]
    result = run(acl=ACL)
    assert result["users"] == ["gone", "peer"]
    assert set(sentinel.users) == {"default", "admin", "peer"}
    assert "b" * 64 not in str(result["diff"])
    sentinel.commands.clear()
    assert not run(acl=ACL)["changed"] and changing(sentinel) == []


def test_files_that_are_newer_than_the_process_ask_for_a_restart(run, tmp_path: pathlib.Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.touch()
    old.touch()
    os.utime(old, (1, 1))
    result = run(definition_paths=[str(new), str(old)])
    assert (result["restart_paths"], result["restart_required"], result["changed"]) == ([str(new)], True, False)


def test_a_sentinel_that_does_not_run_yet_counts_as_up_to_date_in_check_mode_alone(run) -> None:
    with FakeRedis() as gone:
        port = gone.port
    assert "does not run yet" in run(check=True, port=port)["msg"]
    assert "cannot be asked for its settings" in run(fails=True, port=port)["msg"]
