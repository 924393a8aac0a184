#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_connections
short_description: Find connections that may still rest on a previous password
version_added: "1.0.0"
description:
  - A connection stays open when the password that opened it is no longer valid, and Redis does not report with which password that was.
  - So this module names connections of O(users) and O(sentinel_users) that were opened before O(since), when no other password existed,
    and those that come from other addresses than O(addresses), of which nothing is known.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.group
options:
  users:
    description: ACL users of Redis whose password changes.
    type: list
    elements: str
    default: []
  sentinel_users:
    description: ACL users of the Sentinels whose password changes.
    type: list
    elements: str
    default: []
  since:
    description: When the new passwords were made, in seconds since 1970.
    type: float
    required: true
  addresses:
    description: Addresses whose programs are known to use the new passwords for new connections.
    type: list
    elements: str
    default: []
  close:
    description: Whether such connections are closed.
    type: bool
    default: false
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Query connections of programs that were not restarted
  multinode.celery.redis_connections:
    brokers: "{{ redis_connection }}"
    users: [prod]
    since: 1790000000
    addresses: [192.0.2.21, 192.0.2.22]
  run_once: true
"""

RETURN = r"""
connections:
  description: What was found.
  type: list
  elements: dict
  returned: success
  sample:
    - {host: broker-1, server: redis, user: prod, address: "192.0.2.31:50312", name: "proj@cpu-1", age_seconds: 7200, why: older than the new password}
closed:
  description: How many of them were closed.
  type: int
  returned: success
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_group as rg
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm

# Redis counts ages in whole seconds.
TOLERANCE_SECONDS = 2


def doubtful(connections: t.Iterable[dict[str, str]], users: t.Collection[str], oldest: float, addresses: t.Collection[str]) -> list[dict[str, t.Any]]:
    """Return connections of some users that are older than so many seconds, or come from unknown addresses."""
    found = []
    for connection in connections:
        age = int(connection.get("age", 0))
        address = connection.get("addr", "")
        old, unlisted = age > oldest + TOLERANCE_SECONDS, address.rpartition(":")[0] not in addresses
        if connection.get("user") in users and (old or unlisted):
            found.append({
                "id": connection.get("id", ""), "user": connection["user"], "address": address, "name": connection.get("name", ""),
                "age_seconds": age, "why": "older than the new password" if old else "from a host that is not known",
            })  # fmt: skip
    return found


def examine(params: dict[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    """Ask every server, close what is found where that is wanted, and return the module's result."""
    group = rg.Group(params)
    oldest = time.time() - params["since"]
    found, closed = [], 0
    kinds = (
        ("redis", group.redis.nodes, group.open, params["users"]),
        ("sentinel", group.sentinel.nodes, group.open_sentinel, params["sentinel_users"]),
    )
    for server, nodes, connect, users in kinds:
        for node in nodes if users else []:
            with connect(node["address"]) as client:
                rows = doubtful(rc.parse_clients(client.command("CLIENT", "LIST")), users, oldest, params["addresses"])
                for row in rows:
                    if params["close"] and not check_mode:
                        closed += int(client.command("CLIENT", "KILL", "ID", row["id"]))
                    found.append({"host": node["host"], "server": server, **{key: value for key, value in row.items() if key != "id"}})
    return {"changed": bool(found) and params["close"], "connections": found, "closed": closed}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **rm.group_options(),
            "users": {"type": "list", "elements": "str", "default": []},
            "sentinel_users": {"type": "list", "elements": "str", "default": []},
            "since": {"type": "float", "required": True},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "close": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        result = examine(module.params, module.check_mode)
    except (rc.ReplyError, rc.Unavailable) as exc:
        module.fail_json(msg=f"The connections of a broker cannot be listed: {exc}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
