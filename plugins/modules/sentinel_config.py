#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sentinel_config
short_description: Apply settings to a running Sentinel without restarting it
version_added: "1.0.0"
description:
  - Compares what a Sentinel reports and what is in its own state file with the wanted settings, and changes what differs
    with C(SENTINEL SET), C(SENTINEL CONFIG SET) and C(ACL SETUSER). The Sentinel writes its state file itself.
  - Starts to watch the master where the Sentinel does not know its name; never moves or renames a master that it knows.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.server
  - multinode.celery.brokers.process
options:
  port:
    description: Port of the server.
    type: int
    default: 26379
  master_name:
    description: Name under which the Sentinel watches the master.
    type: str
    default: celery
  master_address:
    description: Address of the current master, used only where the Sentinel does not know O(master_name).
    type: str
    required: true
  master_port:
    description: Port of the current master.
    type: int
    default: 6379
  quorum:
    description: How many Sentinels must find the master down.
    type: int
    required: true
  auth_user:
    description: ACL user of Redis as whom the Sentinel watches and reconfigures it.
    type: str
    required: true
  auth_password:
    description: Password of O(auth_user).
    type: str
    required: true
  master_settings:
    description: Further settings of the master, as C(SENTINEL SET) names them, for example C(down-after-milliseconds).
    type: dict
    default: {}
  settings:
    description: Settings of the Sentinel itself, as C(SENTINEL CONFIG SET) names them, for example C(announce-ip).
    type: dict
    default: {}
  peer_user:
    description: ACL user as whom the Sentinels talk to each other (C(sentinel-user)).
    type: str
    required: true
  peer_password:
    description: Password of O(peer_user) (C(sentinel-pass)).
    type: str
    required: true
  state_path:
    description: State file of the Sentinel on this host. It is only read, for what the Sentinel does not report.
    type: path
    required: true
attributes:
  check_mode:
    details: Reports what would be changed. A Sentinel that does not run yet counts as up to date.
  diff_mode:
    support: full
    details: Shows settings and rules, never passwords or their hashes.
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Apply the settings to the running Sentinel
  multinode.celery.sentinel_config:
    address: "{{ cluster_address }}"
    password: "{{ redis_sentinel_admin_password }}"
    master_address: "{{ topology.master.address }}"
    quorum: 2
    auth_user: sentinel
    auth_password: "{{ redis_sentinel_auth_password }}"
    peer_user: peer
    peer_password: "{{ redis_sentinel_peer_password }}"
    master_settings:
      down-after-milliseconds: 3000
    state_path: /var/lib/redis-broker/sentinel.conf
"""

RETURN = r"""
settings:
  description: Names of the settings changed at run time.
  type: list
  elements: str
  returned: always
users:
  description: Names of the ACL users set or deleted.
  type: list
  elements: str
  returned: always
restart_paths:
  description: Files of O(definition_paths) that are newer than the process, and programs or libraries that were replaced since.
  type: list
  elements: str
  returned: always
restart_required:
  description: Whether RV(restart_paths) names anything.
  type: bool
  returned: always
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_acl
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_config as conf
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils._processes import restart_paths


def read_state(path: str, name: str) -> dict[str, str]:
    """Return the settings of one master in a Sentinel's state file."""
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as handle:
        return conf.parse_sentinel_state(handle.read(), name)


def wanted_master(params: dict[str, t.Any]) -> dict[str, str]:
    """Return the settings of the master that the task asks for."""
    settings = {"quorum": params["quorum"], "auth-user": params["auth_user"], "auth-pass": params["auth_password"], **params["master_settings"]}
    return {name: str(value) for name, value in settings.items()}


def wanted_global(params: dict[str, t.Any]) -> dict[str, str]:
    """Return the settings of the Sentinel that the task asks for."""
    settings = {"sentinel-user": params["peer_user"], "sentinel-pass": params["peer_password"], **params["settings"]}
    return {name: str(value) for name, value in settings.items()}


def watch(client: rc.RedisClient, params: dict[str, t.Any], check_mode: bool) -> bool:
    """Start to watch the master where its name is unknown."""
    name = params["master_name"]
    if client.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name) is not None:
        return False
    if not check_mode:
        client.command("SENTINEL", "MONITOR", name, params["master_address"], params["master_port"], params["quorum"])
    return True


def apply(client: rc.RedisClient, params: dict[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    """Compare, change unless in check mode, and return the module's result."""
    name = params["master_name"]
    added = watch(client, params, check_mode)
    live_master = read_state(params["state_path"], name)
    if not (added and check_mode):
        live_master.update(rc.pairs(client.command("SENTINEL", "MASTER", name)))
    live_global = rc.pairs(client.command("SENTINEL", "CONFIG", "GET", "*"))
    master = {key: value for key, value in wanted_master(params).items() if live_master.get(key, "") != value}
    globals_ = {key: value for key, value in wanted_global(params).items() if live_global.get(key, "") != value}
    acl = _redis_acl.compare(client, params["acl"])
    if not check_mode:
        if master:
            client.command("SENTINEL", "SET", name, *[word for pair in master.items() for word in pair])
        for key, value in globals_.items():
            client.command("SENTINEL", "CONFIG", "SET", key, value)
        acl.apply(client)
    pid = int(rc.parse_info(client.command("INFO", "server"))["process_id"])
    paths = restart_paths(pid, params["definition_paths"])
    before = {key: live_master.get(key, "") for key in master} | {key: live_global.get(key, "") for key in globals_}
    return {
        "changed": bool(added or master or globals_ or acl.users),
        "settings": sorted([*master, *globals_, *(["monitor"] if added else [])]),
        "users": acl.users,
        "restart_paths": paths,
        "restart_required": bool(paths),
        "diff": {
            "before": conf.setting_lines(before) + acl.before,
            "after": conf.setting_lines(master | globals_) + acl.after,
        },
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **rm.server_options(26379),
            **rm.process_options(),
            "master_name": {"type": "str", "default": "celery"},
            "master_address": {"type": "str", "required": True},
            "master_port": {"type": "int", "default": 6379},
            "quorum": {"type": "int", "required": True},
            "auth_user": {"type": "str", "required": True},
            "auth_password": {"type": "str", "required": True, "no_log": True},
            "master_settings": {"type": "dict", "default": {}},
            "settings": {"type": "dict", "default": {}},
            "peer_user": {"type": "str", "required": True},
            "peer_password": {"type": "str", "required": True, "no_log": True},
            "state_path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    module.exit_json(**rm.configure(module, "Sentinel", apply))


if __name__ == "__main__":
    main()
