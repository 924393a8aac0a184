# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import time

import pytest

from ansible_collections.multinode.celery.plugins.module_utils import _processes


def test_start_ticks_survive_a_command_with_spaces_and_parentheses():
    fields = " ".join(str(number) for number in range(3, 53))
    assert _processes.start_ticks(f"42 (a) b (c) {fields}") == 22


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


def test_tail_gives_the_last_lines_and_nothing_without_a_file(tmp_path):
    log = tmp_path / "log"
    log.write_text("1\n2\n3\n")
    assert _processes.tail(str(log), 2) == "2\n3"
    assert _processes.tail(str(tmp_path / "none"), 2) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sentinel://prod:pa:ss@10.0.0.1:26379/0", "sentinel://prod:**@10.0.0.1:26379/0"),
        ("redis://:x@h redis://:y@h", "redis://:**@h redis://:**@h"),
        ("video@cpu-1 ready", "video@cpu-1 ready"),
    ],
)
def test_passwords_of_urls_are_hidden(text, shown):
    assert _processes.redact(text) == shown
