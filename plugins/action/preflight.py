# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import os
import re
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import BOOLEANS, boolean
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as core_version
from ansible.utils.display import Display
from ansible_collections.multinode.celery.plugins.plugin_utils import (
    pools,
    preflight_brokers,
    preflight_hosts,
    preflight_monitoring,
    preflight_tls,
    preflight_workers,
)
from ansible_collections.multinode.celery.plugins.plugin_utils.inventory_secrets import by_spec
from ansible_collections.multinode.celery.plugins.plugin_utils.preflight import (
    HIDDEN,
    Finding,
    Host,
    Inventory,
    meant,
    merged,
    reachable,
    report,
    run_checks,
)

COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CORE_LEAST = (2, 19)
FACTS = "ansible_facts"
# Asked for one run, on the command line or by a survey of AWX, which both give texts: their roles read them so.
ASKED_FLAGS = frozenset({"redis_update_packages", "tls_ca_replace"})
SECRET_MISSING = "secret_missing"
UNTOUCHED = {
    "inventory": "Nothing was changed, no host was contacted.",
    "hosts": "Nothing was changed on any host.",
}
SPEC = {
    "roles": {"type": "dict", "required": True},
    "stage": {"type": "str", "choices": ["inventory", "hosts"], "default": "inventory"},
    "required_groups": {"type": "list", "elements": "str", "default": []},
    "limits": {"type": "dict", "default": {}},
    "earlier": {"type": "dict", "default": {}},
}


class Values(c.Mapping):  # type: ignore[type-arg]
    """The inputs of the roles of one host, templated when they are read; what cannot be read is kept in problems."""

    def __init__(self, templar: t.Any, variables: dict[str, t.Any], names: t.Iterable[str], has_facts: bool) -> None:
        self._templar = templar
        self._variables = variables
        self._names = frozenset(names)
        self._has_facts = has_facts
        self._known: dict[str, t.Any] = {}
        self.waiting: set[str] = set()
        self.problems: dict[str, Exception] = {}

    def __getitem__(self, name: str) -> t.Any:
        if name not in self._names or name not in self._variables:
            raise KeyError(name)
        if name not in self._known and name not in self.waiting and name not in self.problems:
            self._read(name)
        return self._known[name]

    def needs_facts(self, name: str) -> bool:
        """Whether an input is made of facts, however indirectly."""
        return name in self._variables and FACTS in reachable(self._variables[name], self._variables)

    def _read(self, name: str) -> None:
        value = self._variables[name]
        if not self._has_facts and self.needs_facts(name):
            self.waiting.add(name)
            return
        try:
            self._known[name] = _plain(self._templar.template(value))
        except AnsibleError as exc:
            self.problems[name] = exc

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

    def missing(self, name: str) -> set[str]:
        """The variables that are set nowhere although the value of an input needs them."""
        found = reachable(self._variables[name], self._variables)
        return {entry for entry in found if entry not in self._variables and entry not in self._templar_globals()}

    def _templar_globals(self) -> c.Container[str]:
        return {"lookup", "query", "q", "now", "undef", "range", "dict", "namespace", "cycler", "joiner", "omit", "vars"}


class ActionModule(ActionBase):
    """Reads every host's inputs on the controller and refuses an inventory that cannot work."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Check the inventory or, once facts are there, the hosts.

        :param task_vars: variables of the task.
        :returns: what was checked, so that a later play of the run need not check it again.
        :raises AnsibleActionFail: with every finding in one message.
        """
        super().run(tmp, task_vars)
        self._task_vars = task_vars or {}
        _result, args = self.validate_argument_spec(SPEC)
        play_hosts = sorted(self._task_vars.get("ansible_play_hosts_all") or [])
        subject = {"stage": args["stage"], "roles": args["roles"], "hosts": play_hosts}
        if self._covered(subject, args["earlier"]):
            return {"changed": False, "checked": args["earlier"]["checked"], "complete": True}
        self._files: dict[str, t.Any] = {}
        inventory, findings = self._inventory(args)
        if args["stage"] == "inventory":
            checks = preflight_tls.CHECKS + preflight_brokers.CHECKS + preflight_workers.CHECKS + preflight_monitoring.CHECKS
        else:
            checks = preflight_hosts.CHECKS
        findings += run_checks(inventory, checks)
        fatal = merged(finding for finding in findings if finding.fatal)
        for finding in findings:
            if not finding.fatal:
                Display().warning(self._clean(finding.text(), inventory))
        if fatal:
            raise AnsibleActionFail(self._clean(report(fatal, UNTOUCHED[args["stage"]]), inventory))
        hosts = play_hosts if args["stage"] == "hosts" else []
        return {"changed": False, "checked": {**subject, "hosts": hosts}, "complete": False}

    @staticmethod
    def _covered(subject: dict[str, t.Any], earlier: dict[str, t.Any]) -> bool:
        """Whether an earlier play of this run has checked all of it."""
        checked = earlier.get("checked") or {}
        return checked.get("roles") == subject["roles"] and set(subject["hosts"]) <= set(checked.get("hosts") or [])

    def _load(self, role: str, path: str) -> dict[str, t.Any]:
        """One file of a role of this collection, read once."""
        name = os.path.join(COLLECTION, "roles", role, path)
        if name not in self._files:
            found = os.path.isfile(name)
            # Nothing here changes what is read, and copying it takes longer than all checks.
            self._files[name] = self._loader.load_from_file(name, cache="all", unsafe=True, trusted_as_template=True) if found else {}
        return self._files[name] or {}

    def _specs(self, role: str) -> dict[str, dict[str, t.Any]]:
        entries = self._load(role, "meta/argument_specs.yml").get("argument_specs", {})
        return {name: option for entry in entries.values() for name, option in (entry.get("options") or {}).items()}

    def _inventory(self, args: dict[str, t.Any]) -> tuple[Inventory, list[Finding]]:
        """All hosts of the groups with the inputs of their roles, and what is wrong with single inputs."""
        groups = {name: list(hosts) for name, hosts in (self._task_vars.get("groups") or {}).items()}
        roles_of: dict[str, dict[str, None]] = {}
        findings: list[Finding] = []
        for group, roles in args["roles"].items():
            # Its own inputs are checked like everybody's.
            roles = ["preflight", *roles]
            for role in roles:
                if not os.path.isdir(os.path.join(COLLECTION, "roles", role)):
                    raise AnsibleActionFail(f"preflight_roles names the role {role!r} for the group {group!r}, which does not exist")
            for host in groups.get(group, ()):
                roles_of.setdefault(host, {}).update(dict.fromkeys(roles))
        if args["stage"] == "hosts":
            wanted = set(self._task_vars.get("ansible_play_hosts_all") or [])
            roles_of = {host: roles for host, roles in roles_of.items() if host in wanted}
        elif tuple(int(part) for part in core_version.split(".")[:2]) < CORE_LEAST:
            findings.append(
                Finding(
                    "ansible_core", "ansible-core", core_version, (), "this collection needs 2.19 or newer",
                    "Install a newer ansible-core on the controller",
                )  # fmt: skip
            )
        hosts = tuple(self._host(name, list(roles)) for name, roles in roles_of.items())
        inventory = Inventory(hosts, groups, args["roles"], tuple(args["required_groups"]), args["limits"])
        return inventory, findings + self._spec_findings(inventory, args["stage"])

    def _host(self, name: str, roles: list[str]) -> Host:
        hostvars = self._task_vars["hostvars"]
        raw = hostvars.raw_get(name)
        variables: dict[str, t.Any] = {}
        names: set[str] = set()
        for role in roles:
            defaults = self._load(role, "defaults/main.yml")
            variables.update(defaults)
            names.update(defaults, self._specs(role))
        variables.update(raw)
        for role in roles:
            # Only the role's own names: what stands in vars/ cannot be set from an inventory.
            variables.update({key: value for key, value in self._load(role, "vars/main.yml").items() if key.startswith("__")})
        variables["hostvars"] = hostvars
        facts = raw.get(FACTS) or {}
        variables.setdefault(FACTS, facts)
        templar = self._templar.copy_with_new_env(available_variables=variables)
        return Host(name, roles, Values(templar, variables, names, bool(facts)), facts)

    def _spec_findings(self, inventory: Inventory, stage: str) -> list[Finding]:
        """What the argument specs of the roles say, and inputs that cannot be read at all."""
        findings: list[Finding] = []
        known: dict[str, list[str]] = {}
        for host in inventory.hosts:
            values = t.cast(Values, host.values)
            for role in sorted(host.roles):
                specs = self._specs(role)
                if stage == "hosts":
                    # All others were validated before the facts were there.
                    specs = {name: spec for name, spec in specs.items() if values.needs_facts(name)}
                # Pools have a check of their own that says more than their specs.
                given = {name: values[name] for name in specs if name in values and name not in pools.INPUTS}
                late = {name for name in specs if name in values.waiting or name in values.problems or name in pools.INPUTS}
                # Equal inputs, as in a group of workers, are validated once.
                key = role + json.dumps(given, sort_keys=True, default=repr) + repr(sorted(late))
                if key not in known:
                    known[key] = self._errors({name: spec for name, spec in specs.items() if name not in late}, given)
                for error in known[key]:
                    findings.append(self._spec_finding(inventory, role, host, error, set(specs)))
                for name in specs:
                    if name in values.problems:
                        findings.extend(self._unreadable(inventory, role, host, name, values))
        return _secrets_at_once(merged(findings))

    @staticmethod
    def _errors(specs: dict[str, t.Any], given: dict[str, t.Any]) -> list[str]:
        result = ArgumentSpecValidator(specs).validate(given, validate_role_argument_spec=True)
        return [*map(str, result.error_messages), *_texts_for_flags(specs, given)]

    @staticmethod
    def _spec_finding(inventory: Inventory, role: str, host: Host, error: str, names: set[str]) -> Finding:
        found = [name for name in re.findall(r"\w+", error) if name in names]
        missing = error.startswith("missing required arguments") and "found in" not in error
        remedy = f"{'Set' if missing else 'Correct'} it in {inventory.where(role)}"
        if ". Supported parameters include:" in error:
            key, _dot, rest = error.partition(". Supported parameters include:")
            known = [entry.strip() for entry in rest.strip(" .").split(",")]
            name = key.split(".")[-1]
            error = f"{key} is not a key that the role knows{meant(name, known)}, it knows {', '.join(known)}"
        return Finding("argument_spec", " and ".join(dict.fromkeys(found)) or role, "", (host.name,), error.rstrip("."), remedy)

    @staticmethod
    def _unreadable(inventory: Inventory, role: str, host: Host, name: str, values: Values) -> t.Iterator[Finding]:
        missing = values.missing(name)
        for variable in sorted(missing):
            secret = variable.startswith("vault_")
            yield Finding(
                SECRET_MISSING if secret else "variable_missing", variable, "", (host.name,),
                "no such secret is set" if secret else f"it is not set, and {name} needs it",
                "Run the playbook multinode.celery.ops.create_secrets (playbooks/ops/create_secrets.yml in a checkout) with "
                "this inventory, it makes every secret that is missing" if secret
                else f"Set it, or {name}, in {inventory.where(role)}",
            )  # fmt: skip
        if not missing:
            problem = str(values.problems[name]).rstrip(".")
            yield Finding("template", name, "", (host.name,), problem, f"Correct it in {inventory.where(role)}")

    def _clean(self, text: str, inventory: Inventory) -> str:
        """The message without any secret, whoever wrote it."""
        secrets: set[str] = set()
        for host in inventory.hosts:
            for role in host.roles:
                for name, spec in self._specs(role).items():
                    if name in host.values:
                        secrets |= set(by_spec(host.values[name], spec))
        for secret in sorted(secrets, key=len, reverse=True):
            # A word this short would tear sentences apart, and preflight refuses it as a password.
            if len(secret) > 3:
                text = text.replace(secret, HIDDEN)
        return text


def _texts_for_flags(specs: dict[str, t.Any], given: dict[str, t.Any]) -> t.Iterator[str]:
    """Truth values that are texts, as `-e name=false` gives them. Roles would see the text, and any text is true to a template."""
    for name, spec in specs.items():
        value = given.get(name)
        if spec.get("type") == "bool" and name not in ASKED_FLAGS and isinstance(value, str) and value.lower() in BOOLEANS:
            flag = json.dumps({name: boolean(value)})
            yield f"{name} is the text {value!r} and no truth value; without quotes in a YAML file it is one, on the command line it is -e '{flag}'"


def _plain(value: t.Any) -> t.Any:
    """A value without any template left: Ansible resolves nested ones only when they are read."""
    if isinstance(value, c.Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value


def _secrets_at_once(findings: list[Finding]) -> list[Finding]:
    """Without a vault file all secrets are missing, which is one error with one remedy."""
    secrets = [finding for finding in findings if finding.check == SECRET_MISSING]
    if len(secrets) < 2:
        return findings
    hosts = dict.fromkeys(host for finding in secrets for host in finding.hosts)
    names = ", ".join(sorted(finding.variable for finding in secrets))
    one = dataclasses.replace(secrets[0], variable=names, hosts=tuple(hosts), problem="no such secrets are set")
    return [one, *(finding for finding in findings if finding.check != SECRET_MISSING)]
