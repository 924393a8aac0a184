# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.plugin_utils.secrets import SecretsFile, added, new_password, wanted_in

import yaml

SPEC = {
    "path": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "length": {"type": "int", "default": 32},
}


class ActionModule(ActionBase):
    """Adds random passwords to a file of the controller and encrypts it where a vault password is there."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Make what is missing.

        :param task_vars: variables of the task.
        :returns: the names of the new passwords, never a password.
        :raises AnsibleActionFail: when the file cannot be read or written.
        """
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(SPEC)
        path = self._loader.path_dwim(args["path"])
        try:
            file = SecretsFile(path, getattr(self._loader, "_vault", None))
            text = file.read()
            present = set(yaml.safe_load(text) or {})
        except (OSError, AnsibleError, yaml.YAMLError, UnicodeError, TypeError) as exc:
            # The cause may quote the file.
            raise AnsibleActionFail(f"{path} cannot be read as a YAML dictionary ({type(exc).__name__}): give its vault password") from None
        wanted, defined = self._inventory(task_vars or {})
        missing = sorted((set(args["names"]) | wanted) - present - defined)
        rewrite = bool(missing) or (file.encrypt and not file.encrypted and bool(text)) or (bool(text) and file.mode != 0o600)
        if rewrite and not self._task.check_mode:
            try:
                file.write(added(text, {name: new_password(args["length"]) for name in missing}))
            except OSError as exc:
                raise AnsibleActionFail(f"{path} cannot be written: {exc.strerror}") from exc
        return {"changed": rewrite, "path": path, "created": missing, "encrypted": file.encrypt}

    @staticmethod
    def _inventory(task_vars: dict[str, t.Any]) -> tuple[set[str], set[str]]:
        """The password variables that the inventory reads, and those that it sets."""
        wanted: set[str] = set()
        defined: set[str] = set()
        hostvars = task_vars["hostvars"]
        for host in task_vars.get("groups", {}).get("all", ()):
            variables = hostvars.raw_get(host)
            wanted |= wanted_in(variables)
            defined |= {name for name in variables if name.startswith("vault_")}
        return wanted, defined
