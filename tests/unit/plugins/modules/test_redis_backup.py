# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import pathlib
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.modules import redis_backup, redis_restore, sentinel_members


class Module:
    """A module whose commands have given results."""

    def __init__(self, code: int = 0) -> None:
        self.code = code

    def run_command(self, argv: list[str]) -> tuple[int, str, str]:
        """Return how the command ended."""
        return self.code, "", "bad" if self.code else ""


@pytest.fixture
def dump(tmp_path: pathlib.Path) -> pathlib.Path:
    """A file with its checksum beside it."""
    path = tmp_path / "celery-20261122T180000Z.rdb"
    path.write_bytes(b"REDIS")
    pathlib.Path(f"{path}.sha256").write_text(f"{hashlib.sha256(b'REDIS').hexdigest()}  {path.name}\n")
    return path


def check(path: pathlib.Path, sha256: str = "", code: int = 0) -> None:
    """Check a dump."""
    redis_restore.check_dump(t.cast(t.Any, Module(code)), str(path), sha256)


def test_a_dump_with_its_checksum_is_accepted(dump: pathlib.Path) -> None:
    """Whoever computes the checksum."""
    check(dump)
    check(dump, hashlib.sha256(b"REDIS").hexdigest().upper())


def test_a_damaged_dump_is_refused(dump: pathlib.Path) -> None:
    """So is one that Redis cannot read, one without checksum, and none."""
    dump.write_bytes(b"RODIS")
    with pytest.raises(redis_restore.RestoreError, match="is not what was saved"):
        check(dump)
    with pytest.raises(redis_restore.RestoreError, match="redis-check-rdb"):
        check(dump, hashlib.sha256(b"RODIS").hexdigest(), code=1)
    pathlib.Path(f"{dump}.sha256").unlink()
    with pytest.raises(redis_restore.RestoreError, match="is not known"):
        check(dump)
    dump.unlink()
    with pytest.raises(redis_restore.RestoreError, match="does not exist"):
        check(dump)


def test_the_oldest_dumps_go() -> None:
    """What is no complete dump of this group stays, and one dump always does."""
    names = [f"celery-2026112{day}T000000Z.rdb" for day in (3, 1, 2)]
    others = ["celery-20261101T000000Z.rdb.json", "other-20261101T000000Z.rdb", "restore.rdb", "celery-20261101T000000Z.rdb.partial"]
    assert redis_backup.superfluous([*names, *others], "celery", 2) == ["celery-20261121T000000Z.rdb"]
    assert len(redis_backup.superfluous(names, "celery", 0)) == 2
    assert redis_backup.superfluous([redis_backup.dump_name("celery", 0), names[0]], "celery", 1) == ["celery-19700101T000000Z.rdb"]


def test_a_dump_is_complete_when_it_ended() -> None:
    """Redis counts it when it begins."""
    assert redis_backup.unfinished({"rdb_saves": "3", "rdb_bgsave_in_progress": "0"}, 3) == "not begun"
    assert redis_backup.unfinished({"rdb_saves": "4", "rdb_bgsave_in_progress": "1"}, 3) == "in progress"
    assert redis_backup.unfinished({"rdb_saves": "4", "rdb_bgsave_in_progress": "0"}, 3) == ""


def test_a_dump_is_kept_for_root_alone(tmp_path: pathlib.Path) -> None:
    """Whole or not at all."""
    source, target = tmp_path / "dump.rdb", tmp_path / "kept.rdb"
    source.write_bytes(b"x" * (1 << 20) + b"y")
    assert redis_backup.keep_file(str(source), str(target)) == hashlib.sha256(source.read_bytes()).hexdigest()
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump.rdb", "kept.rdb"]


def test_addresses_that_a_sentinel_lists() -> None:
    """Of replicas and of other Sentinels alike."""
    rows = [["name", "x", "ip", "192.0.2.5", "port", "26379", "flags", "s_down"], ["name", "y", "ip", "192.0.2.6", "port", "6379"]]
    assert sentinel_members.listed(rows) == {"192.0.2.5:26379", "192.0.2.6:6379"}
