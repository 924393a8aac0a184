# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quote environment variables for the file format of a service manager."""

from __future__ import annotations

DOCUMENTATION = r"""
name: service_environment
short_description: Quote environment variables for a systemd unit or a supervisor program
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Turns a dictionary into assignments, sorted by name, for C(Environment=) of systemd or C(environment=) of supervisor.
positional: manager
options:
  _input:
    description: Variables and their values.
    type: dict
    required: true
  manager:
    description: The manager whose file the result is written to.
    type: str
    choices: [systemd, supervisor]
    required: true
"""

EXAMPLES = r"""
- name: Report the environment line of a program
  ansible.builtin.debug:
    msg: "environment={{ {'LANG': 'C.UTF-8'} | multinode.celery.service_environment('supervisor') | join(',') }}"
"""

RETURN = r"""
_value:
  description: One quoted assignment for each variable.
  type: list
  elements: str
"""

import re
import typing as t

from ansible.errors import AnsibleFilterError

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def assignment(name: str, value: t.Any, manager: str) -> str:
    """Return one assignment as the manager's configuration file wants it."""
    text = str(value)
    if not _NAME.match(name):
        raise AnsibleFilterError(f"service_environment: {name!r} is not a name of an environment variable")
    if "\n" in text:
        raise AnsibleFilterError(f"service_environment: the value of {name} contains a line break")
    text = text.replace("%", "%%")
    if manager == "systemd":
        text = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{name}={text}"'
    if manager != "supervisor":
        raise AnsibleFilterError(f"service_environment: unknown manager {manager!r}, choose systemd or supervisor")
    # supervisor strips quotes from both ends and knows no escapes.
    quote = "'" if '"' in text else '"'
    if quote in text or text.strip("'\"") != text or " ;" in text:
        raise AnsibleFilterError(
            f"service_environment: supervisor cannot hold the value of {name}: no quotes at its ends, not both kinds, no ' ;'"
        )
    return f"{name}={quote}{text}{quote}"


def service_environment(variables: t.Mapping[str, t.Any], manager: str) -> list[str]:
    """Filter entry point."""
    return [assignment(name, variables[name], manager) for name in sorted(variables)]


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"service_environment": service_environment}
