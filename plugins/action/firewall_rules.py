# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

MODULE = "multinode.celery.firewall_rules"
SPEC = {
    "table": {"type": "str", "required": True},
    "unit": {"type": "str", "required": True},
    "rules": {"type": "str", "required": True},
    "rollback_seconds": {"type": "int", "default": 60},
}
# After the rollback the host has to answer again; this is how long it may take.
GRACE_SECONDS = 30


class ActionModule(ActionBase):
    """Applies rules, and keeps them only where a new connection succeeds."""

    _requires_connection = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Apply, connect anew, confirm.

        :param task_vars: variables of the task.
        :returns: what changed, or that the previous rules are back.
        """
        super().run(tmp, task_vars)
        unused_result, args = self.validate_argument_spec(SPEC)
        try:
            applied = self._execute_module(module_name=MODULE, module_args={**args, "step": "apply"}, task_vars=task_vars)
        except AnsibleConnectionFailure:
            # The rules may have ended this very connection before the answer came.
            applied = {"changed": True, "armed": True}
        if applied.get("failed") or not applied.get("armed"):
            return applied
        deadline = time.monotonic() + args["rollback_seconds"]
        step = {**args, "step": "confirm"}
        confirmed = self._through_a_new_connection(step, task_vars, deadline)
        if confirmed is None:
            # The rollback has run by now; a host that is well answers again.
            time.sleep(max(0.0, deadline + 1 - time.monotonic()))
            confirmed = self._through_a_new_connection(step, task_vars, time.monotonic() + GRACE_SECONDS)
        if confirmed is None or (not confirmed.get("failed") and not confirmed["held"]):
            return self._lost(args["rollback_seconds"], confirmed is not None)
        return confirmed if confirmed.get("failed") else {**applied, "armed": False, "unit_active": confirmed["unit_active"]}

    def _through_a_new_connection(self, args: dict[str, t.Any], task_vars: t.Any, deadline: float) -> dict[str, t.Any] | None:
        """Return the result of a module that ran over a new connection, None where none succeeded in time."""
        while True:
            try:
                self._reconnect()
                result: dict[str, t.Any] = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
                if not result.get("unreachable"):
                    return result
            except AnsibleConnectionFailure:
                pass
            if time.monotonic() >= deadline:
                return None
            time.sleep(1)

    def _reconnect(self) -> None:
        """Leave the connection behind that was there before the rules."""
        # A kept connection proves nothing: packets of it may pass where new ones do not.
        if getattr(self._connection, "transport", "") != "local":
            self._connection.reset()

    @staticmethod
    def _lost(seconds: int, back: bool) -> dict[str, t.Any]:
        """Report what became of rules that were not confirmed."""
        state = "the host has its previous rules again" if back else "the host does not answer after the rollback either"
        return {
            "failed": True,
            "rolled_back": back,
            "msg": f"With the new rules the control machine could not connect to the host within {seconds} s, so they were not kept: {state}. "
            "See which port rule has the port of ssh (firewall_extra_port_rules, or the port of a service); where the network is only slow, "
            "raise firewall_rollback_seconds",
        }
