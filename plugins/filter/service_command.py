# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quote a command line for the file format of a service manager."""

from __future__ import annotations

DOCUMENTATION = r"""
name: service_command
short_description: Quote a command line for a systemd unit or a supervisor program
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Joins the words of a command so that the manager starts exactly these words.
  - Both managers expand C(%), and systemd also expands C($); these characters are doubled.
positional: manager
options:
  _input:
    description: The command and its arguments.
    type: list
    elements: str
    required: true
  manager:
    description: The manager whose file the result is written to.
    type: str
    choices: [systemd, supervisor]
    required: true
"""

EXAMPLES = r"""
- name: Report the start line of a unit
  ansible.builtin.debug:
    msg: "ExecStart={{ ['/usr/local/bin/celery-proj', 'worker', '--queues=a,b'] | multinode.celery.service_command('systemd') }}"
"""

RETURN = r"""
_value:
  description: The quoted command line.
  type: str
"""

import re
import typing as t

from ansible.errors import AnsibleFilterError

_PLAIN = re.compile(r"^[A-Za-z0-9@%+=:,./_$-]+$")


def quote_word(word: t.Any, manager: str) -> str:
    """Return one word as the manager's configuration file wants it."""
    text = str(word)
    if "\n" in text:
        raise AnsibleFilterError(f"service_command: {text!r} contains a line break")
    if manager == "systemd":
        plain = bool(_PLAIN.match(text))
        text = text.replace("%", "%%").replace("$", "$$")
        if plain:
            return text
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if manager == "supervisor":
        # supervisor takes ' ;' as the beginning of a comment, even inside quotes.
        if " ;" in text:
            raise AnsibleFilterError(f"service_command: {text!r} contains ' ;', which supervisor takes for a comment")
        plain = bool(_PLAIN.match(text)) and "$" not in text
        text = text.replace("%", "%%")
        if plain:
            return text
        escaped = text.replace("'", "'\"'\"'")
        return f"'{escaped}'"
    raise AnsibleFilterError(f"service_command: unknown manager {manager!r}, choose systemd or supervisor")


def service_command(argv: t.Sequence[t.Any], manager: str) -> str:
    """Filter entry point."""
    return " ".join(quote_word(word, manager) for word in argv)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"service_command": service_command}
