#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sentinel_info
short_description: Report the state of Sentinel and of the replication it watches
version_added: "1.0.0"
description:
  - Reports who is master by majority of the Sentinels, whether they could fail over, which other Sentinels and replicas
    they know, and what each Redis reports about itself.
  - With O(healthy=true) it waits for a state in which a failover would work, and fails with what is missing.
    Servers that cannot be reached are reported, and tolerated as long as a majority is left.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.group
options:
  healthy:
    description: Whether to wait until the group is healthy, and to fail where it does not become so within O(wait_seconds).
    type: bool
    default: false
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Wait for a state in which a failover would work
  multinode.celery.sentinel_info:
    brokers: "{{ redis_connection }}"
    healthy: true
  run_once: true
"""

RETURN = r"""
master:
  description: The master that most Sentinels name. Its C(host) is empty where none names one.
  type: dict
  returned: always
  sample: {host: broker-1, address: 192.0.2.11, port: 6379}
votes:
  description: How many Sentinels name that master.
  type: int
  returned: always
problems:
  description: What is missing for a failover to work, as sentences. Empty in a healthy group.
  type: list
  elements: str
  returned: always
unreachable_nodes:
  description: Servers that gave no answer, as sentences.
  type: list
  elements: str
  returned: always
sentinels:
  description: What each Sentinel reported.
  type: list
  elements: dict
  returned: always
nodes:
  description: What each Redis reported. The C(offset) is in bytes of the replication stream.
  type: list
  elements: dict
  returned: always
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={**rm.group_options(), "healthy": {"type": "bool", "default": False}}, supports_check_mode=True)
    params = module.params
    redis, sentinel = rm.services(params["brokers"])
    end = time.monotonic() + params["wait_seconds"]
    while True:
        sentinels, nodes = rt.survey(redis, sentinel, params["brokers"]["master_name"], params["timeout_seconds"])
        problems = rt.problems(sentinels, nodes, redis.port)
        views: list[rt.SentinelView | rt.RedisView] = [*sentinels, *nodes]
        unreachable_nodes = [f"{view.host}: {view.message or view.status}" for view in views if view.status != rt.OK]
        if not params["healthy"] or not problems or time.monotonic() >= end:
            break
        time.sleep(0.5)
    address, votes = rt.winner(view.master for view in sentinels if view.status == rt.OK)
    result = rt.describe(rt.Decision("found", address, "sentinels"), params["brokers"]["nodes"], sentinels, nodes)
    result.pop("source")
    result.update(votes=votes, problems=problems, unreachable_nodes=unreachable_nodes)
    if params["healthy"] and problems:
        module.fail_json(msg="Redis and Sentinel are not ready for a failover: " + "; ".join(problems), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
