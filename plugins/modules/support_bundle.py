#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: support_bundle
short_description: Collect logs, configuration and state of a host without its secrets
version_added: "1.0.0"
description:
  - Reads files and the output of commands, takes every secret out of them before they leave the host, and hands them
    to the controller, where its action plugin looks for secrets again and writes them to a folder of the host.
  - Nothing is changed on the host. What cannot be read is noted in the bundle.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  directory:
    description: Folder on the controller in which the host gets one of its own.
    type: path
    required: true
  files:
    description: Files and patterns of files, besides those that the playbook C(multinode.celery.site) places on the host.
    type: list
    elements: str
    default: []
  commands:
    description: Commands, each with the name of the file that gets its output.
    type: dict
    default: {}
  bytes_max:
    description: How much of the end of each file and output is kept, in bytes.
    type: int
    default: 1000000
  timeout_seconds:
    description: How long one command may take, in seconds.
    type: int
    default: 20
  secrets:
    description: What must not be seen; the action plugin fills it with every secret of the inventory.
    type: list
    elements: str
    default: []
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Collect the files of the host without secrets
  multinode.celery.support_bundle:
    directory: bundle
    files: [/etc/os-release, /var/log/celery/*.log]
    commands:
      units.txt: systemctl list-units --all
"""

RETURN = r"""
status:
  description: V(ok), or V(unreachable) or V(failed) with the reason in C(message).
  type: str
  returned: always
files:
  description: Number of files that the host gave.
  type: int
  returned: always
"""

import glob
import os
import shlex

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_text
from ansible_collections.multinode.celery.plugins.module_utils._redaction import redact


def end_of(path: str, most: int) -> str:
    """Return the last bytes of a file; a cut first line is left out, because its name may be gone and its secret not."""
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size <= most:
            return to_text(stream.read(), errors="replace")
        stream.seek(size - most)
        return to_text(stream.read().partition(b"\n")[2], errors="replace")


def collect(module: AnsibleModule) -> dict[str, str]:
    """Return the redacted texts by their place in the bundle."""
    params = module.params
    secrets = params["secrets"]
    found: dict[str, str] = {}
    for pattern in params["files"]:
        for path in sorted(glob.glob(pattern)):
            if not os.path.isfile(path):
                continue
            try:
                found[f"files{path}"] = redact(end_of(path, params["bytes_max"]), secrets, path)
            except OSError as exc:
                found[f"files{path}"] = f"not read: {exc.strerror}\n"
    for name, command in params["commands"].items():
        argv = ["timeout", "--kill-after=5", str(params["timeout_seconds"]), *shlex.split(command)]
        code, out, err = module.run_command(argv, expand_user_and_vars=False, errors="replace")
        text = out[-params["bytes_max"]:].partition("\n")[2] if len(out) > params["bytes_max"] else out
        found[f"commands/{name}"] = redact(f"$ {command}\n{text}{err}{f'ended with {code}' if code else ''}", secrets)
    return found


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "str", "default": []},
            "commands": {"type": "dict", "default": {}},
            "bytes_max": {"type": "int", "default": 1000000},
            "timeout_seconds": {"type": "int", "default": 20},
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, texts=collect(module))


if __name__ == "__main__":
    main()
