#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_config
short_description: Apply the configuration file to a running Redis without restarting it
version_added: "1.0.0"
description:
  - Compares the settings and ACL users of a running Redis with the content of its files, and changes what differs
    with C(CONFIG SET) and C(ACL SETUSER), which disconnect nobody.
  - Settings that Redis changes only at its start are reported in RV(restart_keys) and left alone.
  - Has Redis read its certificate, key and CAs again where it shows another certificate than the one on disk,
    or where one of these files is newer than what it has read. Connections that exist go on.
  - Leaves out C(replicaof), which belongs to Sentinel.
  - A setting that is removed from the file keeps its last value, because nothing states what it should be now.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.server
  - multinode.celery.brokers.process
options:
  port:
    description: Port of the server.
    type: int
    default: 6379
  config:
    description: Content of the configuration file, without secrets.
    type: str
    default: ""
  tls_read_path:
    description:
      - File whose time is when this Redis last got the command to read the files of O(tls) again.
      - It belongs to a directory that does not outlive a boot, and in which root alone may write.
    type: path
    default: /run/redis-broker-tls-read
  replication_user:
    description: User as whom this Redis follows a master (C(masteruser)).
    type: str
  replication_password:
    description: Password of O(replication_user) (C(masterauth)).
    type: str
attributes:
  check_mode:
    details: Reports what would be changed. A server that does not run yet counts as up to date.
  diff_mode:
    support: full
    details: Shows settings and rules, never passwords or their hashes.
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Apply the settings to the running Redis
  multinode.celery.redis_config:
    address: "{{ cluster_address }}"
    password: "{{ redis_admin_password }}"
    config: "{{ lookup('ansible.builtin.template', 'etc/redis-broker/redis.conf.j2') }}"
    acl: "{{ lookup('ansible.builtin.template', 'etc/redis-broker/users.acl.j2') }}"
  register: applied
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
restart_keys:
  description: Settings that differ and that Redis takes over only at its start.
  type: list
  elements: str
  returned: always
restart_paths:
  description: Files of O(definition_paths) that are newer than the process, and programs or libraries that were replaced since.
  type: list
  elements: str
  returned: always
restart_required:
  description: Whether RV(restart_keys) or RV(restart_paths) names anything.
  type: bool
  returned: always
unknown_keys:
  description: Settings of the file that this version of Redis does not report.
  type: list
  elements: str
  returned: always
"""

import os
import ssl
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_acl
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_config as conf
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils._processes import restart_paths, started_at


def wanted_settings(params: dict[str, t.Any]) -> dict[str, str]:
    """Return the settings that the task asks for."""
    wanted = conf.parse_config(params["config"])
    if params["replication_user"] is not None:
        wanted["masteruser"] = params["replication_user"]
    if params["replication_password"] is not None:
        wanted["masterauth"] = params["replication_password"]
    return wanted


def set_settings(client: rc.RedisClient, changes: dict[str, str], restart: dict[str, str]) -> None:
    """Set all changes in one command; move to ``restart`` what this version turns out not to change at run time."""
    while changes:
        try:
            client.command("CONFIG", "SET", *[word for pair in changes.items() for word in pair])
            return
        except rc.ReplyError as exc:
            name = conf.immutable_name(str(exc))
            if name not in changes:
                raise
            restart[name] = changes.pop(name)


def first_certificate(text: str) -> bytes:
    """Return the first certificate of a PEM file in binary form."""
    end = "-----END CERTIFICATE-----"
    start = text.index("-----BEGIN CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(text[start : text.index(end, start) + len(end)])


def has_old_files(shown: bytes, files: dict[str, str], pid: int, read_path: str) -> bool:
    """Tell whether a running Redis works with other certificates or CAs than those on disk."""
    with open(files["certificate_path"], encoding="utf-8") as handle:
        if first_certificate(handle.read()) != shown:
            return True
    # What it trusts cannot be asked for, but when it has read it can.
    read = max(started_at(pid) or 0.0, os.stat(read_path).st_mtime if os.path.exists(read_path) else 0.0)
    return any(os.stat(path).st_mtime > read for path in files.values() if path)


def read_files_again(client: rc.RedisClient, files: dict[str, str], read_path: str) -> None:
    """Have Redis read its files again, and note when."""
    begin = time.time()
    names = {"tls-ca-cert-file": "ca_path", "tls-cert-file": "certificate_path", "tls-key-file": "key_path"}
    client.command("CONFIG", "SET", *[word for name, file in names.items() for word in (name, files[file])])
    with open(read_path, "a", encoding="utf-8"):
        os.utime(read_path, (begin, begin))


def apply(client: rc.RedisClient, params: dict[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    """Compare, change unless in check mode, and return the module's result."""
    live = rc.pairs(client.command("CONFIG", "GET", "*"))
    changes, restart, unknown = conf.config_diff(wanted_settings(params), live)
    acl = _redis_acl.compare(client, params["acl"])
    pid = int(rc.parse_info(client.command("INFO", "server"))["process_id"])
    files = rm.tls_files(params["tls"])
    old_files = bool(files) and has_old_files(client.certificate(), files, pid, params["tls_read_path"])
    if not check_mode:
        set_settings(client, changes, restart)
        if old_files:
            read_files_again(client, files, params["tls_read_path"])
        acl.apply(client)
        # What Redis itself finds equal was no change, however differently it was written.
        live_after = rc.pairs(client.command("CONFIG", "GET", "*"))
        changes = {name: live_after[name] for name in changes if live_after[name] != live[name]}
    paths = restart_paths(pid, params["definition_paths"])
    return {
        "changed": bool(changes or acl.users or old_files),
        "settings": sorted({*changes, *(["tls-cert-file"] if old_files else [])}),
        "users": acl.users,
        "restart_keys": sorted(restart),
        "restart_paths": paths,
        "restart_required": bool(restart or paths),
        "unknown_keys": sorted(unknown),
        "diff": {
            "before": conf.setting_lines({name: live[name] for name in changes}) + acl.before,
            "after": conf.setting_lines(changes) + acl.after,
        },
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **rm.server_options(6379),
            **rm.process_options(),
            "config": {"type": "str", "default": ""},
            "tls_read_path": {"type": "path", "default": "/run/redis-broker-tls-read"},
            "replication_user": {"type": "str"},
            "replication_password": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    result = {"restart_keys": [], "unknown_keys": [], **rm.configure(module, "Redis", apply)}
    if result["unknown_keys"]:
        module.warn("This Redis does not know: " + ", ".join(result["unknown_keys"]))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
