# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pprint
import typing as t

from ansible.errors import AnsibleFilterError


def simplified(value: t.Any) -> t.Any:
    """Return a value made of Python's own types, without what Ansible attaches to them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return "".join(value)
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, dict):
        return {simplified(key): simplified(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [simplified(entry) for entry in value]
    raise AnsibleFilterError(f"multinode.celery.python_literal cannot write a value of type {type(value).__name__}")


def python_literal(value: t.Any, width: int = 120) -> str:
    """Write a value as Python source text."""
    return pprint.pformat(simplified(value), width=width, sort_dicts=False)


class FilterModule:
    """Values as Python source text."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file by name."""
        return {"python_literal": python_literal}
