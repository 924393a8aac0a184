#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_rules
short_description: Load the rules of one table of nftables, and roll back where they cut off the controller
version_added: "1.0.0"
description:
  - Compares a live table with the rules that it should have, both in the form in which nft prints them,
    so that a table which was changed by hand is found. Replaces it in one transaction where it differs.
  - Before that the host arms a rollback. Then the controller makes a new connection to the host, and only where this succeeds
    the rollback is disarmed. Rules that cut off the controller are therefore gone after O(rollback_seconds), without anybody's help.
  - Where nothing differs this takes one round trip. Nothing is kept for the next boot; write the rules to a file afterwards.
  - Other tables are neither read nor changed.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  table:
    description: Name of the table of the family C(inet).
    type: str
    required: true
  unit:
    description: The service that loads the rules at boot; only asked whether it is active.
    type: str
    required: true
  rules:
    description:
      - A file for C(nft -f) that deletes and makes the table.
      - The table is removed where it is empty.
    type: str
    required: true
  rollback_seconds:
    description: How long the new connection may take.
    type: int
    default: 60
  step:
    description: Whether to replace the table and arm the rollback, or to disarm it; the action plugin sets it.
    type: str
    choices: [apply, confirm]
    default: apply
attributes:
  diff_mode:
    support: full
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Apply the ruleset
  multinode.celery.firewall_rules:
    table: multinode_celery
    unit: multinode-firewall.service
    rules: "{{ lookup('ansible.builtin.template', 'rules.nft.j2') }}"
"""

RETURN = r"""
unit_active:
  description: Whether O(unit) is active.
  returned: success
  type: bool
armed:
  description: Whether a rollback waits for its confirmation; the action plugin has always confirmed the rules.
  returned: success
  type: bool
rolled_back:
  description: Whether the host has its previous rules again, because the new ones cut off the controller.
  returned: when the rules could not be kept
  type: bool
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils._nftables import NftError, NftTable

DIRECTORY = "/run/multinode-firewall"


def replacing(table: str, listing: str) -> str:
    """Return a file for nft that restores a table to what was listed; to nothing where there was no such table."""
    # A table can only be deleted where it exists, so it is made first; all of it is one transaction.
    return f"table inet {table}\ndelete table inet {table}\n{listing}"


class Table(NftTable):
    """One table of nftables on this host, with the rollback that is ready."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module, module.params["table"])
        self.rollback = f"{self.name.replace('_', '-')}-firewall-rollback"
        self.previous = os.path.join(DIRECTORY, f"{self.name}.nft")

    def active(self, *units: str) -> bool:
        """Whether one of some units is active or about to be."""
        unused_code, out, unused_err = self.run("systemctl", "is-active", *units)
        return bool({"active", "activating"} & set(out.split()))

    def armed(self) -> bool:
        """Whether a rollback waits or runs."""
        return self.active(f"{self.rollback}.timer", f"{self.rollback}.service")

    def disarm(self) -> None:
        """Stop the timer; one that is just at work may finish."""
        self.run("systemctl", "stop", f"{self.rollback}.timer")

    def arm(self, seconds: int) -> None:
        """Have the host restore the present table by itself."""
        os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
        with open(self.previous, "w", encoding="utf-8") as file:
            file.write(replacing(self.name, self.listing(stateless=False)))
        code, unused_out, err = self.run(
            "systemd-run", "--quiet", "--collect", f"--unit={self.rollback}", f"--on-active={seconds}", "--timer-property=AccuracySec=100ms",
            "--description=Restore the previous rules of the firewall", str(self.nft), "-f", self.previous,
        )  # fmt: skip
        if code:
            self.module.fail_json(msg=f"The rollback cannot be armed, nothing was changed: {err.strip()}")

    def load(self, rules: str) -> str:
        """Replace the table in one transaction and return what nft complains about."""
        code, out, err = self.run(str(self.nft), "-f", "-", data=rules)
        return (err.strip() or out.strip() or f"nft ended with {code}") if code else ""


def apply(module: AnsibleModule, table: Table) -> None:
    """Replace the table where it differs."""
    rules = module.params["rules"]
    if table.nft is None:
        if not module.check_mode and rules.strip():
            module.fail_json(msg="nft is missing on the host: install the package nftables (firewall_packages)")
        module.exit_json(changed=bool(rules.strip()), armed=False, unit_active=False)
    abandoned = table.armed()
    if abandoned and not module.check_mode:
        # A run was killed between its two steps. Whoever went before it is what this one has to come back to.
        table.disarm()
        if os.path.exists(table.previous):
            table.run(str(table.nft), "-f", table.previous)
    live, wanted = table.listing(), table.normal(rules)
    changed = live != wanted or (abandoned and module.check_mode)
    result = {"changed": changed, "armed": False, "unit_active": table.active(module.params["unit"])}
    if changed and module._diff:
        header = f"table inet {table.name}"
        result["diff"] = {"before": live, "after": wanted, "before_header": header, "after_header": header}
    if not changed or module.check_mode:
        module.exit_json(**result)
    table.arm(module.params["rollback_seconds"])
    problem = table.load(rules if rules.strip() else replacing(table.name, ""))
    if problem:
        table.disarm()
        module.fail_json(msg=f"nft refuses the rules, nothing was changed: {problem}")
    module.exit_json(**{**result, "armed": True})


def confirm(module: AnsibleModule, table: Table) -> None:
    """Disarm the rollback where the new rules still hold."""
    table.disarm()
    held = table.listing() == table.normal(module.params["rules"])
    if os.path.exists(table.previous):
        os.unlink(table.previous)
    module.exit_json(changed=held, armed=False, held=held, unit_active=table.active(module.params["unit"]))


def main() -> None:
    """Take one step."""
    module = AnsibleModule(
        argument_spec={
            "table": {"type": "str", "required": True},
            "unit": {"type": "str", "required": True},
            "rules": {"type": "str", "required": True},
            "step": {"type": "str", "choices": ["apply", "confirm"], "default": "apply"},
            "rollback_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        {"apply": apply, "confirm": confirm}[module.params["step"]](module, Table(module))
    except NftError as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
