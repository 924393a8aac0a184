# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a file of secrets."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import os
import re
import secrets
import stat
import string
import tempfile
import typing as t

import yaml
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.parsing.vault import is_encrypted

LETTERS = string.ascii_letters + string.digits
HEAD = """\
---
# Passwords made by the playbook multinode.celery.ops.create_secrets; it adds what is missing and keeps what is here.
"""
PASSWORD_VARIABLE = re.compile(r"\bvault_\w+_password\b")
PREVIOUS, CHANGED = "_previous", "_changed"


class RotationError(Exception):
    """A password that cannot be changed; the message holds no secret."""


def new_password(length: int) -> str:
    """Letters and digits only: they go into ACL files, URLs and environment files as they are."""
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
    """The text with more passwords at its end; what is in it is kept to the letter."""
    text = text or HEAD
    if not text.endswith("\n"):
        text += "\n"
    return text + "".join(f'{name}: "{value}"\n' for name, value in sorted(passwords.items()))


def replaced(text: str, values: t.Mapping[str, str]) -> str:
    """The text with other values for some variables, each on a line of its own; whatever else is in it is kept to the letter.

    :raises RotationError: when a value is written in a way that cannot be replaced safely.
    """
    present = yaml.safe_load(text) or {}
    lines, missing = text.splitlines(keepends=True), dict(values)
    for number, line in enumerate(lines):
        name = line.partition(":")[0]
        if name in missing:
            lines[number] = f"{name}: {json.dumps(missing.pop(name))}\n"
    result = "".join(lines)
    if missing and not result.endswith("\n"):
        result += "\n"
    result += "".join(f"{name}: {json.dumps(value)}\n" for name, value in sorted(missing.items()))
    try:
        kept = yaml.safe_load(result) == {**present, **values} and not missing.keys() & present.keys()
    except yaml.YAMLError:
        kept = False
    if not kept:
        raise RotationError(f"one of {', '.join(sorted(values))} is not written as one line `name: \"value\"`: write it so")
    return result


@dataclasses.dataclass
class Rotation:
    """What a step changes in a file of secrets."""

    values: dict[str, str] = dataclasses.field(default_factory=dict)
    # Passwords that get a new value, that are between two values, and that were changed too lately to be changed again.
    introduced: list[str] = dataclasses.field(default_factory=list)
    under_way: list[str] = dataclasses.field(default_factory=list)
    recent: list[str] = dataclasses.field(default_factory=list)


def chosen_passwords(present: t.Mapping[str, t.Any], names: t.Sequence[str]) -> list[str]:
    """The variables that are named; C(all) stands for every password of the file.

    :raises RotationError: when the file does not hold one of them.
    """
    known = sorted(name for name in present if PASSWORD_VARIABLE.fullmatch(name))
    chosen = known if list(names) == ["all"] else list(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise RotationError(f"{', '.join(unknown) or 'no name'}: the passwords of the file are {', '.join(known) or 'none'}; all stands for every one")
    return chosen


def introduction(present: t.Mapping[str, t.Any], names: t.Sequence[str], now: int, minimum_age: float, length: int) -> Rotation:
    """A new value beside the present one, where the last change is finished and old enough."""
    step = Rotation()
    for name in chosen_passwords(present, names):
        if present.get(name + PREVIOUS):
            step.under_way.append(name)
        elif now - int(present.get(name + CHANGED) or 0) < minimum_age:
            step.recent.append(name)
        else:
            step.introduced.append(name)
            step.under_way.append(name)
            step.values |= {name: new_password(length), name + PREVIOUS: str(present[name]), name + CHANGED: str(now)}
    return step


def retirement(present: t.Mapping[str, t.Any], names: t.Sequence[str]) -> Rotation:
    """No previous value any more."""
    return Rotation({name + PREVIOUS: "" for name in chosen_passwords(present, names) if present.get(name + PREVIOUS)})


class SecretsFile:
    """A file of variables on the controller, which a vault password may encrypt.

    :param vault: Ansible's vault, if there is any.
    """

    def __init__(self, path: str, vault: t.Any) -> None:
        self.path, self._vault = path, vault
        # Whether it is encrypted when it is written, whether it was, and who could read it.
        self.encrypt = bool(vault and vault.secrets)
        self.encrypted, self.mode = False, 0o600

    def read(self) -> str:
        """Return the plain text, which is empty where there is no file."""
        if not os.path.exists(self.path):
            return ""
        with open(self.path, "rb") as stream:
            content = stream.read()
        self.encrypted = is_encrypted(content)
        if self.encrypted:
            content = self._vault.decrypt(content)
        self.mode = stat.S_IMODE(os.stat(self.path).st_mode)
        return to_text(content)

    def write(self, text: str) -> None:
        """Replace the file at once; nobody else can read it at any time."""
        content = self._vault.encrypt(to_bytes(text)) if self.encrypt else to_bytes(text)
        folder = os.path.dirname(self.path)
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".vault-")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.replace(temporary, self.path)
        except OSError:
            os.unlink(temporary)
            raise
