# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import collections.abc as c
import ipaddress
import os
import re
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template
from ansible_collections.multinode.celery.plugins.filter.firewall_port_rules import (
    Network,
    addresses_of,
    firewall_port_rules,
    networks_of,
    without_covered,
)

SPEC = {
    "template": {"type": "path", "required": True},
    "present": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "port_rule": {"type": "str", "required": True},
}
# Variables of the role: the port rules of all hosts, and those of one host with their addresses, which the template renders.
ALL_PORT_RULES = "__firewall_all_port_rules"
PORT_RULES = "__firewall_port_rules"

COMMENT = re.compile(r"#.*")
# The grammar of nft, whatever its white space: a set of the addresses of one port rule, and its elements.
SET = re.compile(r"\bset\s+(?P<name>\w+)_ipv[46]\s*\{(?P<body>(?:[^{}]|\{[^{}]*\})*)\}")
ELEMENTS = re.compile(r"\belements\s*=\s*\{(?P<addresses>[^{}]*)\}")


def allowed_by(rules: str) -> dict[str, set[Network]]:
    """Return the addresses that a file for C(nft -f) allows, by port rule.

    :raises ValueError: when an element is neither an address nor a network.
    """
    found: dict[str, set[Network]] = {}
    for one in SET.finditer(COMMENT.sub("", rules)):
        networks = found.setdefault(one["name"], set())
        for elements in ELEMENTS.finditer(one["body"]):
            networks.update(ipaddress.ip_network(word.strip()) for word in elements["addresses"].split(",") if word.strip())
    return found


def not_covered(networks: c.Iterable[Network], allowed: c.Iterable[Network]) -> list[Network]:
    """Return the networks that lie in none of the allowed ones."""
    ranges = list(allowed)
    return [one for one in networks if not any(one.network_address in other and one.prefixlen >= other.prefixlen for other in ranges)]


def networks_of_hosts(hosts: c.Iterable[str], hostvars: t.Any) -> dict[Network, str]:
    """Return the addresses of hosts, each with the host that has it.

    :raises AnsibleActionFail: when a name is not known.
    """
    found: dict[Network, str] = {}
    for host in hosts:
        try:
            found.update((network, host) for address in addresses_of(host, hostvars) for network in networks_of(address))
        except (OSError, ValueError) as exc:
            raise AnsibleActionFail(f"the address of {host} cannot be found ({exc}): set ansible_host or firewall_address of {host}") from exc
    return found


def extended(rules: c.Iterable[dict[str, t.Any]], present: c.Mapping[str, set[Network]], port_rule: str, more: c.Iterable[Network]) -> list[dict[str, t.Any]]:
    """Return port rules with the addresses that are allowed at present, one of them with more."""
    result = []
    for rule in rules:
        networks = {ipaddress.ip_network(address) for address in [*rule["ipv4"], *rule["ipv6"]]} | present.get(rule["name"], set())
        if rule["name"] == port_rule:
            networks |= set(more)
        by_version = {f"ipv{version}": without_covered(one for one in networks if one.version == version) for version in (4, 6)}
        result.append({**rule, **by_version})
    return result


class ActionModule(ActionBase):
    """Renders the rules of the host to which the task is delegated, from its own variables, with further hosts allowed."""

    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Render where a host is missing.

        :param task_vars: variables of the task.
        :returns: the rules, empty where nothing is missing.
        :raises AnsibleActionFail: when the rules cannot be read, or would not allow the hosts.
        """
        super().run(tmp, task_vars)
        unused_result, args = self.validate_argument_spec(SPEC)
        variables = dict(task_vars or {})
        other = str(self._task.delegate_to or variables["inventory_hostname"])
        # Ansible's own answer to what a task of this play would see on that host; only the name in it is still of this one.
        variables = {**(variables.get("ansible_delegated_vars") or {}).get(other, variables), "inventory_hostname": other}
        hosts, hostvars, name = list(args["hosts"]), variables["hostvars"], args["port_rule"]

        # Members of the groups that are not part of this run are allowed, or not, as they were.
        groups = {group: [host for host in members if host in hosts] for group, members in variables["groups"].items()}
        all_rules = self._templated("{{ " + ALL_PORT_RULES + " }}", variables)
        wanted = firewall_port_rules(all_rules, variables["group_names"], groups, hostvars)
        present = self._read(args["present"], other)
        if not present.keys() & {rule["name"] for rule in wanted}:
            raise AnsibleActionFail(
                f"the rules of {other} cannot be read: none of the sets of its port rules is in them. Deploy its firewall with "
                f"--tags firewall --limit {other}"
            )
        networks = networks_of_hosts(hosts, hostvars)
        result = {"changed": False, "host": other, "rules": ""}
        # One without this port rule allows everybody.
        if name not in present or not not_covered(networks, present[name]):
            return result
        rules = extended(wanted, present, name, networks)
        text = self._rendered(args["template"], {"ansible_managed": "Ansible managed", **variables, PORT_RULES: rules})
        refused = not_covered(networks, self._read(text, other).get(name, ()))
        if refused:
            raise AnsibleActionFail(
                f"the port rule {name} of {other} would refuse " + ", ".join(f"{networks[one]} ({one.network_address})" for one in refused)
                + f", so its rules were left as they are: {args['template']} does not write the addresses of {name} into the sets "
                f"{name}_ipv4 and {name}_ipv6, or {other} has no such port rule"
            )  # fmt: skip
        return {**result, "rules": text}

    @staticmethod
    def _read(rules: str, host: str) -> dict[str, set[Network]]:
        """Return what rules of a host allow."""
        try:
            return allowed_by(rules)
        except ValueError as exc:
            raise AnsibleActionFail(f"the rules of {host} cannot be read ({exc}): deploy its firewall with --tags firewall --limit {host}") from exc

    def _templated(self, text: str, variables: dict[str, t.Any], **options: t.Any) -> t.Any:
        """Evaluate a template with the variables of the other host."""
        return self._templar.copy_with_new_env(available_variables=variables).template(trust_as_template(text), **options)

    def _rendered(self, path: str, variables: dict[str, t.Any]) -> str:
        """Render a template file as M(ansible.builtin.template) would."""
        overrides = {"trim_blocks": True, "lstrip_blocks": True}
        text = self._loader.get_text_file_contents(os.path.realpath(path))
        return str(self._templated(text, variables, escape_backslashes=False, overrides=overrides))
