# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import time

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _processes

MAPS = """\
561b3e6c1000-561b3e821000 r-xp 00055000 fe:01 1045 /usr/bin/redis-check-rdb.dpkg-tmp (deleted)
561b3e821000-561b3e8a4000 r--p 001b5000 fe:01 1045 /usr/bin/redis-check-rdb.dpkg-tmp (deleted)
7f1f5c5a3000-7f1f5c5c9000 r-xp 00000000 fe:01 1718 /usr/lib/x86_64-linux-gnu/libc.so.6
7f1f5c7a3000-7f1f5c7c9000 r-xp 00000000 fe:01 1719 /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)
7f1f5c9a3000-7f1f5c9c9000 rw-s 00000000 00:01 2048 /dev/zero (deleted)
7ffd8c9fb000-7ffd8ca1c000 rw-p 00000000 00:00 0 [stack]
"""


def make_process(proc, number, stat):
    (proc / str(number)).mkdir()
    (proc / str(number) / "stat").write_text(stat)


def test_fields_survive_a_command_with_spaces_and_parentheses(tmp_path):
    make_process(tmp_path, 42, "42 (a) b (c) " + " ".join(str(number) for number in range(3, 53)))
    fields = _processes.stat_fields(42, str(tmp_path))
    assert (fields[0], fields[19]) == ("3", "22")
    assert _processes.stat_fields(43, str(tmp_path)) == []


def test_the_start_of_a_process_is_counted_from_boot(tmp_path, monkeypatch):
    make_process(tmp_path, 42, "42 (a name) with) brackets) S " + " ".join(["0"] * 18) + " 5000 0 0")
    monkeypatch.setattr(_processes.os, "sysconf", lambda _name: 100)
    monkeypatch.setattr(_processes.time, "clock_gettime", lambda _clock: 80.0)
    monkeypatch.setattr(_processes.time, "time", lambda: 1000.0)
    assert _processes.started_at(42, str(tmp_path)) == pytest.approx(970.0)
    make_process(tmp_path, 43, "43 (cut) S 1 2")
    assert _processes.started_at(43, str(tmp_path)) is None


def test_this_process_started_before_now():
    start = _processes.started_at(os.getpid())
    assert start is not None
    assert time.time() - 86400 < start < time.time()
    assert _processes.started_at(2**30) is None


def test_the_first_path_newer_than_the_process_is_found(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    new.touch()
    start = _processes.started_at(os.getpid())
    os.utime(old, (start - 10, start - 10))
    os.utime(new, (start + 10, start + 10))
    paths = [str(tmp_path / "missing"), str(old), str(new)]
    assert _processes.newer_path(os.getpid(), paths) == str(new)
    assert _processes.newer_path(os.getpid(), paths[:2]) is None
    assert _processes.newer_paths(os.getpid(), [*paths, str(new)]) == [str(new)] * 2
    # Of a process that is gone nothing is known.
    assert _processes.newer_paths(2**30, paths) == []


def test_a_path_written_as_the_process_started_is_not_newer(tmp_path):
    path = tmp_path / "path"
    path.touch()
    start = _processes.started_at(os.getpid())
    os.utime(path, (start, start + _processes.TOLERANCE_SECONDS / 2))
    assert _processes.newer_paths(os.getpid(), [str(path)]) == []
    os.utime(path, (start, start + 1))
    assert _processes.newer_paths(os.getpid(), [str(path)]) == [str(path)]


def test_of_a_link_the_link_itself_counts(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("")
    os.utime(target, (1, 1))
    link.symlink_to(target)
    moment = time.time() - 60
    assert _processes.newer_than([str(target), str(link), str(tmp_path / "missing")], moment) == [str(link)]


def test_a_switched_link_counts_and_its_target_does_not(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.touch()
    link.symlink_to(target)
    start = _processes.started_at(os.getpid())
    os.utime(link, (start - 10, start - 10), follow_symlinks=False)
    os.utime(target, (start + 10, start + 10))
    assert _processes.newer_path(os.getpid(), [str(link)]) is None
    os.utime(link, (start + 10, start + 10), follow_symlinks=False)
    assert _processes.newer_path(os.getpid(), [str(link)]) == str(link)


def test_code_that_an_upgrade_replaced_asks_for_a_restart() -> None:
    """Data and shared memory that were deleted do not."""
    assert _processes.replaced_code(MAPS) == ["/usr/bin/redis-check-rdb.dpkg-tmp", "/usr/lib/x86_64-linux-gnu/libssl.so.3"]
    assert _processes.replaced_code("") == []


def test_what_calls_for_a_restart_is_files_and_code(tmp_path):
    """Of this process, whose code nobody replaced."""
    path = tmp_path / "unit"
    path.touch()
    os.utime(path, (time.time() + 10, time.time() + 10))
    assert _processes.restart_paths(os.getpid(), [str(path)]) == [str(path)]


def test_tail_gives_the_last_lines_and_nothing_without_a_file(tmp_path):
    log = tmp_path / "log"
    log.write_text("1\n2\n3\n")
    assert _processes.tail(str(log), 2) == "2\n3"
    assert _processes.tail(str(tmp_path / "none"), 2) == ""
