# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles of this collection would put on a host, worked out on the controller from their own tasks."""

from __future__ import annotations

import collections.abc as c
import os
import typing as t

from ansible.errors import AnsibleError
from ansible.template import trust_as_template

COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILE_SET = "multinode.celery.file_set"
INCLUDES = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
SET_FACT = "ansible.builtin.set_fact"
IMPORT_PLAYBOOK = "ansible.builtin.import_playbook"
ROLE_ACTIONS = ("ansible.builtin.import_role", "ansible.builtin.include_role")
OVERRIDES = {"trim_blocks": True, "lstrip_blocks": True}


def conditions(task: c.Mapping[str, t.Any]) -> list[t.Any]:
    """Return the conditions of a task as a list."""
    when = task.get("when", [])
    return list(when) if isinstance(when, (list, tuple)) else [when]


def plain(value: t.Any) -> t.Any:
    """Return a value without any template left: Ansible resolves nested ones only when they are read."""
    if isinstance(value, c.Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


class Use(t.NamedTuple):
    """One role as a play runs it."""

    role: str
    entry: str
    variables: dict[str, t.Any]
    when: list[t.Any]


def uses_of(loader: t.Any, path: str) -> dict[str, list[Use]]:
    """Return what each host pattern gets from a playbook and those that it imports, in their order."""
    found: dict[str, list[Use]] = {}
    for play in loader.load_from_file(path, cache="all", trusted_as_template=True):
        if IMPORT_PLAYBOOK in play:
            for pattern, uses in uses_of(loader, os.path.join(os.path.dirname(path), str(play[IMPORT_PLAYBOOK]))).items():
                found.setdefault(pattern, []).extend(uses)
            continue
        uses = found.setdefault(str(play["hosts"]), [])
        scope = play.get("vars") or {}
        tasks = {name: [use for task in play.get(name) or [] for use in _task_uses(task, scope)] for name in ("pre_tasks", "tasks", "post_tasks")}
        uses.extend(tasks["pre_tasks"])
        for role in play.get("roles") or []:
            entry = {"role": role} if isinstance(role, str) else role
            if "never" not in entry.get("tags", []):
                uses.append(Use(_short(entry["role"]), "main", {**scope, **entry.get("vars", {})}, conditions(entry)))
        uses.extend(tasks["tasks"] + tasks["post_tasks"])
    return found


def _task_uses(task: c.Mapping[str, t.Any], scope: dict[str, t.Any]) -> t.Iterator[Use]:
    given = next((task[name] for name in ROLE_ACTIONS if name in task), None)
    if given:
        yield Use(_short(given["name"]), str(given.get("tasks_from", "main")), {**scope, **task.get("vars", {})}, conditions(task))


def _short(role: str) -> str:
    return str(role).rpartition(".")[2]


class Deployment:
    """The roles of one host with its variables; inputs that cannot be read are kept in problems."""

    def __init__(
        self, loader: t.Any, templar: t.Any, raw: c.Mapping[str, t.Any], hostvars: t.Any, roles: c.Sequence[str | Use], facts: dict[str, t.Any]
    ) -> None:
        self._loader = loader
        self._uses = [role if isinstance(role, Use) else Use(role, "main", {}, []) for role in roles]
        self.roles = list(dict.fromkeys(use.role for use in self._uses))
        #: Roles that the host gets as a whole, and not by one of their other entry points alone.
        self.whole = {use.role for use in self._uses if use.entry == "main"}
        self.problems: dict[str, str] = {}
        #: What depends on something that only a run knows.
        self.unknown: dict[str, str] = {}
        self._file_sets: list[tuple[str, dict[str, t.Any], dict[str, t.Any]]] = []
        self.variables: dict[str, t.Any] = {"ansible_managed": "Ansible managed"}
        for role in self.roles:
            self.variables.update(self._load(role, "defaults/main.yml"))
        self.variables.update(raw)
        for role in self.roles:
            self.variables.update(self._load(role, "vars/main.yml"))
        self.variables.update(
            hostvars=hostvars, ansible_check_mode=False, ansible_facts={**(raw.get("ansible_facts") or {}), **facts}
        )
        self._templar = templar.copy_with_new_env(available_variables=self.variables)

    def read_tasks(self) -> "Deployment":
        """Look through the tasks of the roles; without it only inputs are known."""
        for use in self._uses:
            if self._holds({"when": use.when}, use.variables):
                path = os.path.join(COLLECTION, "roles", use.role)
                own = {"role_path": path, "role_name": use.role, "ansible_search_path": [path, os.path.join(path, "tasks")]}
                self._walk(use.role, f"{use.entry}.yml", {**use.variables, **own})
        return self

    def _load(self, role: str, path: str) -> t.Any:
        name = os.path.join(COLLECTION, "roles", role, path)
        found = os.path.isfile(name)
        return (self._loader.load_from_file(name, cache="all", trusted_as_template=True) if found else None) or {}

    def specs(self, role: str) -> dict[str, dict[str, t.Any]]:
        """Return the inputs of a role with their specs, whatever their entry point."""
        entries = self._load(role, "meta/argument_specs.yml").get("argument_specs", {})
        return {name: option for entry in entries.values() for name, option in (entry.get("options") or {}).items()}

    def _walk(self, role: str, name: str, variables: dict[str, t.Any]) -> None:
        self._tasks(role, list(self._load(role, f"tasks/{name}")), variables)

    def _tasks(self, role: str, tasks: list[t.Any], variables: dict[str, t.Any]) -> None:
        """Keep facts and file sets of the tasks; a condition on what only a run knows counts as not met."""
        for task in tasks:
            # Values that a task computes are templates for whoever reads them, as late as in a run.
            for key, value in task.get(SET_FACT, {}).items():
                self.variables.setdefault(key, value)
        for task in tasks:
            scope = {**variables, **task.get("vars", {})}
            include = next((task[name] for name in INCLUDES if name in task), None)
            if not ("block" in task or FILE_SET in task or include) or not self._holds(task, scope):
                continue
            if "block" in task:
                self._tasks(role, list(task["block"]), scope)
            elif include:
                path = include["file"] if isinstance(include, c.Mapping) else include
                try:
                    self._walk(role, str(self._with(scope).template(path)), scope)
                except AnsibleError as exc:
                    self.unknown[f"{role}: {path}"] = brief(exc)
            else:
                self._file_sets.append((role, task[FILE_SET], scope))

    def _holds(self, task: c.Mapping[str, t.Any], scope: dict[str, t.Any]) -> bool:
        try:
            return all(self._with(scope).evaluate_conditional(condition) for condition in conditions(task))
        except AnsibleError:
            return False

    def _with(self, scope: dict[str, t.Any]) -> t.Any:
        return self._templar.copy_with_new_env(available_variables={**self.variables, **scope}) if scope else self._templar

    def value(self, name: str) -> t.Any:
        """Return a variable of the host, None where it is not set or cannot be read."""
        if name not in self.variables:
            return None
        try:
            return plain(self._templar.template(self.variables[name]))
        except AnsibleError as exc:
            (self.unknown if name.startswith("__") else self.problems)[name] = brief(exc)
            return None

    def entries(self) -> dict[str, dict[str, t.Any]]:
        """Return what the roles place, by path: kind, attributes, and for files what :meth:`content` needs."""
        found: dict[str, dict[str, t.Any]] = {}
        for role, given, scope in self._file_sets:
            try:
                args = plain(self._with(scope).template(given))
            except AnsibleError as exc:
                self.unknown[f"{role}: files"] = brief(exc)
                continue
            for entry in args.get("directories") or []:
                found[entry["path"]] = {**attributes(args, entry, "directory_mode", "0755"), "kind": "directory"}
            for entry in args.get("files") or []:
                found[entry["path"]] = {
                    **attributes(args, entry, "mode", "0644"), "kind": "file", "role": role, "src": entry.get("src"), "scope": scope,
                    "vars": entry.get("vars") or {}, "content": entry.get("content"), "force": entry.get("force", True),
                }  # fmt: skip
            for entry in args.get("links") or []:
                found[entry["path"]] = {"kind": "link", "target": entry["target"]}
            for path in args.get("absent") or []:
                found[path] = {"kind": "absent"}
        return found

    def content(self, path: str, entry: c.Mapping[str, t.Any]) -> str:
        """Return what a file of :meth:`entries` would hold.

        :raises AnsibleError: when its template cannot be rendered.
        """
        if entry["content"] is not None:
            return str(entry["content"])
        root = os.path.join(COLLECTION, "roles", entry["role"], "templates")
        template = os.path.join(root, entry["src"] or f"{path.lstrip('/')}.j2")
        variables = {**self.variables, **entry["scope"], **entry["vars"]}
        templar = self._templar.copy_with_new_env(searchpath=[root, os.path.dirname(template)], available_variables=variables)
        text = trust_as_template(self._loader.get_text_file_contents(template))
        rendered = templar.template(text, escape_backslashes=False, overrides=OVERRIDES)
        return "" if rendered is None else str(rendered)


def attributes(args: c.Mapping[str, t.Any], entry: c.Mapping[str, t.Any], mode_name: str, mode: str) -> dict[str, str]:
    """Return owner, group and mode of an entry, with the defaults of its file set."""
    return {
        "owner": entry.get("owner") or args.get("owner") or "root",
        "group": entry.get("group") or args.get("group") or "root",
        "mode": entry.get("mode") or args.get(mode_name) or mode,
    }


def brief(error: Exception) -> str:
    """Return the last and most exact part of an error as one line."""
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__


def roles_of(host: str, mapping: c.Mapping[str, c.Sequence[Use]], groups: c.Mapping[str, c.Sequence[str]]) -> list[Use]:
    """Return the roles that a host gets through its groups; of those that it gets twice the later one."""
    found: dict[tuple[str, str], Use] = {}
    for pattern, uses in mapping.items():
        if any(host in groups.get(group, ()) for group in pattern.split(":")):
            found.update({(use.role, use.entry): use for use in uses})
    return list(found.values())


def differences(wanted: c.Mapping[str, c.Mapping[str, t.Any]], found: c.Mapping[str, c.Mapping[str, t.Any] | None]) -> dict[str, str]:
    """Compare what the roles place with what a host has; paths that differ, with the way in which they do.

    :param wanted: entries, files with C(sha256) in place of what it is made from; None there leaves the content out.
    :param found: what the host says about each path, None for a path that does not exist.
    """
    result: dict[str, str] = {}
    for path, entry in wanted.items():
        if path not in found:
            continue
        there = found[path]
        if entry["kind"] == "absent":
            if there:
                result[path] = "should not exist"
        elif not there:
            result[path] = "is missing"
        elif there["kind"] != entry["kind"]:
            result[path] = f"is a {there['kind']}, not a {entry['kind']}"
        elif entry["kind"] == "link":
            if there["target"] != entry["target"]:
                result[path] = f"points to {there['target']}, not to {entry['target']}"
        elif entry.get("sha256") and there["sha256"] != entry["sha256"]:
            result[path] = "has another content"
        elif int(str(there["mode"]), 8) != int(str(entry["mode"]), 8):
            result[path] = f"has mode {there['mode']}, not {entry['mode']}"
        elif (there["owner"], there["group"]) != (entry["owner"], entry["group"]):
            result[path] = f"belongs to {there['owner']}:{there['group']}, not to {entry['owner']}:{entry['group']}"
    return result
