#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_switchover
short_description: Switch over the master to another broker without losing a write
version_added: "1.0.0"
description:
  - Pauses writes on the master, waits until its replicas hold everything it acknowledged, has Sentinel promote one of them,
    waits until all Sentinels name it, and makes the old master its replica in the step that disconnects the clients there.
  - Returns when every server is in step with the new master and the clients have followed, and reports how long each part took.
  - Refuses, before anything happened, when a server is missing or behind.
  - With neither O(to) nor O(avoid) the master is moved in every run.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.group
options:
  to:
    description: Host that becomes the master. Nothing is done where it is the master. Sentinel chooses when it is empty.
    type: str
    default: ""
  avoid:
    description:
      - Hosts that must not be the master. Nothing is done where none of them is.
      - What is wrong on one of them does not matter unless it is the master.
    type: list
    elements: str
    default: []
  client_users:
    description: ACL users whose connections are counted on the old and on the new master.
    type: list
    elements: str
    default: []
  pause_seconds:
    description: For how long writes may be paused at most.
    type: float
    default: 20.0
attributes:
  check_mode:
    details: Reports whether it would move the master, after the same checks.
  diff_mode:
    support: full
    details: Shows the master before and after.
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Switch over the master before its host reboots
  multinode.celery.redis_switchover:
    brokers: "{{ redis_connection }}"
    avoid: [broker-1]
  run_once: true
"""

RETURN = r"""
master_before:
  description: Host that was the master.
  type: str
  returned: always
master:
  description: Host that is the master now.
  type: str
  returned: always
pause_seconds:
  description: For how long writes were paused, in seconds.
  type: float
  returned: always
agreed_seconds:
  description: After how long every server was in step with the new master, in seconds from the pause.
  type: float
  returned: always
clients_before:
  description: Connections of O(client_users) to the old master before.
  type: int
  returned: always
clients_left:
  description: Connections of O(client_users) to the old master afterwards.
  type: int
  returned: always
clients_moved:
  description: Connections of O(client_users) to the new master afterwards.
  type: int
  returned: always
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_group as rg
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils import _redis_switchover as switchover
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt

CLIENTS_SECONDS = 5.0


def unknown(params: dict[str, t.Any]) -> str:
    """Return what is wrong with the hosts that the task names."""
    hosts = [node["host"] for node in params["brokers"]["nodes"]]
    unlisted = sorted({params["to"], *params["avoid"]} - {"", *hosts})
    if unlisted:
        return f"{', '.join(unlisted)}: no such broker. The brokers are {', '.join(hosts)}"
    if params["to"] in params["avoid"]:
        return f"{params['to']} cannot both become the master and be avoided"
    if not set(hosts) - set(params["avoid"]):
        return "no broker is left that could become the master"
    return ""


def choose(redises: list[rt.RedisView], master: str, to: str, avoid: t.Collection[str]) -> str:
    """Return the host that must become master: none where nothing has to be done, an asterisk where any replica will do."""
    if to:
        return "" if to == master else to
    if not avoid:
        return "*"
    if master not in avoid:
        return ""
    fit = [view for view in redises if view.status == rt.OK and view.role == "replica" and view.link_up and view.host not in avoid]
    return max(fit, key=lambda view: view.offset).host if fit else "*"


def count_clients(listing: str, users: t.Collection[str]) -> int:
    """Return how many connections of a C(CLIENT LIST) belong to some users."""
    return sum(row.get("user") in users and row.get("flags", "N") != "S" for row in rc.parse_clients(listing))


def clients(group: rg.Group, address: str, users: t.Collection[str]) -> int:
    """Count the connections to one Redis."""
    with group.open(address) as client:
        return count_clients(client.command("CLIENT", "LIST"), users)


def find_master(params: dict[str, t.Any]) -> tuple[str, list[rt.RedisView]]:
    """Return the master's host and what every Redis reports."""
    group = rg.Group(params)
    decision, unused, redises = rt.find_master(group.redis, group.sentinel, group.name, group.timeout, params["wait_seconds"])
    if decision.state != "found":
        raise switchover.SwitchoverError(decision.message or "no broker runs")
    return group.host(decision.address.rsplit(":", 1)[0]), redises


def move(params: dict[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    """Check, switch over, wait for everybody to follow, and return the module's result."""
    before, redises = find_master(params)
    wanted = choose(redises, before, params["to"], params["avoid"])
    metrics: dict[str, t.Any] = dict.fromkeys(("pause_seconds", "agreed_seconds"), 0.0)
    metrics.update(dict.fromkeys(("clients_before", "clients_left", "clients_moved"), 0))
    result = {"changed": bool(wanted), "master_before": before, "master": before, **metrics}
    if not wanted:
        return result
    if len(redises) < 2:
        raise switchover.SwitchoverError(f"{before} is the only broker, there is none to switch over to")
    group = rg.Group(params, without=set(params["avoid"]) - {before})
    missing = rg.wait_for(group.missing, params["wait_seconds"])
    if missing:
        raise switchover.SwitchoverError(f"not every server is in step: {missing}")
    if check_mode:
        result["master"] = "" if wanted == "*" else wanted
        return result
    own = group.address(before)
    result["clients_before"] = clients(group, own, params["client_users"])
    moved = group.switch_over(own, params["pause_seconds"], "" if wanted == "*" else group.address(wanted))
    if moved is None:
        raise switchover.SwitchoverError(f"{before} has no replica, there is none to switch over to")
    begin = time.monotonic() - moved.seconds
    result.update(master=group.host(moved.address), pause_seconds=moved.seconds)
    missing = rg.wait_for(group.missing, params["wait_seconds"])
    if missing:
        raise switchover.SwitchoverError(f"switched over to {result['master']}, but not everything follows it yet: {missing}")
    result["agreed_seconds"] = round(time.monotonic() - begin, 2)

    def behind() -> str:
        result["clients_left"] = clients(group, own, params["client_users"])
        result["clients_moved"] = clients(group, moved.address, params["client_users"])
        return "clients" if result["clients_left"] or result["clients_moved"] < result["clients_before"] else ""

    rg.wait_for(behind, CLIENTS_SECONDS)
    result["diff"] = {"before": f"master: {before}\n", "after": f"master: {result['master']}\n"}
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **rm.group_options(),
            "to": {"type": "str", "default": ""},
            "avoid": {"type": "list", "elements": "str", "default": []},
            "client_users": {"type": "list", "elements": "str", "default": []},
            "pause_seconds": {"type": "float", "default": 20.0},
        },
        supports_check_mode=True,
    )
    wrong = unknown(module.params)
    if wrong:
        module.fail_json(msg=wrong)
    try:
        result = move(module.params, module.check_mode)
    except (rc.ReplyError, rc.Unavailable, switchover.SwitchoverError) as exc:
        module.fail_json(msg=f"The master is not moved as wanted: {exc}")
    if module.params["to"] and not module.check_mode and result["master"] != module.params["to"]:
        module.fail_json(msg=f"Sentinel chose {result['master']} instead of {module.params['to']}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
