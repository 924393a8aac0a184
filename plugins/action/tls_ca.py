# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.plugin_utils.tls import CRYPTOGRAPHY_ERROR, TlsError, load_certificates
from ansible_collections.multinode.celery.plugins.plugin_utils.tls_directory import PHASES, CaDirectory

SPEC = {
    "path": {"type": "path", "required": True},
    "phase": {"type": "str", "required": True, "choices": list(PHASES)},
    "name": {"type": "str", "default": "Celery cluster CA"},
    "days": {"type": "int", "default": 3650},
    "passphrase": {"type": "str", "default": "", "no_log": True},
}


class ActionModule(ActionBase):
    """Takes one step of a rotation in the CA directory of the controller."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Change the directory.

        :param task_vars: variables of the task.
        :returns: the names of the trusted CAs.
        :raises AnsibleActionFail: when the step cannot be taken now.
        """
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(SPEC)
        if CRYPTOGRAPHY_ERROR:
            raise AnsibleActionFail(f"the Python package cryptography is missing on the controller: {CRYPTOGRAPHY_ERROR}")
        directory = CaDirectory(self._loader.path_dwim(args["path"]), args["name"], args["days"], args["passphrase"])
        try:
            if not directory.exists():
                raise TlsError(f"{directory.path} holds no CA: set tls_ca_directory to its directory, or deploy the cluster first")
            with directory.locked():
                changed = directory.advance(args["phase"], dry=bool(self._task.check_mode))
                trusted = load_certificates(directory.bundle(), str(directory.path))
        except TlsError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        except OSError as exc:
            raise AnsibleActionFail(f"{exc.filename} cannot be used: {exc.strerror}") from exc
        return {"changed": changed, "trusted": [certificate.subject.rfc4514_string() for certificate in trusted]}
