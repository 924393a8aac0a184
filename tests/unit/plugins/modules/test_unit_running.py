# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.multinode.celery.plugins.modules.unit_running import decide, newer_than, started_at, wall_clock


def test_the_start_of_a_process_is_counted_from_boot():
    line = "42 (a name) with) brackets) S " + " ".join(["0"] * 18) + " 5000 0 0"
    assert started_at(line, 100, since_boot=80.0, now=1000.0) == pytest.approx(970.0)


def test_the_start_of_this_process_is_not_in_the_future():
    with open("/proc/self/stat", encoding="utf-8") as file:
        begun = started_at(file.read(), os.sysconf("SC_CLK_TCK"), time.clock_gettime(time.CLOCK_BOOTTIME), time.time())
    assert time.time() - 3600 < begun < time.time()


def test_of_a_link_the_link_itself_counts(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("")
    os.utime(target, (1, 1))
    link.symlink_to(target)
    moment = time.time() - 60
    assert newer_than([str(target), str(link), str(tmp_path / "missing")], moment) == [str(link)]


@pytest.mark.parametrize(
    ("active", "enabled", "newer", "action"),
    [(True, True, [], "none"), (True, False, [], "enabled"), (True, True, ["/x"], "restarted"), (False, True, ["/x"], "started")],
)
def test_what_is_done(active, enabled, newer, action):
    assert decide(active, enabled, newer) == action


@pytest.mark.parametrize(("newer", "action"), [([], "reloaded"), (["/unit"], "restarted")])
def test_a_restart_makes_a_reload_needless(newer, action):
    assert decide(True, True, newer, ["/certificate"]) == action


def test_the_last_change_of_state_is_counted_from_boot():
    assert wall_clock(70_000_000, monotonic_now=100.0, now=1000.0) == pytest.approx(970.0)
