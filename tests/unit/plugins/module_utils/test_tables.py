# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.multinode.celery.plugins.module_utils import _tables


def test_each_column_is_as_wide_as_its_longest_cell():
    rows = [("node", "seconds"), ("video@cpu-1", "2.0"), ("a", "100.25")]
    assert _tables.aligned(rows) == ["node        | seconds", "video@cpu-1 | 2.0", "a           | 100.25"]
    assert _tables.aligned([]) == []


def test_a_cell_that_is_too_long_moves_the_rest():
    assert _tables.line(["abc", "x"], (2, 4), "  ") == "abc  x"
