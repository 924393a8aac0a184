# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module sends to a running Redis, which is a fake, and what it tells."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.modules import redis_config
from fake_redis import FakeRedis
from module_run import ModuleRun

CONFIG = "maxmemory 1gb\nappendonly yes\n"
LIVE = {"maxmemory": "1073741824", "appendonly": "yes", "databases": "16", "masteruser": "", "masterauth": "", "save": "3600 1"}
HASH = "#" + "a" * 64
ADMIN = ["on", HASH, "~*", "&*", "+@all"]
ACL = f"user admin on {HASH} ~* &* +@all\nuser prod on {HASH} ~prod:* resetchannels -@all +get\n"


class Redis(FakeRedis):
    """One that writes a value in its own way."""

    def do_config_set(self, *argv: str) -> bool:
        return super().do_config_set(*["AKE" if word == "KEA" else word for word in argv])


@pytest.fixture(name="redis")
def _redis() -> c.Iterator[Redis]:
    with Redis({"admin": "secret"}) as redis:
        redis.settings = dict(LIVE)
        redis.users = {"default": ["off", "-@all"], "admin": list(ADMIN)}
        yield redis


@pytest.fixture(name="run")
def _run(redis: Redis, capsys: pytest.CaptureFixture[str]) -> c.Callable[..., dict[str, t.Any]]:
    run = ModuleRun(redis_config, capsys)
    return lambda **options: run(**{"port": redis.port, "password": "secret", "wait_seconds": 0, "config": CONFIG, **options})


def changing(redis: Redis) -> list[list[str]]:
    """Commands that change something, without the user that nobody can be."""
    return [argv for argv in redis.commands if argv[1:2] and argv[1] in ("SET", "SETUSER", "DELUSER") and not argv[2].startswith("probe-")]


def test_settings_that_mean_the_same_are_left_alone(run, redis) -> None:
    result = run()
    assert (result["changed"], result["settings"], result["restart_required"], result["unknown_keys"]) == (False, [], False, [])
    assert changing(redis) == []


def test_a_setting_is_changed_at_run_time(run, redis) -> None:
    result = run(config="maxmemory 2gb\nappendonly yes\n")
    assert (result["changed"], result["settings"]) == (True, ["maxmemory"])
    assert redis.settings["maxmemory"] == "2gb"
    assert result["diff"] == {"before": "maxmemory 1073741824\n", "after": "maxmemory 2gb\n"}


def test_check_mode_reports_and_sends_nothing(run, redis) -> None:
    result = run(check=True, config="maxmemory 2gb\n", acl=ACL)
    assert (result["changed"], result["settings"], result["users"]) == (True, ["maxmemory"], ["prod"])
    assert changing(redis) == [] and redis.settings == LIVE and set(redis.users) == {"default", "admin"}


def test_what_redis_itself_finds_equal_is_no_change(run, redis) -> None:
    redis.settings["notify-keyspace-events"] = "AKE"
    result = run(config="notify-keyspace-events KEA\n")
    assert changing(redis) and (result["changed"], result["settings"]) == (False, [])


@pytest.mark.parametrize("check", [True, False])
def test_a_setting_of_the_start_asks_for_a_restart(run, redis, check: bool) -> None:
    result = run(check=check, config="databases 32\n")
    assert (result["changed"], result["restart_keys"], result["restart_required"]) == (False, ["databases"], True)
    assert redis.settings["databases"] == "16"


def test_a_setting_that_turns_out_to_be_one_of_the_start_does_not_keep_the_others_back(run, redis) -> None:
    redis.immutable.add("save")
    result = run(config="save 60 1\nmaxmemory 2gb\n")
    assert (result["settings"], result["restart_keys"]) == (["maxmemory"], ["save"])
    assert (redis.settings["maxmemory"], redis.settings["save"]) == ("2gb", "3600 1")


def test_a_setting_that_this_redis_does_not_know_is_reported(run, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    # Where Ansible's controller was imported too, a warning goes to its display instead of the result.
    monkeypatch.setattr(redis_config.AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    result = run(config="maxmemory 1gb\nfuture-setting 1\n")
    assert (result["changed"], result["unknown_keys"]) == (False, ["future-setting"])
    assert warnings == ["This Redis does not know: future-setting"]


def test_the_password_of_the_replication_is_set_and_not_shown(run, redis) -> None:
    result = run(replication_user="replication", replication_password="a-new-password")
    assert (redis.settings["masteruser"], redis.settings["masterauth"]) == ("replication", "a-new-password")
    assert result["settings"] == ["masterauth", "masteruser"]
    assert "masterauth ..." in result["diff"]["after"] and "a-new-password" not in str(result)


def test_users_are_set_and_deleted(run, redis) -> None:
    redis.users["gone"] = ["on", HASH, "+@all"]
    result = run(acl=ACL)
    assert (result["changed"], result["users"]) == (True, ["gone", "prod"])
    # The user of the server itself stays, and nobody who only stood for a comparison does.
    assert set(redis.users) == {"default", "admin", "prod"}
    assert redis.users["prod"] == ["on", HASH, "~prod:*", "resetchannels", "-@all", "+get"]
    assert redis.sent("ACL", "SETUSER", "prod")[0][3] == "reset", "it has no other rights in between"
    assert "a" * 64 not in str(result["diff"])
    redis.commands.clear()
    assert not run(acl=ACL)["changed"] and changing(redis) == []


def test_without_users_none_are_compared(run, redis) -> None:
    run(acl="")
    assert not redis.sent("ACL", "SETUSER") and not redis.sent("ACL", "DELUSER")


def test_files_that_are_newer_than_the_process_ask_for_a_restart(run, tmp_path: pathlib.Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.touch()
    old.touch()
    os.utime(old, (1, 1))
    result = run(definition_paths=[str(new), str(old), str(tmp_path / "missing")])
    assert (result["restart_paths"], result["restart_required"], result["changed"]) == ([str(new)], True, False)


def test_the_previous_password_is_good_enough(run) -> None:
    assert not run(password="next", previous_password="secret")["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_a_refused_password_is_an_error(run, check: bool) -> None:
    assert "cannot be asked for its settings" in run(check=check, fails=True, password="other")["msg"]


def test_a_redis_that_does_not_run_yet_counts_as_up_to_date_in_check_mode_alone(capsys) -> None:
    with FakeRedis() as gone:
        port = gone.port
    run = ModuleRun(redis_config, capsys)
    result = run(check=True, port=port, password="secret", wait_seconds=0)
    assert not result["changed"] and "does not run yet" in result["msg"]
    assert "nothing listens there" in run(fails=True, port=port, password="secret", wait_seconds=0)["msg"]
