# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.multinode.celery.plugins.modules import celery_drain


def test_the_marker_is_read_as_environment_and_keeps_to_one_line():
    lines = celery_drain.marker_text("new kernel\nMULTINODE_AUTOSTART=true", 0).splitlines()
    assert lines[1:] == [
        "MULTINODE_AUTOSTART=false",
        "MULTINODE_DRAINED_AT=1970-01-01T00:00:00Z",
        "MULTINODE_DRAINED_REASON='new kernel MULTINODE_AUTOSTART=true'",
    ]
