# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles and playbooks of this collection as files: what a role declares, and which hosts a playbook runs it on."""

from __future__ import annotations

import collections.abc as c
import fnmatch
import os
import typing as t

from ansible.utils.vars import load_extra_vars

COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAMESPACE = "multinode.celery."
SITE = "playbooks/site.yml"
IMPORT_PLAYBOOK = ("ansible.builtin.import_playbook", "import_playbook")
ROLE_ACTIONS = ("ansible.builtin.import_role", "ansible.builtin.include_role", "import_role", "include_role")


class Use(t.NamedTuple):
    """One role as a play runs it."""

    role: str
    entry: str
    #: Given where the play names the role; they come before everything but the command line.
    variables: dict[str, t.Any]
    when: list[t.Any]
    #: Of the play itself; the role's own vars/main.yml comes before them.
    play_variables: dict[str, t.Any] = {}


def conditions(task: c.Mapping[str, t.Any]) -> list[t.Any]:
    """Return the conditions of a task as a list."""
    when = task.get("when", [])
    return list(when) if isinstance(when, (list, tuple)) else [when]


class RoleFiles:
    """Reads each file of the roles and playbooks once; nobody may change what it returns.

    :param loader: Ansible's loader of the run.
    :param root: directory that holds C(roles) and C(playbooks).
    """

    def __init__(self, loader: t.Any, root: str = COLLECTION) -> None:
        self.loader = loader
        self.root = root
        #: Variables of the command line, which come before all others.
        self.extra_variables: dict[str, t.Any] = dict(load_extra_vars(loader))
        #: Values of defaults that depend on no variable, by role and name: they are templated once and not for each host.
        self.constants: dict[tuple[str, str], t.Any] = {}
        self._files: dict[str, t.Any] = {}
        self._specs: dict[str, dict[str, dict[str, t.Any]]] = {}
        self._inputs: dict[str, frozenset[str]] = {}

    def load(self, role: str, path: str) -> t.Any:
        """Return a file of a role, an empty dictionary where the role has none."""
        return self._read(os.path.join(self.root, "roles", role, path)) or {}

    def _read(self, name: str) -> t.Any:
        if name not in self._files:
            # Without a copy: to copy takes longer than all that is done with it.
            found = os.path.isfile(name)
            self._files[name] = self.loader.load_from_file(name, cache="all", unsafe=True, trusted_as_template=True) if found else None
        return self._files[name]

    def roles(self) -> list[str]:
        """Return the names of all roles, also of those that no playbook runs."""
        return sorted(name for name in os.listdir(os.path.join(self.root, "roles")) if not name.startswith("."))

    def specs(self, role: str) -> dict[str, dict[str, t.Any]]:
        """Return the inputs of a role with their specs, whatever their entry point."""
        if role not in self._specs:
            entries = self.load(role, "meta/argument_specs.yml").get("argument_specs", {})
            self._specs[role] = {name: option for entry in entries.values() for name, option in (entry.get("options") or {}).items()}
        return self._specs[role]

    def inputs(self, role: str) -> frozenset[str]:
        """Return the names of all inputs of a role."""
        if role not in self._inputs:
            self._inputs[role] = frozenset(self.load(role, "defaults/main.yml")) | frozenset(self.specs(role))
        return self._inputs[role]

    def with_dependencies(self, uses: c.Iterable[Use]) -> list[Use]:
        """Return roles with those that their C(meta/main.yml) depends on before them, each dependency once, as Ansible runs them."""
        found: list[Use] = []
        for use in uses:
            self._add(use, found, ())
        return found

    def _add(self, use: Use, found: list[Use], parents: tuple[str, ...]) -> None:
        for entry in self.load(use.role, "meta/main.yml").get("dependencies") or []:
            given: c.Mapping[str, t.Any] = {"role": entry} if isinstance(entry, str) else entry
            role = self._own_role(given.get("role") or given.get("name"))
            there = any(one.role == role and one.entry == "main" for one in found)
            if role and not there and role not in (*parents, use.role):
                inherited = {**use.variables, **(given.get("vars") or {})}
                self._add(Use(role, "main", inherited, use.when + conditions(given), use.play_variables), found, (*parents, use.role))
        if use not in found:
            found.append(use)

    def uses(self, playbook: str = "") -> dict[str, list[Use]]:
        """Return what each host pattern gets from a playbook and those that it imports, in their order.

        :param playbook: path of a playbook, that of the whole cluster when empty.
        """
        found: dict[str, list[Use]] = {}
        for pattern, use in self._plays(playbook or os.path.join(self.root, SITE)):
            found.setdefault(pattern, []).append(use)
        return {pattern: self.with_dependencies(uses) for pattern, uses in found.items()}

    def _plays(self, path: str) -> t.Iterator[tuple[str, Use]]:
        for play in self._read(path) or []:
            imported = next((str(play[name]) for name in IMPORT_PLAYBOOK if name in play), None)
            if imported:
                yield from self._plays(self._playbook(imported, path))
                continue
            scope = play.get("vars") or {}
            tasks = {name: [use for task in play.get(name) or [] for use in self._task_uses(task, scope)] for name in ("pre_tasks", "tasks", "post_tasks")}
            for use in [*tasks["pre_tasks"], *self._role_uses(play, scope), *tasks["tasks"], *tasks["post_tasks"]]:
                yield str(play["hosts"]), use

    def _playbook(self, name: str, importing: str) -> str:
        if name.startswith(NAMESPACE):
            return os.path.join(self.root, "playbooks", *name.removeprefix(NAMESPACE).split(".")) + ".yml"
        return os.path.join(os.path.dirname(importing), name)

    def _role_uses(self, play: c.Mapping[str, t.Any], scope: dict[str, t.Any]) -> t.Iterator[Use]:
        for entry in play.get("roles") or []:
            given: c.Mapping[str, t.Any] = {"role": entry} if isinstance(entry, str) else entry
            role = self._own_role(given.get("role") or given.get("name"))
            if role and "never" not in given.get("tags", []):
                yield Use(role, "main", given.get("vars") or {}, conditions(given), scope)

    def _task_uses(self, task: c.Mapping[str, t.Any], scope: dict[str, t.Any]) -> t.Iterator[Use]:
        given = next((task[name] for name in ROLE_ACTIONS if name in task), None)
        role = self._own_role(given["name"]) if given else ""
        if given and role:
            yield Use(role, str(given.get("tasks_from", "main")), task.get("vars") or {}, conditions(task), scope)

    def _own_role(self, name: t.Any) -> str:
        """Return the name of a role of this collection, an empty text for one of somebody else."""
        short = str(name).removeprefix(NAMESPACE)
        return short if os.path.isdir(os.path.join(self.root, "roles", short)) else ""


def members(pattern: str, groups: c.Mapping[str, c.Sequence[str]]) -> list[str]:
    """Return the hosts of a pattern of groups and hosts, C(:) or C(,) between them, with C(&), C(!) and wildcards, in their order."""
    found: dict[str, None] = {}
    terms = [term.strip() for term in pattern.replace(",", ":").split(":") if term.strip()]
    # Ansible adds first, whatever the order in which the terms are written.
    for term in sorted(terms, key=lambda term: "&!".find(term[0])):
        name = term.lstrip("&!")
        chosen = dict.fromkeys(host for group, hosts in groups.items() if fnmatch.fnmatchcase(group, name) for host in hosts)
        chosen.update(dict.fromkeys(host for host in groups.get("all", ()) if fnmatch.fnmatchcase(host, name)))
        if term.startswith("&"):
            found = {host: None for host in found if host in chosen}
        elif term.startswith("!"):
            found = {host: None for host in found if host not in chosen}
        else:
            found.update(chosen)
    return list(found)


def uses_by_host(mapping: c.Mapping[str, c.Sequence[Use]], groups: c.Mapping[str, c.Sequence[str]]) -> dict[str, list[Use]]:
    """Return the roles of every host that the patterns name; of those that a host gets twice the later one."""
    found: dict[str, dict[tuple[str, str], Use]] = {}
    for pattern, uses in mapping.items():
        named = {(use.role, use.entry): use for use in uses}
        for host in members(pattern, groups):
            found.setdefault(host, {}).update(named)
    return {host: list(uses.values()) for host, uses in found.items()}
