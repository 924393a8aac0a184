# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read one table of nftables: as it is, and as given rules would make it."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


class NftError(Exception):
    """nft cannot list a table, or refuses rules."""


class NftTable:
    """One table of the family inet on this host. C(nft) is the path of the program, none where it is not installed."""

    def __init__(self, module: AnsibleModule, name: str) -> None:
        self.module = module
        self.name = name
        self.nft = module.get_bin_path("nft")

    def run(self, *command: str, data: str | None = None) -> tuple[int, str, str]:
        """Run a command; what nft prints must not depend on the language."""
        code, out, err = self.module.run_command(list(command), data=data, binary_data=False, environ_update={"LC_ALL": "C"}, expand_user_and_vars=False)
        return code, out, err

    def listing(self, stateless: bool = True) -> str:
        """Return the live table as nft prints it, empty where there is none. Raises NftError."""
        options = ["-s"] if stateless else []
        code, out, err = self.run(str(self.nft), *options, "list", "table", "inet", self.name)
        if code and "No such file or directory" not in err:
            raise NftError(f"nft cannot list the table {self.name}: {err.strip()}")
        return "" if code else out

    def normal(self, rules: str) -> str:
        """Return rules as nft prints them, from a network namespace that nobody uses. Raises NftError."""
        if not rules.strip():
            return ""
        script = f"{self.nft} -f - && {self.nft} -s list table inet {self.name}"
        code, out, err = self.run("unshare", "--net", "sh", "-c", script, data=rules)
        if code:
            raise NftError(f"nft refuses the rules, nothing was changed: {err.strip() or out.strip()}")
        return out
