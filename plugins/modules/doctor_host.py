#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor_host
short_description: Collect what a host tells about its part of the cluster
version_added: "1.0.0"
description:
  - Reads services, processes, limits, disks, memory, clock and deployed files of one host, tries every broker
    with the credentials that are deployed there, and asks the host's own Redis and Sentinel.
  - It changes nothing, installs nothing and ends in bounded time. What cannot be read is reported, it is no failure.
  - Its action plugin computes on the controller what the inventory sets for the host, so the task needs no options;
    it adds the differences, and it reports a host that cannot be reached instead of failing.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  playbook:
    description: Playbook on the controller that deploys the hosts; that of the collection when empty.
    type: path
    default: ""
  services:
    description: Services that should run; the action plugin fills it.
    type: list
    elements: dict
    default: []
    suboptions:
      unit:
        description: Name of a systemd unit with its suffix.
        type: str
      program:
        description: Name of a program of supervisor.
        type: str
      nofile:
        description: Wanted number of open files, 0 for any.
        type: int
        default: 0
      paths:
        description: Files that its process must not be older than.
        type: list
        elements: path
        default: []
  paths:
    description: Deployed files, directories and links to describe; the action plugin fills it.
    type: list
    elements: path
    default: []
  disk_paths:
    description: Paths whose file systems are looked at.
    type: list
    elements: path
    default: [/]
  sysctl:
    description: Kernel parameters to read; the action plugin fills it.
    type: list
    elements: str
    default: []
  brokers:
    description: Addresses and ports of every Redis and Sentinel; the action plugin fills it.
    type: dict
    default: {}
  program:
    description: Paths and users of the application's programs on the host; the action plugin fills it.
    type: dict
    default: {}
  redis:
    description: Address, port and administrator of the host's own Redis; the action plugin fills it.
    type: dict
    default: {}
    suboptions:
      host: {type: str, description: Inventory name of the host.}
      address: {type: str, description: Address of the server.}
      port: {type: int, description: Port of the server.}
      user: {type: str, description: Administrator of the server.}
      password: {type: str, description: Password of the administrator.}
      tls: {type: dict, description: Files for TLS by name, default: {}}
  sentinel:
    description: The same for the host's own Sentinel; the action plugin fills it.
    type: dict
    default: {}
    suboptions:
      host: {type: str, description: Inventory name of the host.}
      address: {type: str, description: Address of the server.}
      port: {type: int, description: Port of the server.}
      user: {type: str, description: Administrator of the server.}
      password: {type: str, description: Password of the administrator.}
      tls: {type: dict, description: Files for TLS by name, default: {}}
  firewall:
    description: Table of nftables and the file with its rules; the action plugin fills it where the host has a firewall.
    type: dict
    suboptions:
      table: {type: str, required: true, description: Name of the table.}
      path: {type: path, required: true, description: File with the rules that should be live.}
  timeout_seconds:
    description: How long one server, one command or one file system may take, in seconds.
    type: float
    default: 2.0
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Collect the state of each host
  multinode.celery.doctor_host:
    disk_paths: [/, /var/log]
  register: collected
"""

RETURN = r"""
status:
  description: V(ok), or V(unreachable) or V(failed) with the reason in C(message).
  type: str
  returned: always
expected:
  description: What the inventory sets for the host, without any secret.
  type: dict
  returned: always
differences:
  description: Deployed paths that differ from the inventory, with the way in which they do.
  type: dict
  returned: when the host was reached
clock_offset_seconds:
  description: How far the host's clock is from the controller's, beyond what the connection takes.
  type: float
  returned: when the host was reached
report:
  description: What the host reported, by section.
  type: dict
  returned: when the host was reached
"""

import glob
import os
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _doctor_host as dh
from ansible_collections.multinode.celery.plugins.module_utils._limits import ceiling, sysctl_path, units_of
from ansible_collections.multinode.celery.plugins.module_utils._nftables import NftError, NftTable

COMMAND_SECONDS = 10


def command(module: AnsibleModule, argv: list[str]) -> str:
    """Run a command that reads, within its time; a service manager that hangs is no reason to hang too."""
    _code, out, _err = module.run_command(["timeout", str(COMMAND_SECONDS), *argv], expand_user_and_vars=False)
    return out


def services(module: AnsibleModule, wanted: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Describe the wanted services with their main processes."""
    names = [entry["unit"] for entry in wanted if entry["unit"]]
    shown = units_of(command(module, ["systemctl", "show", f"--property={dh.UNIT_PROPERTIES}", *names])) if names else {}
    programs: dict[str, list[str]] = {}
    if any(entry["program"] for entry in wanted):
        lines = command(module, ["supervisorctl", "status"]).splitlines()
        programs = {line.split()[0].split(":")[-1]: line.split()[1:] for line in lines if len(line.split()) > 1}
    found = []
    for entry in wanted:
        if entry["unit"]:
            unit = shown.get(entry["unit"], {})
            state: dict[str, t.Any] = {
                "known": unit.get("LoadState") not in (None, "not-found"),
                "active": unit.get("ActiveState", ""),
                "detail": "/".join(word for word in (unit.get("SubState"), unit.get("Result")) if word and word != "success"),
                "oneshot": unit.get("Type") == "oneshot",
                "enabled": unit.get("UnitFileState") in ("enabled", "static", "alias", "enabled-runtime"),
                "pid": int(unit.get("MainPID") or 0),
            }
        else:
            argv = programs.get(entry["program"], [])
            running = argv[:1] == ["RUNNING"]
            state = {
                "known": bool(argv), "active": "active" if running else "inactive", "detail": " ".join(argv[:1]).lower(),
                "oneshot": False, "enabled": True, "pid": int(argv[2].rstrip(",")) if running else 0,
            }  # fmt: skip
        state["process"] = dh.process(state["pid"], entry["paths"]) if state["pid"] else None
        found.append({"name": entry["unit"] or entry["program"], "wanted_nofile": entry["nofile"], **state})
    return found


def firewall(module: AnsibleModule, wanted: dict[str, str]) -> dict[str, bool]:
    """Tell whether the firewall's table is there, and whether it is what its file would make it."""
    table = NftTable(module, wanted["table"])
    live = table.listing() if table.nft else ""
    return {"loaded": bool(live), "as_kept": bool(live) and live == table.normal(dh.read(wanted["path"]))}


def collect(module: AnsibleModule) -> dict[str, t.Any]:
    """Gather every section; one that fails is reported in place of its content."""
    params = module.params
    program, timeout = params["program"], params["timeout_seconds"]
    secrets = dh.passwords(dh.read(program["environment_file"])) if program else {}

    def programs() -> dict[str, t.Any]:
        return {
            "drained": os.path.lexists(program["drain_marker"]),
            "credentials": bool(secrets),
            "configured": dh.configured(dh.read(program["config_file"])),
            "release": os.path.basename(os.path.realpath(program["current"])) if os.path.exists(program["current"]) else "",
            "python": os.path.exists(f"{program['current']}/venv/bin/python"),
            "nodes": sorted(
                {os.path.basename(path).rpartition(".")[0] for pattern in program["node_globs"] for path in glob.glob(pattern)}
            ),
        }

    sections: dict[str, t.Callable[[], t.Any]] = {
        "facts": dh.facts,
        "memory": lambda: dh.meminfo(dh.read("/proc/meminfo")),
        "disks": lambda: dh.disks(params["disk_paths"], timeout),
        "ceiling": lambda: ceiling(dh.read("/proc/1/limits"), dh.read("/proc/1/status"), int(dh.read("/proc/sys/fs/nr_open"))),
        "services": lambda: services(module, params["services"]),
        "sysctl": lambda: {name: " ".join(dh.read(sysctl_path(name)).split()) for name in params["sysctl"]},
        "paths": lambda: {path: dh.describe(path) for path in params["paths"]},
        "program": lambda: programs() if program else {},
        "connections": lambda: dh.connections(params["brokers"], program, secrets, timeout) if params["brokers"] else [],
        "redis": lambda: dh.redis_state(params["redis"], timeout) if params["redis"].get("address") else {},
        "firewall": lambda: firewall(module, params["firewall"]) if params["firewall"] else {},
        "sentinel": lambda: (
            dh.sentinel_state(params["sentinel"], params["brokers"]["master_name"], timeout) if params["sentinel"].get("address") else {}
        ),
    }
    report: dict[str, t.Any] = {"errors": {}, "time": time.time()}
    for name, section in sections.items():
        try:
            report[name] = section()
        except (OSError, ValueError, KeyError, IndexError, RuntimeError, NftError) as exc:
            report["errors"][name] = f"{type(exc).__name__}: {exc}"
    return report


def main() -> None:
    """Module entry point."""
    server = {
        "host": {"type": "str"},
        "address": {"type": "str"},
        "port": {"type": "int"},
        "user": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "tls": {"type": "dict", "default": {}},
    }
    module = AnsibleModule(
        argument_spec={
            "playbook": {"type": "path", "default": ""},
            "services": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "unit": {"type": "str"},
                    "program": {"type": "str"},
                    "nofile": {"type": "int", "default": 0},
                    "paths": {"type": "list", "elements": "path", "default": []},
                },
            },
            "paths": {"type": "list", "elements": "path", "default": []},
            "disk_paths": {"type": "list", "elements": "path", "default": ["/"]},
            "sysctl": {"type": "list", "elements": "str", "default": []},
            "brokers": {"type": "dict", "default": {}},
            "program": {"type": "dict", "default": {}},
            "redis": {"type": "dict", "default": {}, "options": server},
            "sentinel": {"type": "dict", "default": {}, "options": server},
            "firewall": {
                "type": "dict",
                "options": {"table": {"type": "str", "required": True}, "path": {"type": "path", "required": True}},
            },
            "timeout_seconds": {"type": "float", "default": 2.0},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, report=collect(module))


if __name__ == "__main__":
    main()
