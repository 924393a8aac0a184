# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.plugin_utils import secrets

import yaml

SPEC = {
    "path": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "step": {"type": "str", "required": True, "choices": ["introduce", "retire"]},
    "minimum_age_hours": {"type": "float", "default": 24.0},
    "length": {"type": "int", "default": 32},
}


class ActionModule(ActionBase):
    """Puts new passwords beside the present ones in a file of the controller, or takes the former ones out of it."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Take one step.

        :param task_vars: variables of the task.
        :returns: names of passwords, never a password.
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
            if args["step"] == "introduce":
                step = secrets.introduction(present, args["names"], int(time.time()), args["minimum_age_hours"] * 3600, args["length"])
            else:
                step = secrets.retirement(present, args["names"])
            changed = secrets.replaced(text, step.values)
            if step.values and not self._task.check_mode:
                file.write(changed)
        except secrets.RotationError as exc:
            raise AnsibleActionFail(f"{path}: {exc}") from None
        except OSError as exc:
            raise AnsibleActionFail(f"{path} cannot be written: {exc.strerror}") from exc
        return {
            "changed": bool(step.values), "path": path,
            "introduced": step.introduced, "under_way": step.under_way, "recent": step.recent,
        }  # fmt: skip
