# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.multinode.celery.plugins.modules.unit_running import decide, wall_clock


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
