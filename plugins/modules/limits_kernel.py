#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: limits_kernel
short_description: Set parameters of the running kernel
version_added: "1.0.0"
description:
  - Writes the parameters whose live value differs, reads every one back, and fails when the kernel keeps another value.
  - A parameter that the host may not write, as in a container, is left alone with a warning.
  - Changes the running kernel only; what a boot sets is in files.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  sysctl:
    description: Wanted values by the name of the parameter.
    type: dict
    default: {}
  transparent_hugepages:
    description: Wanted use of transparent huge pages; V(keep) leaves it as it is.
    type: str
    choices: [never, madvise, always, keep]
    default: keep
attributes:
  diff_mode:
    support: full
    details: Returns the live values before and after.
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Set the kernel parameters of Redis
  multinode.celery.limits_kernel:
    sysctl:
      vm.overcommit_memory: 1
    transparent_hugepages: never
"""

RETURN = r"""
applied:
  description: Parameters that were changed, with their new values.
  type: dict
  returned: always
unavailable:
  description: Parameters with another live value that this host may not write.
  type: list
  elements: str
  returned: always
"""

import errno
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils._limits import same_value, selected, sysctl_path

HUGEPAGES = "/sys/kernel/mm/transparent_hugepage/enabled"
# What a container or a hardened host answers when a parameter is not its own.
DENIED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT)


def read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read().strip()


def write(path: str, value: str) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(f"{value}\n")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sysctl": {"type": "dict", "default": {}},
            "transparent_hugepages": {
                "type": "str",
                "choices": ["never", "madvise", "always", "keep"],
                "default": "keep",
            },
        },
        supports_check_mode=True,
    )
    wanted: list[tuple[str, str, str, t.Callable[[str], str]]]
    wanted = [(name, sysctl_path(name), str(value), str) for name, value in sorted(module.params["sysctl"].items())]
    if module.params["transparent_hugepages"] != "keep":
        wanted.append(("transparent_hugepages", HUGEPAGES, module.params["transparent_hugepages"], selected))
    before, applied, unavailable = {}, {}, []
    for name, path, value, shown in wanted:
        try:
            live = shown(read(path))
            if same_value(live, value):
                continue
            if not os.access(path, os.W_OK):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            if not module.check_mode:
                write(path, value)
                kept = shown(read(path))
                if not same_value(kept, value):
                    module.fail_json(msg=f"{name} is {kept} although {value} was written to {path}: set a value that the kernel takes")
        except OSError as exc:
            if exc.errno not in DENIED:
                module.fail_json(msg=f"{name} cannot be set to {value}: {exc.strerror} ({path})")
            unavailable.append(name)
            module.warn(f"{name} cannot be set to {value} on this host ({exc.strerror}), it is left as it is")
            continue
        before[name], applied[name] = live, value
    diff = {"before": lines(before), "after": lines(applied)}
    module.exit_json(changed=bool(applied), applied=applied, unavailable=unavailable, diff=diff)


def lines(values: dict[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in values.items())


if __name__ == "__main__":
    main()
