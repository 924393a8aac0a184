# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from ansible.errors import AnsibleActionFail
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
from ansible_collections.multinode.celery.plugins.plugin_utils.deployment import Deployment, Inputs
from ansible_collections.multinode.celery.plugins.plugin_utils.findings import merged
from ansible_collections.multinode.celery.plugins.plugin_utils.inventory_secrets import by_spec
from ansible_collections.multinode.celery.plugins.plugin_utils.preflight import (
    HIDDEN,
    Finding,
    Host,
    Inventory,
    did_you_mean,
    report,
    run_checks,
)
from ansible_collections.multinode.celery.plugins.plugin_utils.role_files import RoleFiles, Use, uses_by_host

CORE_LEAST = (2, 19)
# Asked for one run, on the command line or by a survey of AWX, which both give texts: their roles read them so.
ASKED_FLAGS = frozenset({"redis_update_packages", "tls_ca_replace"})
SECRET_MISSING = "secret_missing"
UNTOUCHED = {
    "inventory": "Nothing was changed, no host was contacted.",
    "hosts": "Nothing was changed on any host.",
}
SPEC = {
    "stage": {"type": "str", "choices": ["inventory", "hosts"], "default": "inventory"},
    "required_groups": {"type": "list", "elements": "str", "default": []},
    "limits": {"type": "dict", "default": {}},
    "earlier": {"type": "dict", "default": {}},
}


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
        checked = args["earlier"].get("checked") or {}
        if checked and set(play_hosts) <= set(checked.get("hosts") or []):
            return {"changed": False, "checked": checked, "complete": True}
        self._files = RoleFiles(self._loader)
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
        return {"changed": False, "checked": {"stage": args["stage"], "hosts": hosts}, "complete": False}

    def _inventory(self, args: dict[str, t.Any]) -> tuple[Inventory, list[Finding]]:
        """All hosts of the groups with the inputs of their roles, and what is wrong with single inputs."""
        groups = {name: list(hosts) for name, hosts in (self._task_vars.get("groups") or {}).items()}
        mapping = self._files.uses()
        uses = uses_by_host(mapping, groups)
        findings: list[Finding] = []
        if args["stage"] == "hosts":
            wanted = set(self._task_vars.get("ansible_play_hosts_all") or [])
            uses = {host: found for host, found in uses.items() if host in wanted}
        elif tuple(int(part) for part in core_version.split(".")[:2]) < CORE_LEAST:
            findings.append(
                Finding(
                    "ansible_core", "ansible-core", core_version, (), "this collection needs 2.19 or newer",
                    "Install a newer ansible-core on the controller",
                )
            )  # fmt: skip
        hosts = tuple(self._host(name, found) for name, found in uses.items())
        roles: dict[str, list[str]] = {}
        for pattern, found in mapping.items():
            for group in pattern.split(":"):
                roles.setdefault(group, []).extend(use.role for use in found)
        inventory = Inventory(hosts, groups, roles, tuple(args["required_groups"]), args["limits"])
        return inventory, findings + self._spec_findings(inventory, args["stage"])

    def _host(self, name: str, uses: list[Use]) -> Host:
        hostvars = self._task_vars["hostvars"]
        deployment = Deployment(self._files, self._templar, hostvars.raw_get(name), hostvars, uses)
        return Host(name, deployment.roles, Inputs(deployment), deployment.facts)

    def _spec_findings(self, inventory: Inventory, stage: str) -> list[Finding]:
        """Findings from the argument specs of the roles, and inputs that cannot be read at all."""
        findings: list[Finding] = []
        known: dict[str, list[str]] = {}
        for host in inventory.hosts:
            values = t.cast(Inputs, host.values)
            deployment = values.deployment
            for role in sorted(host.roles):
                specs = self._files.specs(role)
                if stage == "hosts":
                    # All others were validated before the facts were there.
                    specs = {name: spec for name, spec in specs.items() if deployment.needs_facts(name)}
                # Pools have a check of their own that finds more than their specs.
                given = {name: values[name] for name in specs if name in values and name not in pools.INPUTS}
                late = {name for name in specs if name in deployment.waiting or name in deployment.errors or name in pools.INPUTS}
                # Equal inputs, as in a group of workers, are validated once.
                key = role + json.dumps(given, sort_keys=True, default=repr) + repr(sorted(late))
                if key not in known:
                    known[key] = self._errors({name: spec for name, spec in specs.items() if name not in late}, given)
                for error in known[key]:
                    findings.append(self._spec_finding(inventory, role, host, error, set(specs)))
                for name in specs:
                    if name in deployment.errors:
                        findings.extend(self._unreadable(inventory, role, host, name, deployment))
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
            error = f"{key} is not a key that the role knows{did_you_mean(name, known)}, it knows {', '.join(known)}"
        return Finding("argument_spec", " and ".join(dict.fromkeys(found)) or role, "", (host.name,), error.rstrip("."), remedy)

    @staticmethod
    def _unreadable(inventory: Inventory, role: str, host: Host, name: str, deployment: Deployment) -> t.Iterator[Finding]:
        missing = deployment.missing(name)
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
            problem = str(deployment.errors[name]).rstrip(".")
            yield Finding("template", name, "", (host.name,), problem, f"Correct it in {inventory.where(role)}")

    def _clean(self, text: str, inventory: Inventory) -> str:
        """The message without any secret, whoever wrote it."""
        secrets: set[str] = set()
        for host in inventory.hosts:
            for role in host.roles:
                for name, spec in self._files.specs(role).items():
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


def _secrets_at_once(findings: list[Finding]) -> list[Finding]:
    """Without a vault file all secrets are missing, which is one error with one remedy."""
    secrets = [finding for finding in findings if finding.check == SECRET_MISSING]
    if len(secrets) < 2:
        return findings
    hosts = dict.fromkeys(host for finding in secrets for host in finding.hosts)
    names = ", ".join(sorted(finding.variable for finding in secrets))
    one = dataclasses.replace(secrets[0], variable=names, hosts=tuple(hosts), problem="no such secrets are set")
    return [one, *(finding for finding in findings if finding.check != SECRET_MISSING)]
