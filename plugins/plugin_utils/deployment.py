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
from ansible_collections.multinode.celery.plugins.plugin_utils.references import names_in, reachable
from ansible_collections.multinode.celery.plugins.plugin_utils.role_files import RoleFiles, Use, conditions

FILE_SET = "multinode.celery.file_set"
INCLUDES = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
SET_FACT = "ansible.builtin.set_fact"
OVERRIDES = {"trim_blocks": True, "lstrip_blocks": True}
FACTS = "ansible_facts"
#: Replace the facts of a host that has not reported them; paths of files do not depend on them.
NO_FACTS = {"processor_nproc": 1, "memtotal_mb": 1024, "distribution": "Debian", "distribution_major_version": "12"}
# Names that every template knows without a variable.
TEMPLATE_NAMES = frozenset(
    {"lookup", "query", "q", "now", "undef", "range", "dict", "namespace", "cycler", "joiner", "omit", "vars"}
)  # fmt: skip


def untagged(value: t.Any) -> t.Any:
    """Return a value without any template left: Ansible resolves nested ones only when they are read."""
    if isinstance(value, c.Mapping):
        return {str(key): untagged(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [untagged(entry) for entry in value]
    return value


class Deployment:
    """The roles of one host with its variables, merged as Ansible does and templated when they are read.

    What cannot be read is kept in C(errors) and C(problems), what only a run knows in C(unknown), and what is made of facts
    that are not there in C(waiting).

    :param files: files of the roles, shared by all hosts.
    :param templar: of the task that asks.
    :param raw: variables of the host from inventory, command line and facts, before they are templated.
    :param hostvars: variables of all hosts.
    :param uses: roles of the host; a name alone means the role as a whole.
    :param facts: facts of the host that come before those in C(raw).
    """

    def __init__(
        self,
        files: RoleFiles,
        templar: t.Any,
        raw: c.Mapping[str, t.Any],
        hostvars: t.Any,
        uses: c.Sequence[str | Use],
        facts: c.Mapping[str, t.Any] | None = None,
    ) -> None:
        self._files = files
        self._uses = files.with_dependencies(use if isinstance(use, Use) else Use(use, "main", {}, []) for use in uses)
        self.roles = list(dict.fromkeys(use.role for use in self._uses))
        #: Roles that the host gets as a whole, and not by one of their other entry points alone.
        self.whole = {use.role for use in self._uses if use.entry == "main"}
        self.problems: dict[str, str] = {}
        self.errors: dict[str, AnsibleError] = {}
        #: What depends on something that only a run knows.
        self.unknown: dict[str, str] = {}
        self.waiting: set[str] = set()
        self._known: dict[str, t.Any] = {}
        self._views: dict[str, tuple[dict[str, t.Any], t.Any]] = {}
        self._file_sets: list[tuple[str, dict[str, t.Any], dict[str, t.Any]]] = []
        self._defaults: dict[str, t.Any] = {}
        self._role_variables: dict[str, t.Any] = {}
        self._owners: dict[str, str] = {}
        for role in self.roles:
            self._defaults.update(files.load(role, "defaults/main.yml"))
            self._role_variables.update(files.load(role, "vars/main.yml"))
            self._owners.update(dict.fromkeys(files.inputs(role), role))
        self.variables: dict[str, t.Any] = {"ansible_managed": "Ansible managed", **self._defaults, **raw, **self._role_variables, **files.extra_variables}
        self.facts = {**(raw.get(FACTS) or {}), **(facts or {})}
        self.variables.update({"hostvars": hostvars, "ansible_check_mode": False, FACTS: self.facts})
        self._templar = templar.copy_with_new_env(available_variables=self.variables)

    def read_tasks(self) -> Deployment:
        """Look through the tasks of the roles; without it only inputs are known."""
        for use in self._uses:
            scope = self._given(use)
            if self._holds({"when": use.when}, scope):
                path = os.path.join(self._files.root, "roles", use.role)
                own = {"role_path": path, "role_name": use.role, "ansible_search_path": [path, os.path.join(path, "tasks")]}
                self._walk(use.role, f"{use.entry}.yml", {**scope, **own})
        self._views.clear()
        return self

    def _given(self, use: Use) -> dict[str, t.Any]:
        """Return what a play sets for a role: its own variables where the role's vars/main.yml has none, and those beside the role's name."""
        of_play = {name: value for name, value in use.play_variables.items() if name not in self._role_variables}
        return {**of_play, **use.variables}

    def _walk(self, role: str, name: str, variables: dict[str, t.Any]) -> None:
        self._tasks(role, list(self._files.load(role, f"tasks/{name}")), variables)

    def _tasks(self, role: str, tasks: list[t.Any], variables: dict[str, t.Any]) -> None:
        """Keep facts and file sets of the tasks; a condition on what only a run knows counts as not met."""
        for task in tasks:
            # Values that a task computes are templates for whoever reads them, as late as in a run.
            for key, value in task.get(SET_FACT, {}).items():
                self.variables.setdefault(key, value)
        for task in tasks:
            scope = {**variables, **task.get("vars", {})}
            include = next((task[name] for name in INCLUDES if name in task), None)
            # What is delegated lands on another host.
            if not ("block" in task or FILE_SET in task or include) or "delegate_to" in task or not self._holds(task, scope):
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
        return self._templar.copy_with_new_env(available_variables=self._scoped(scope)) if scope else self._templar

    def _scoped(self, scope: c.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Return the variables of the host with those of a part of the run; the command line comes before both."""
        return {**self.variables, **scope, **self._files.extra_variables} if scope else self.variables

    @property
    def inputs(self) -> frozenset[str]:
        """The names of all inputs of the roles."""
        return frozenset(self._owners)

    def _view(self, name: str) -> tuple[dict[str, t.Any], t.Any]:
        """Return variables and templar as the role has them whose input this is; what a play sets for one task file alone is not the host's."""
        owner = self._owners.get(name, "")
        if owner not in self._views:
            use = next((use for use in reversed(self._uses) if use.role == owner and use.entry == "main"), None)
            given = self._given(use) if use else {}
            self._views[owner] = (self._scoped(given), self._with(given))
        return self._views[owner]

    def needs_facts(self, name: str) -> bool:
        """Tell whether a variable is made of facts, however indirectly."""
        variables, _templar = self._view(name)
        return name in variables and FACTS in reachable(variables[name], variables)

    def missing(self, name: str) -> set[str]:
        """Return the variables that are set nowhere although the value of an input needs them."""
        variables, _templar = self._view(name)
        return {entry for entry in reachable(variables[name], variables) if entry not in variables and entry not in TEMPLATE_NAMES}

    def read(self, name: str) -> t.Any:
        """Return a variable of the host.

        :raises KeyError: when it is not set, or cannot be read, or only with facts that are not there.
        """
        if name not in self._known and name not in self.waiting and name not in self.errors:
            self._read(name)
        return self._known[name]

    def _read(self, name: str) -> None:
        variables, templar = self._view(name)
        if name not in variables:
            return
        if not self.facts and self.needs_facts(name):
            self.waiting.add(name)
            return
        value = variables[name]
        default = value is not None and value is self._defaults.get(name)
        key = (self._owners.get(name, ""), name)
        if default and key in self._files.constants:
            self._known[name] = self._files.constants[key]
            return
        try:
            self._known[name] = untagged(templar.template(value))
        except AnsibleError as exc:
            self.errors[name] = exc
            (self.unknown if name.startswith("__") else self.problems)[name] = brief(exc)
            return
        if default and not names_in(value):
            self._files.constants[key] = self._known[name]

    def value(self, name: str) -> t.Any:
        """Return a variable of the host, None where it is not set or cannot be read."""
        try:
            return self.read(name)
        except KeyError:
            return None

    def entries(self) -> dict[str, dict[str, t.Any]]:
        """Return what the roles place, by path: kind, attributes, and for files what :meth:`content` needs."""
        found: dict[str, dict[str, t.Any]] = {}
        for role, given, scope in self._file_sets:
            try:
                args = untagged(self._with(scope).template(given))
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

    def files(self) -> list[str]:
        """Return the paths of the files that the roles place."""
        return sorted(path for path, entry in self.entries().items() if entry["kind"] == "file")

    def content(self, path: str, entry: c.Mapping[str, t.Any]) -> str:
        """Return what a file of :meth:`entries` would hold.

        :raises AnsibleError: when its template cannot be rendered.
        """
        if entry["content"] is not None:
            return str(entry["content"])
        root = os.path.join(self._files.root, "roles", entry["role"], "templates")
        template = os.path.join(root, entry["src"] or f"{path.lstrip('/')}.j2")
        variables = self._scoped({**entry["scope"], **entry["vars"]})
        templar = self._templar.copy_with_new_env(searchpath=[root, os.path.dirname(template)], available_variables=variables)
        text = trust_as_template(self._files.loader.get_text_file_contents(template))
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


class Inputs(c.Mapping):  # type: ignore[type-arg]
    """The inputs of a host's roles; those that cannot be read, or wait for facts, are not in it."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._names = deployment.inputs

    def __getitem__(self, name: str) -> t.Any:
        if name not in self._names:
            raise KeyError(name)
        return self.deployment.read(name)

    def __contains__(self, name: object) -> bool:
        try:
            self[t.cast(str, name)]
        except KeyError:
            return False
        return True

    def __iter__(self) -> t.Iterator[str]:
        return iter(sorted(name for name in self._names if name in self))

    def __len__(self) -> int:
        return sum(1 for _name in self)


def differences(wanted: c.Mapping[str, c.Mapping[str, t.Any]], found: c.Mapping[str, c.Mapping[str, t.Any] | None]) -> dict[str, str]:
    """Compare what the roles place with what a host has; paths that differ, with the way in which they do.

    :param wanted: entries, files with C(sha256) in place of what it is made from; None there leaves the content out.
    :param found: what the host reports about each path, None for a path that does not exist.
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
