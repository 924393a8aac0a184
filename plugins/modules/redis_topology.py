#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_topology
short_description: Find out which broker is the master before anything is written
version_added: "1.0.0"
description:
  - Asks every Sentinel, and accepts an address that a majority of all of them names and whose Redis reports that it is a master.
  - Where no Sentinel knows the name, looks at the replication of the Redis servers themselves.
  - Where nothing runs at all, takes the master from the state files in O(state_files), or else the first of O(brokers.nodes).
  - Waits while a failover is in progress, and fails where two masters hold data. It never guesses and never changes anything.
  - Run it once for all hosts, on any of them, and use the result for all.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.group
options:
  state_files:
    description:
      - What the state file of each host that could be read states about replication, by name of host.
        C(address port) of the master of a replica, an empty string on a master, null where there is no file.
      - Without it, a group on which nothing runs is reported as RV(source=none) instead of being decided.
    type: dict
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Query the master
  multinode.celery.redis_topology:
    brokers: "{{ redis_connection }}"
  run_once: true
  register: topology
"""

RETURN = r"""
source:
  description: How the master was found.
  type: str
  returned: always
  choices: [sentinels, replication, state, bootstrap, none]
master:
  description: The master. Its C(host) is empty and its C(port) is 0 with RV(source=none).
  type: dict
  returned: always
  sample: {host: broker-1, address: 192.0.2.11, port: 6379}
sentinels:
  description: What each Sentinel reported.
  type: list
  elements: dict
  returned: always
nodes:
  description: What each Redis reported.
  type: list
  elements: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={**rm.group_options(), "state_files": {"type": "dict"}}, supports_check_mode=True)
    params = module.params
    redis, sentinel = rm.services(params["brokers"])
    decision, sentinels, nodes = rt.find_master(
        redis, sentinel, params["brokers"]["master_name"], params["timeout_seconds"], params["wait_seconds"], params["state_files"]
    )
    result = rt.describe(decision, params["brokers"]["nodes"], sentinels, nodes)
    if decision.state in ("fail", "wait"):
        module.fail_json(msg=decision.message, **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
