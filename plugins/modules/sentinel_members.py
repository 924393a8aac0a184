#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sentinel_members
short_description: Have every Sentinel forget brokers that are no more
version_added: "1.0.0"
description:
  - A Sentinel never forgets by itself. One that is gone still counts when a majority is needed, so too many of them prevent a failover.
  - Compares what each Sentinel knows with O(brokers), and resets those that know more, one after the other. Each has found all others
    again before the next is reset, so that a majority can elect a master throughout.
  - Sets the quorum where it differs.
  - What is removed must be stopped before, or it is found again.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.group
options:
  without:
    description: Hosts of O(brokers) that are to be forgotten too.
    type: list
    elements: str
    default: []
  quorum:
    description: How many Sentinels must find the master down. More than half of those that stay when it is 0.
    type: int
    default: 0
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Remove a stopped broker from the Sentinels
  multinode.celery.sentinel_members:
    brokers: "{{ redis_connection }}"
    without: [broker-5]
  run_once: true
"""

RETURN = r"""
forgotten:
  description: Addresses that were forgotten, by host of the Sentinel that knew them.
  type: dict
  returned: success
  sample: {broker-1: ["192.0.2.15:6379", "192.0.2.15:26379"]}
quorum_set:
  description: Hosts whose Sentinel got another quorum.
  type: list
  elements: str
  returned: success
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_group as rg
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt


class MembersError(Exception):
    """A group that cannot be changed as wanted."""


def listed(replies: t.Sequence[t.Sequence[t.Any]]) -> set[str]:
    """Return the addresses of a C(SENTINEL SENTINELS) or C(SENTINEL REPLICAS) reply."""
    return {f"{fields['ip']}:{fields['port']}" for fields in map(rc.pairs, replies)}


def known(client: rc.RedisClient, name: str) -> set[str]:
    """Return all addresses that one Sentinel knows beside the master and itself."""
    return listed(client.command("SENTINEL", "SENTINELS", name)) | listed(client.command("SENTINEL", "REPLICAS", name))


def members(group: rg.Group) -> set[str]:
    """Return the addresses of all servers that belong to the group."""
    addresses = {f"{node['address']}:{group.redis.port}" for node in group.redis.nodes}
    return addresses | {f"{node['address']}:{group.sentinel.port}" for node in group.sentinel.nodes}


def update_sentinel(group: rg.Group, node: dict[str, str], quorum: int, wait: float, check_mode: bool) -> tuple[list[str], bool]:
    """Have one Sentinel forget unlisted hosts and take the quorum; return the unlisted hosts and whether the quorum was set."""
    with group.sentinel.open(node["address"], group.timeout) as client:
        unlisted = sorted(known(client, group.name) - members(group))
        differs = int(rc.pairs(client.command("SENTINEL", "MASTER", group.name))["quorum"]) != quorum
        if check_mode:
            return unlisted, differs
        if differs:
            client.command("SENTINEL", "SET", group.name, "quorum", quorum)
        if unlisted:
            client.command("SENTINEL", "RESET", group.name)
    if unlisted:
        missing = rg.wait_for(group.missing, wait)
        if missing:
            raise MembersError(f"the Sentinel of {node['host']} was reset, and the others are left alone, because it is not in step again: {missing}")
    return unlisted, differs


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **rm.group_options(),
            "without": {"type": "list", "elements": "str", "default": []},
            "quorum": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params = module.params
    group = rg.Group(params, without=params["without"])
    quorum = params["quorum"] or rt.majority(len(group.sentinel.nodes))
    forgotten: dict[str, list[str]] = {}
    quorum_set = []
    try:
        missing = rg.wait_for(group.missing, params["wait_seconds"])
        if missing:
            raise MembersError(f"those that stay are not in step: {missing}")
        for node in group.sentinel.nodes:
            unlisted, differs = update_sentinel(group, node, quorum, params["wait_seconds"], module.check_mode)
            if unlisted:
                forgotten[node["host"]] = unlisted
            if differs:
                quorum_set.append(node["host"])
    except (rc.ReplyError, rc.Unavailable, MembersError) as exc:
        module.fail_json(msg=f"Not every Sentinel has forgotten what is no more: {exc}")
    module.exit_json(changed=bool(forgotten or quorum_set), forgotten=forgotten, quorum_set=quorum_set)


if __name__ == "__main__":
    main()
