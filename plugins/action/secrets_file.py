# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.plugin_utils import secrets

SPEC = {
    "path": {"type": "path", "required": True},
    "step": {"type": "str", "default": "add", "choices": ["add", "introduce", "retire"]},
    "names": {"type": "list", "elements": "str", "default": []},
    "minimum_age_hours": {"type": "float", "default": 24.0},
    "length": {"type": "int", "default": 32},
}


class ActionModule(ActionBase):
    """Adds random passwords to a file of the controller or changes them, and encrypts it where a vault password is there."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Take one step.

        :param task_vars: variables of the task.
        :returns: the names of passwords, never a password.
        :raises AnsibleActionFail: when the file cannot be read, changed or written.
        """
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(SPEC)
        path = self._loader.path_dwim(args["path"])
        file = secrets.SecretsFile(path, getattr(self._loader, "_vault", None))
        try:
            text = file.read()
            present = dict(yaml.safe_load(text) or {})
        except (OSError, AnsibleError, yaml.YAMLError, UnicodeError, TypeError, ValueError) as exc:
            # The cause may quote the file.
            raise AnsibleActionFail(f"{path} cannot be read as a YAML dictionary ({type(exc).__name__}): give its vault password") from None
        if file.encrypted and not file.encrypt:
            raise AnsibleActionFail(f"{path} is encrypted: give its vault password")
        try:
            if args["step"] == "add":
                changed, result = self._add(file, text, present, args, task_vars or {})
            else:
                changed, result = self._rotate(text, present, args)
            if changed is not None and not self._task.check_mode:
                file.write(changed)
        except secrets.RotationError as exc:
            raise AnsibleActionFail(f"{path}: {exc}") from None
        except OSError as exc:
            raise AnsibleActionFail(f"{path} cannot be written: {exc.strerror}") from exc
        return {"changed": changed is not None, "path": path, "encrypted": file.encrypt, **result}

    def _add(
        self, file: secrets.SecretsFile, text: str, present: dict[str, t.Any], args: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> tuple[str | None, dict[str, t.Any]]:
        """Return the text with the passwords that are missing, None where it stays, and the result."""
        wanted, defined = self._inventory(task_vars)
        missing = sorted((set(args["names"]) | wanted) - set(present) - defined)
        # One that others can read, or that could be encrypted, is written anew.
        rewrite = bool(missing) or (bool(text) and ((file.encrypt and not file.encrypted) or file.mode != 0o600))
        passwords = {name: secrets.new_password(args["length"]) for name in missing}
        return secrets.added(text, passwords) if rewrite else None, {"created": missing}

    @staticmethod
    def _rotate(text: str, present: dict[str, t.Any], args: dict[str, t.Any]) -> tuple[str | None, dict[str, t.Any]]:
        """Return the text with other passwords, None where it stays, and the result."""
        if args["step"] == "introduce":
            step = secrets.introduction(present, args["names"], int(time.time()), args["minimum_age_hours"] * 3600, args["length"])
        else:
            step = secrets.retirement(present, args["names"])
        changed = secrets.replaced(text, step.values)
        return changed if step.values else None, {"introduced": step.introduced, "under_way": step.under_way, "recent": step.recent}

    @staticmethod
    def _inventory(task_vars: dict[str, t.Any]) -> tuple[set[str], set[str]]:
        """The password variables that the inventory reads, and those that it sets."""
        wanted: set[str] = set()
        defined: set[str] = set()
        hostvars = task_vars["hostvars"]
        for host in task_vars.get("groups", {}).get("all", ()):
            variables = hostvars.raw_get(host)
            wanted |= secrets.wanted_in(variables)
            defined |= {name for name in variables if name.startswith("vault_")}
        return wanted, defined
