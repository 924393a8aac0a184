# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a file of secrets."""

from __future__ import annotations

import collections.abc as c
import re
import secrets
import string
import typing as t

LETTERS = string.ascii_letters + string.digits
HEAD = """\
---
# Passwords made by the playbook multinode.celery.ops.create_secrets; it adds what is missing and keeps what is here.
"""
PASSWORD_VARIABLE = re.compile(r"\bvault_\w+_password\b")


def new_password(length: int) -> str:
    """Letters and digits only: they stand in ACL files, URLs and environment files as they are."""
    return "".join(secrets.choice(LETTERS) for _place in range(length))


def wanted_in(value: t.Any) -> set[str]:
    """The password variables that the templates anywhere inside a value read."""
    if isinstance(value, str):
        return set(PASSWORD_VARIABLE.findall(value)) if "{{" in value or "{%" in value else set()
    if isinstance(value, c.Mapping):
        return set().union(*(wanted_in(entry) for entry in value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*(wanted_in(entry) for entry in value))
    return set()


def added(text: str, passwords: t.Mapping[str, str]) -> str:
    """The text with more passwords at its end; what stands in it is kept to the letter."""
    text = text or HEAD
    if not text.endswith("\n"):
        text += "\n"
    return text + "".join(f'{name}: "{value}"\n' for name, value in sorted(passwords.items()))
