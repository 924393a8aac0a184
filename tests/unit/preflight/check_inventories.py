# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the action plugin over many inventories in one process; prints its findings for each as JSON.

check_inventories.py COLLECTIONS INVENTORY…
"""

from __future__ import annotations

import json
import os
import sys
import types
import typing as t

# The action base class asks whether there is a temporary directory; nothing else of a connection may be used.
NOWHERE = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir=""))


def read(path: str, loader: t.Any) -> tuple[t.Any, t.Any, t.Any]:
    """An inventory as Ansible reads it: its hosts, their variables, and those of all hosts as a task sees them."""
    from ansible.inventory.manager import InventoryManager
    from ansible.vars.hostvars import HostVars
    from ansible.vars.manager import VariableManager

    inventory = InventoryManager(loader=loader, sources=[path])
    manager = VariableManager(loader=loader, inventory=inventory)
    return inventory, manager, HostVars(inventory=inventory, variable_manager=manager, loader=loader)


def action_of(name: str, args: dict[str, t.Any], variables: dict[str, t.Any], loader: t.Any) -> t.Any:
    """An action plugin of the collection as a task would run it."""
    from ansible.playbook.task import Task
    from ansible.plugins.loader import action_loader
    from ansible.template import Templar

    task = Task()
    task.args, task.action, task.check_mode = args, f"multinode.celery.{name}", False
    return action_loader.get(
        task.action, task=task, connection=NOWHERE, play_context=None, loader=loader,
        templar=Templar(loader=loader, variables=variables), shared_loader_obj=None,
    )  # fmt: skip


def check(path: str, loader: t.Any) -> dict[str, t.Any]:
    """Both stages of preflight with the defaults of its role, the second one where the inventory gives facts."""
    from ansible.errors import AnsibleActionFail

    inventory, manager, hostvars = read(path, loader)
    defaults = loader.load_from_file(os.path.join(role_path(), "defaults/main.yml"))
    names = sorted(inventory.hosts)
    known = {name: manager.get_vars(host=inventory.hosts[name]).get("known_facts") for name in names}
    message: list[str] = []
    for stage in ["inventory", *(["hosts"] if all(known.values()) else [])]:
        if stage == "hosts":
            for name in names:
                manager.set_host_facts(name, known[name])
        variables = manager.get_vars(host=inventory.hosts[names[0]])
        variables.update(hostvars=hostvars, ansible_play_hosts_all=names)
        args = {
            "stage": stage,
            "required_groups": defaults["preflight_required_groups"],
            "limits": {name.removeprefix("preflight_"): value for name, value in defaults.items()},
        }
        try:
            action_of("preflight", args, variables, loader).run(task_vars=variables)
        except AnsibleActionFail as exc:
            message.append(str(exc))
            break
    return {"stage": stage, "message": "\n".join(message)}


def role_path() -> str:
    return os.path.join(sys.argv[1], "ansible_collections/multinode/celery/roles/preflight")


def main() -> None:
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([sys.argv[1]])
    # Keeps what it read of the roles, which is the same for every inventory.
    loader = DataLoader()
    json.dump({path: check(path, loader) for path in sys.argv[2:]}, sys.stdout)


if __name__ == "__main__":
    main()
