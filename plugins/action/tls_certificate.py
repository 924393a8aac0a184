# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.plugin_utils.tls import (
    CRYPTOGRAPHY_ERROR,
    CertificateAuthority,
    TlsError,
    check_custom,
    expiry,
    issue,
    load_certificates,
    reason_due,
)
from ansible_collections.multinode.celery.plugins.plugin_utils.tls_directory import CaDirectory

MODULE = "multinode.celery.tls_files"
SPEC = {
    "ca_directory": {"type": "path", "required": True},
    "ca_name": {"type": "str", "default": "Celery cluster CA"},
    "ca_days": {"type": "int", "default": 3650},
    "ca_passphrase": {"type": "str", "default": "", "no_log": True},
    "ca_replace": {"type": "bool", "default": False},
    "names": {"type": "list", "elements": "str", "required": True},
    "days": {"type": "int", "default": 365},
    "renew_before_days": {"type": "int", "default": 30},
    "custom_certificate": {"type": "str", "default": ""},
    "custom_key": {"type": "str", "default": "", "no_log": True},
    "custom_ca": {"type": "str", "default": ""},
    "ca_path": {"type": "path", "required": True},
    "certificate_path": {"type": "path", "required": True},
    "key_path": {"type": "path", "required": True},
    "group": {"type": "str", "required": True},
    "metrics_path": {"type": "str", "default": ""},
}
ON_THE_HOST = ("ca_path", "certificate_path", "key_path", "group", "metrics_path")


class ActionModule(ActionBase):
    """Issues the certificate of a host on the controller, for a key that never leaves the host."""

    _requires_connection = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Look at the host, and issue a certificate where one is due.

        :param task_vars: variables of the task.
        :returns: what changed, and why.
        :raises AnsibleActionFail: when the CA or the user's files cannot be used.
        """
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(SPEC)
        if CRYPTOGRAPHY_ERROR:
            raise AnsibleActionFail(f"the Python package cryptography is missing on the controller: {CRYPTOGRAPHY_ERROR}")
        try:
            return self._custom(args, task_vars) if args["custom_certificate"] else self._issued(args, task_vars)
        except TlsError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        except OSError as exc:
            raise AnsibleActionFail(f"{exc.filename} cannot be used: {exc.strerror}") from exc

    def _custom(self, args: dict[str, t.Any], task_vars: t.Any) -> dict[str, t.Any]:
        """Put the user's own files in place."""
        if not args["custom_key"] or not args["custom_ca"]:
            raise TlsError("tls_custom_certificate is set: set tls_custom_key and tls_custom_ca too")
        found = check_custom(args["custom_certificate"], args["custom_key"], args["custom_ca"], args["names"])
        if found:
            raise TlsError("; ".join(f"{fault.variable} {fault.problem}: {fault.remedy}" for fault in found))
        texts = {"certificate": args["custom_certificate"].strip() + "\n", "key": args["custom_key"].strip() + "\n"}
        result = self._on_the_host(args, args["custom_ca"].strip() + "\n", task_vars, replace_ca=args["ca_replace"], **texts)
        if result.get("foreign"):
            raise TlsError(
                "the host trusts other CAs than those of tls_custom_ca: change over in three runs, see docs/tls.md, "
                "or set tls_ca_replace to true for one run, which parts this host from all that trust the previous CA"
            )
        changed = args["certificate_path"] in result.get("changed_paths", ())
        return self._answer(result, "the certificate that you gave is another one" if changed else "")

    def _issued(self, args: dict[str, t.Any], task_vars: t.Any) -> dict[str, t.Any]:
        """Let the CA of the cluster issue what the host lacks."""
        path = self._loader.path_dwim(args["ca_directory"])
        directory = CaDirectory(path, args["ca_name"], args["ca_days"], args["ca_passphrase"])
        if self._task.check_mode and not directory.exists():
            return {"changed": True, "reason": f"a CA would be made in {path}", "changed_paths": []}
        with directory.locked():
            directory.make()
            bundle, ca = directory.bundle(), directory.signing()
        if args["custom_ca"].strip():
            load_certificates(args["custom_ca"], "tls_custom_ca")
            bundle += args["custom_ca"].strip() + "\n"
        present = self._on_the_host(args, bundle, task_vars, replace_ca=args["ca_replace"])
        if present.get("failed"):
            return present
        if present["foreign"]:
            raise TlsError(
                f"the host trusts other CAs than that of {path}: restore the right directory (tls_ca_directory), "
                "or set tls_ca_replace to true for one run, which parts this host from all that trust the previous CA"
            )
        reason = self._reason(args, present, ca)
        if not reason or self._task.check_mode:
            return self._answer(present, reason, changed=bool(reason))
        pending = present["pending_public_key"]
        if not pending:
            asked = self._on_the_host(args, bundle, task_vars, replace_ca=args["ca_replace"], new_key=True)
            if asked.get("failed"):
                return asked
            pending = asked["pending_public_key"]
        certificate = issue(ca, pending, args["names"], args["days"])
        result = self._on_the_host(args, bundle, task_vars, replace_ca=args["ca_replace"], certificate=certificate)
        result["changed_paths"] = sorted({*present["changed_paths"], *result.get("changed_paths", ())})
        return self._answer(result, reason, changed=True)

    @staticmethod
    def _reason(args: dict[str, t.Any], present: dict[str, t.Any], ca: CertificateAuthority) -> str:
        return reason_due(
            present["certificate"], present["public_key"], ca.certificate, args["names"], args["renew_before_days"], args["days"]
        )

    def _on_the_host(self, args: dict[str, t.Any], bundle: str, task_vars: t.Any, **more: t.Any) -> dict[str, t.Any]:
        """One round trip."""
        module_args = {name: args[name] for name in ON_THE_HOST} | {"bundle": bundle, "bundle_expiry": expiry(bundle)} | more
        return self._execute_module(module_name=MODULE, module_args=module_args, task_vars=task_vars)

    @staticmethod
    def _answer(result: dict[str, t.Any], reason: str, changed: bool = False) -> dict[str, t.Any]:
        """The result without what only the controller needs."""
        if result.get("failed"):
            return result
        return {"changed": changed or result["changed"], "reason": reason, "changed_paths": result["changed_paths"]}
