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
  - Where the Redis is the master and has replicas, it is first switched over. Writes are paused, the replicas reach the same offset,
    Sentinel promotes one, and this node becomes its replica before it is restarted. C(SENTINEL FAILOVER) alone would lose
    what clients write to the old master until Sentinel turns it into a replica.
  - Returns when the node is back in step with its master.
  - Refuses when another node is missing or behind, so that a loop over hosts stops by itself.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.group
options:
  host:
    description: Which of O(brokers.nodes) this is.
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
    description: For how long writes may be paused at most during a switchover.
    type: float
    default: 20.0
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Restart Redis, one host at a time
  multinode.celery.redis_restart:
    brokers: "{{ redis_connection }}"
    host: "{{ inventory_hostname }}"
    unit: redis-broker.service
  throttle: 1
"""

RETURN = r"""
switched_over_to:
  description: Address of the new master, empty where no switchover was needed.
  type: str
  returned: success
switchover_seconds:
  description: For how long writes were paused, in seconds.
  type: float
  returned: success
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_group as rg
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils import _redis_switchover as switchover


def restart(module: AnsibleModule) -> dict[str, t.Any]:
    """Check, switch over, restart and wait."""
    params = module.params
    group = rg.Group(params)
    watched = group.watched()
    result: dict[str, t.Any] = {"changed": True, "switched_over_to": "", "switchover_seconds": 0.0}
    if watched:
        missing = rg.wait_for(group.missing, params["wait_seconds"])
        if missing:
            module.fail_json(msg=f"{params['unit']} is not restarted, because the rest of the group is not in step: {missing}")
    if module.check_mode:
        return result
    if watched and params["kind"] == "redis":
        moved = group.switch_over(group.address(params["host"]), params["pause_seconds"])
        if moved:
            result["switched_over_to"], result["switchover_seconds"] = moved.address, moved.seconds
            missing = rg.wait_for(group.missing, params["wait_seconds"])
            if missing:
                module.fail_json(msg=f"Switched over to {result['switched_over_to']}, but not everything follows it yet: {missing}", **result)
    module.run_command(["systemctl", "restart", params["unit"]], check_rc=True)
    missing = rg.wait_for(group.missing, params["wait_seconds"]) if watched else ""
    if missing:
        module.fail_json(msg=f"{params['unit']} was restarted, but the group is not in step again: {missing}", **result)
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **rm.group_options(),
            "host": {"type": "str", "required": True},
            "kind": {"type": "str", "choices": ["redis", "sentinel"], "default": "redis"},
            "unit": {"type": "str", "required": True},
            "pause_seconds": {"type": "float", "default": 20.0},
        },
        supports_check_mode=True,
    )
    if module.params["host"] not in [node["host"] for node in module.params["brokers"]["nodes"]]:
        module.fail_json(msg=f"{module.params['host']} is none of the nodes given")
    try:
        result = restart(module)
    except (rc.ReplyError, rc.Unavailable, switchover.SwitchoverError) as exc:
        module.fail_json(msg=f"{module.params['unit']} is not restarted: {exc}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
