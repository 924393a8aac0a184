#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: limits_info
short_description: Compare the limits of running services with the wanted ones
version_added: "1.0.0"
description:
  - Reads the limit of open files of the main process of each service, and the highest limit that the host can give.
  - A limit above that ceiling is not held against a service.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  processes:
    description: Services with the limit that each should have.
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
        description: Wanted number of open files.
        type: int
        required: true
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Read the limits of Redis
  multinode.celery.limits_info:
    processes:
      - unit: redis-broker.service
        nofile: 65536
"""

RETURN = r"""
ceiling:
  description: The highest limit of open files that the host's service manager can give.
  type: int
  returned: always
processes:
  description: What was found for each service.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Unit or program.
      type: str
    pid:
      description: Its main process, 0 when it does not run.
      type: int
    nofile:
      description: Its soft limit of open files, -1 without a limit.
      type: int
    wanted:
      description: What it should have, the lower of the wanted limit and the ceiling.
      type: int
problems:
  description: One sentence for each service that does not run or has less than it should have.
  type: list
  elements: str
  returned: always
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils._limits import (
    ceiling,
    enough,
    nofile_of,
    programs_of,
    units_of,
)


def read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def pids(module: AnsibleModule, processes: list[dict[str, t.Any]]) -> dict[str, int]:
    """The main process of each service, found with one command for each manager."""
    found: dict[str, int] = {}
    units = [entry["unit"] for entry in processes if entry["unit"]]
    if units:
        _rc, out, _err = module.run_command(["systemctl", "show", "--property=Id,MainPID", *units], check_rc=True)
        found.update({name: int(shown.get("MainPID") or 0) for name, shown in units_of(out).items()})
    supervisorctl = module.get_bin_path("supervisorctl")
    if supervisorctl and any(entry["program"] for entry in processes):
        # Its exit code tells whether all programs run, which is asked for one by one below.
        _rc, out, _err = module.run_command([supervisorctl, "status"])
        found.update(programs_of(out))
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "processes": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "unit": {"type": "str"},
                    "program": {"type": "str"},
                    "nofile": {"type": "int", "required": True},
                },
                "mutually_exclusive": [("unit", "program")],
                "required_one_of": [("unit", "program")],
            }
        },
        supports_check_mode=True,
    )
    most = ceiling(read("/proc/1/limits"), read("/proc/1/status"), int(read("/proc/sys/fs/nr_open")))
    found = pids(module, module.params["processes"])
    processes, problems = [], []
    for entry in module.params["processes"]:
        name = entry["unit"] or entry["program"]
        pid, soft, wanted = found.get(name, 0), 0, min(entry["nofile"], most)
        try:
            limits = nofile_of(read(f"/proc/{pid}/limits")) if pid else None
        except OSError:
            limits = None
        if not limits:
            problems.append(f"{name} does not run")
        else:
            soft = limits[0]
            if not enough(soft, entry["nofile"], most):
                problems.append(f"{name} (process {pid}) may open {soft} files and should be able to open {wanted}: restart it")
        processes.append({"name": name, "pid": pid, "nofile": soft, "wanted": wanted})
    module.exit_json(changed=False, ceiling=most, processes=processes, problems=problems)


if __name__ == "__main__":
    main()
