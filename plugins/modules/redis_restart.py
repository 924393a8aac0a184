#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_restart
short_description: Restart one Redis or Sentinel without losing a write
version_added: "1.0.0"
description:
  - Restarts the unit on the host it runs on, after checking that the rest of the group carries on without it.
  - Where the Redis is the master and has replicas, it is first handed over. Writes are paused, the replicas reach the same offset,
    Sentinel promotes one, and this node becomes its replica before it is restarted. C(SENTINEL FAILOVER) alone would lose
    what clients write to the old master until Sentinel turns it into a replica.
  - Returns when the node is back in step with its master.
  - Refuses when another node is missing or behind, so that a loop over hosts stops by itself.
extends_documentation_fragment:
  - multinode.celery.brokers.nodes
options:
  host:
    description: Which of O(nodes) this is.
    type: str
    required: true
  kind:
    description: What to restart.
    type: str
    choices: [redis, sentinel]
    default: redis
  unit:
    description: Unit to restart.
    type: str
    required: true
  pause_seconds:
    description: For how long writes may be paused at most during a handover.
    type: float
    default: 20.0
attributes:
  check_mode:
    description: Reports that it would restart.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Restart Redis, one host at a time
  multinode.celery.redis_restart:
    nodes: "{{ groups['brokers'] | multinode.celery.broker_nodes(hostvars) }}"
    host: "{{ inventory_hostname }}"
    password: "{{ redis_admin_password }}"
    sentinel_password: "{{ redis_sentinel_admin_password }}"
    unit: redis-broker.service
  throttle: 1
"""

RETURN = r"""
handed_over_to:
  description: Address of the new master, empty where no handover was needed.
  type: str
  returned: success
handover_seconds:
  description: For how long writes were paused, in seconds.
  type: float
  returned: success
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_handover as handover
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt


def wait_for(check: t.Callable[[], str], seconds: float) -> str:
    """Repeat a check until it finds nothing missing; return what was missing last."""
    end = time.monotonic() + seconds
    while True:
        missing = check()
        if not missing or time.monotonic() >= end:
            return missing
        time.sleep(0.25)


class Group:
    """The brokers as one node sees them."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.params = params
        self.redis, self.sentinel = rm.services(params)
        self.own = next(node["address"] for node in params["nodes"] if node["host"] == params["host"])

    def survey(self) -> tuple[list[rt.SentinelView], list[rt.RedisView]]:
        """Ask every server."""
        return rt.survey(self.redis, self.sentinel, self.params["master_name"], self.params["timeout_seconds"])

    def missing(self) -> str:
        """Return what is missing for every server to be in step, this node included."""
        return "; ".join(handover.missing(*self.survey(), self.redis.port))

    def watched(self) -> bool:
        """Tell whether any Sentinel watches this group; before the first one does there is nobody to hand over to."""
        return any(view.status == rt.OK for view in self.survey()[0])

    def open(self, address: str) -> rc.RedisClient:
        """Connect to one Redis as the user who may hand over."""
        return rc.open_client(address, self.redis.port, self.redis.username, self.redis.passwords, self.params["timeout_seconds"])

    def open_sentinel(self) -> rc.RedisClient:
        """Connect to a Sentinel; one on this host would do, any other does as well."""
        error: rc.Unavailable | None = None
        for node in sorted(self.sentinel.nodes, key=lambda node: node["address"] != self.own):
            try:
                return rc.open_client(
                    node["address"], self.sentinel.port, self.sentinel.username, self.sentinel.passwords, self.params["timeout_seconds"]
                )
            except rc.Unavailable as exc:
                error = exc
        raise error or rc.Unavailable(rc.ERROR, "no Sentinel is known")


def hand_over(group: Group) -> tuple[str, float]:
    """Make another node the master if this one is; return its address and for how long writes were paused."""
    with group.open(group.own) as master:
        info = rc.parse_info(master.command("INFO", "replication"))
        if info["role"] != "master" or not rc.replicas(info):
            return "", 0.0
        begin = time.monotonic()
        name, pause = group.params["master_name"], group.params["pause_seconds"]
        replicas = [group.open(replica["ip"]) for replica in rc.replicas(info)]
        with group.open_sentinel() as sentinel:
            address = handover.hand_over(
                master, replicas, sentinel, lambda: rt.survey(group.redis, group.sentinel, name, 1.0)[0], group.own, name, pause
            )
        for replica in replicas:
            replica.close()
        return address, round(time.monotonic() - begin, 2)


def restart(module: AnsibleModule) -> dict[str, t.Any]:
    """Check, hand over, restart and wait."""
    params = module.params
    group = Group(params)
    watched = group.watched()
    result: dict[str, t.Any] = {"changed": True, "handed_over_to": "", "handover_seconds": 0.0}
    if watched:
        missing = wait_for(group.missing, params["wait_seconds"])
        if missing:
            module.fail_json(msg=f"{params['unit']} is not restarted, because the rest of the group is not in step: {missing}")
    if module.check_mode:
        return result
    if watched and params["kind"] == "redis":
        result["handed_over_to"], result["handover_seconds"] = hand_over(group)
        if result["handed_over_to"]:
            missing = wait_for(group.missing, params["wait_seconds"])
            if missing:
                module.fail_json(msg=f"Handed over to {result['handed_over_to']}, but not everything follows it yet: {missing}", **result)
    module.run_command(["systemctl", "restart", params["unit"]], check_rc=True)
    missing = wait_for(group.missing, params["wait_seconds"]) if watched else ""
    if missing:
        module.fail_json(msg=f"{params['unit']} was restarted, but the group is not in step again: {missing}", **result)
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **rm.node_options(),
            "host": {"type": "str", "required": True},
            "kind": {"type": "str", "choices": ["redis", "sentinel"], "default": "redis"},
            "unit": {"type": "str", "required": True},
            "pause_seconds": {"type": "float", "default": 20.0},
        },
        supports_check_mode=True,
    )
    if module.params["host"] not in [node["host"] for node in module.params["nodes"]]:
        module.fail_json(msg=f"{module.params['host']} is none of the nodes given")
    try:
        result = restart(module)
    except (rc.ReplyError, rc.Unavailable, handover.HandoverError) as exc:
        module.fail_json(msg=f"{module.params['unit']} is not restarted: {exc}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
