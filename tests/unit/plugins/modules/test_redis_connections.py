# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.multinode.celery.plugins.module_utils._redis_client import parse_clients
from ansible_collections.multinode.celery.plugins.modules import redis_connections

LISTING = """\
id=7 addr=192.0.2.21:50312 laddr=192.0.2.11:6379 fd=9 name=proj@cpu-1 age=100 idle=0 user=prod lib-name= lib-ver=
id=8 addr=192.0.2.99:40000 laddr=192.0.2.11:6379 fd=10 name= age=1 idle=0 user=prod
id=9 addr=192.0.2.99:40001 laddr=192.0.2.11:6379 fd=11 name= age=5000 idle=0 user=other
"""


@pytest.mark.parametrize(
    ("oldest", "addresses", "found"),
    [
        (50, ["192.0.2.21", "192.0.2.99"], [("7", "older than the new password")]),
        (99, ["192.0.2.21", "192.0.2.99"], []),
        (200, ["192.0.2.21"], [("8", "from a host that is not known")]),
        (200, ["192.0.2.2"], [("7", "from a host that is not known"), ("8", "from a host that is not known")]),
    ],
)
def test_what_is_old_or_unlisted_is_found(oldest, addresses, found) -> None:
    rows = redis_connections.doubtful(parse_clients(LISTING), ["prod"], oldest, addresses)
    assert [(row["id"], row["why"]) for row in rows] == found


def test_a_connection_is_named_so_that_its_program_is_found() -> None:
    row = redis_connections.doubtful(parse_clients(LISTING), ["prod"], 50, ["192.0.2.21", "192.0.2.99"])[0]
    assert (row["user"], row["address"], row["name"], row["age_seconds"]) == ("prod", "192.0.2.21:50312", "proj@cpu-1", 100)
