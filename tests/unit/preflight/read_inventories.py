# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets preflight, doctor and support bundle read inventories with facts, and prints what each has read as JSON.

read_inventories.py COLLECTIONS INVENTORY…
"""

from __future__ import annotations

import json
import sys
import typing as t

import check_inventories


def compare(path: str, loader: t.Any) -> dict[str, t.Any]:
    """By host: the inputs as preflight and as doctor read them, the files of the bundle, and what of them is left without secrets."""
    from ansible_collections.multinode.celery.plugins.module_utils._redaction import redact
    from ansible_collections.multinode.celery.plugins.plugin_utils.role_files import RoleFiles, uses_by_host

    inventory, manager, hostvars = check_inventories.read(path, loader)
    names = sorted(inventory.hosts)
    for name in names:
        manager.set_host_facts(name, manager.get_vars(host=inventory.hosts[name])["known_facts"])
    variables = {**manager.get_vars(host=inventory.hosts[names[0]]), "hostvars": hostvars, "ansible_play_hosts_all": names}
    preflight, doctor, bundle = (check_inventories.action_of(name, {}, variables, loader) for name in ("preflight", "doctor_host", "support_bundle"))
    preflight._task_vars = doctor._vars = variables
    preflight._files = doctor._files = files = RoleFiles(loader)
    read, findings = preflight._inventory({"stage": "hosts", "required_groups": [], "limits": {}})
    assert findings == [], findings
    uses = uses_by_host(files.uses(), variables["groups"])
    found: dict[str, t.Any] = {}
    rendered: set[tuple[str, ...]] = set()
    for host in read.hosts:
        plan = doctor._deployment(host.name, uses[host.name], hostvars.raw_get(host.name)["ansible_facts"])
        entries = plan.entries()
        doctor._vars = {**variables, "inventory_hostname": host.name}
        expected, args = doctor._wanted(plan, entries, variables["groups"])
        # Hosts with the same files differ in nothing that a secret could be in.
        first = tuple(entries) not in rendered
        rendered.add(tuple(entries))
        placed, written, unknown = bundle._known(host.name, files, variables)
        found[host.name] = {
            "preflight": dict(host.values),
            "doctor": {name: plan.value(name) for name in plan.inputs if name in plan.variables},
            "expected": expected,
            "brokers": args["brokers"],
            "files": placed,
            "written": written,
            "unknown": unknown,
            # As on a host whose passwords are not those of the inventory any more: nothing is known by its value.
            "contents": {
                path: redact(plan.content(path, entry), [], path)
                for path, entry in entries.items() if entry["kind"] == "file" and entry["force"]
            } if first else None,
        }
    return found


def main() -> None:
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([sys.argv[1]])
    loader = DataLoader()
    json.dump({path: compare(path, loader) for path in sys.argv[2:]}, sys.stdout, default=repr)


if __name__ == "__main__":
    main()
