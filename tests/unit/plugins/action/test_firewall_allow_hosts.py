# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a broker outside the run, with the role's own template, defaults and variables."""

from __future__ import annotations

import pathlib
import shutil
import typing as t
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.filter import AnsibleJinja2Filter
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template
from ansible_collections.multinode.celery.plugins.action import firewall_allow_hosts
from ansible_collections.multinode.celery.plugins.action.firewall_allow_hosts import ActionModule, allowed_by
from ansible_collections.multinode.celery.plugins.filter.firewall_port_rules import firewall_port_rules

ROLE = pathlib.Path(__file__).resolve().parents[4] / "roles/firewall"
TEMPLATE = ROLE / "templates/etc/multinode-firewall/rules.nft.j2"
GROUPS = {"brokers": ["b-1", "b-2"], "workers": ["w-1", "w-2"], "monitoring": ["m-1"]}
ADDRESSES = {"b-1": "192.0.2.11", "b-2": "192.0.2.12", "w-1": "192.0.2.21", "w-2": "192.0.2.22", "m-1": "192.0.2.9"}


class Inventory:
    """What Ansible knows of each host: the role's defaults and variables below those of the inventory."""

    def __init__(self, **of_broker: t.Any) -> None:
        self.loader = DataLoader()
        self.groups = {name: list(hosts) for name, hosts in GROUPS.items()}
        self.hosts: dict[str, dict[str, t.Any]] = {host: {"ansible_host": address} for host, address in ADDRESSES.items()}
        self.hosts["b-2"].update(of_broker)
        # Another host's value must never end up in the rules of a broker.
        self.hosts["w-2"].update(cluster_redis_port=7777, firewall_broker_allowed=["203.0.113.77"])

    def variables(self, host: str) -> dict[str, t.Any]:
        of_role = [self.loader.load_from_file(str(path), trusted_as_template=True) for path in self._files()]
        defaults, own = of_role[:-1], of_role[-1]
        result: dict[str, t.Any] = {}
        for part in (*defaults, self.hosts[host], own):
            result.update(part)
        names = [name for name, hosts in self.groups.items() if host in hosts]
        return {**result, "inventory_hostname": host, "groups": self.groups, "group_names": names, "hostvars": self.hosts}

    @staticmethod
    def _files() -> list[pathlib.Path]:
        # Facts that several roles share, where a role declares them, are below the role's own.
        shared = [path for path in (ROLE.parent / "cluster/defaults/main.yml", ROLE.parent / "cluster/vars/main.yml") if path.exists()]
        return [*shared, ROLE / "defaults/main.yml", ROLE / "vars/main.yml"]

    def deployed(self, host: str) -> str:
        """The rules that a run which deploys the host writes."""
        templar = Templar(self.loader, variables={"ansible_managed": "Ansible managed", **self.variables(host)})
        text = trust_as_template(TEMPLATE.read_text())
        return templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True, "lstrip_blocks": True})

    def allow(self, *hosts: str, present: str, on: str = "b-2", template: pathlib.Path = TEMPLATE, port_rule: str = "brokers") -> dict[str, t.Any]:
        """What a task of the first of these hosts that is delegated to a broker returns."""
        action = ActionModule.__new__(ActionModule)
        # The name in the variables of a delegated task is that of the host which delegates.
        delegated = {**self.variables(on), "inventory_hostname": hosts[0]}
        task_vars = {**self.variables(hosts[0]), "ansible_delegated_vars": {on: delegated}}
        action._task = SimpleNamespace(delegate_to=on)
        action._loader, action._templar = self.loader, Templar(self.loader, variables=task_vars)
        args = {"template": str(template), "present": present, "hosts": list(hosts), "port_rule": port_rule}
        action.validate_argument_spec = lambda _spec: (None, args)
        return action.run(task_vars=task_vars)


@pytest.fixture(autouse=True)
def _base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall_allow_hosts.ActionBase, "run", lambda *_args, **_others: {})
    # The collection is not installed for the plugin loader of this process.
    found, own = filter_loader.get, AnsibleJinja2Filter(firewall_port_rules)
    monkeypatch.setattr(filter_loader, "get", lambda name, *args: own if name == "multinode.celery.firewall_port_rules" else found(name, *args))


def without(inventory: Inventory, host: str) -> str:
    """The rules of b-2 from before a host was added to the inventory."""
    earlier = Inventory()
    earlier.groups = {name: [one for one in hosts if one != host] for name, hosts in inventory.groups.items()}
    earlier.hosts["b-2"] = inventory.hosts["b-2"]
    return earlier.deployed("b-2")


def test_the_deployed_rules_allow_the_hosts_of_the_inventory() -> None:
    allowed = allowed_by(Inventory().deployed("b-2"))
    assert {str(network.network_address) for network in allowed["brokers"]} == set(ADDRESSES.values())
    assert [str(network) for network in allowed["exporter"]] == ["192.0.2.9/32"]


def test_a_new_host_gets_the_rules_that_a_deployment_of_the_broker_would_write() -> None:
    inventory = Inventory(firewall_broker_allowed=["2001:db8::/32"], cluster_redis_port=7000)
    result = inventory.allow("w-2", present=without(inventory, "w-2"))
    assert result == {"changed": False, "host": "b-2", "rules": inventory.deployed("b-2")}
    assert "7000" in result["rules"] and "7777" not in result["rules"] and "203.0.113.77" not in result["rules"]


def test_hosts_that_are_allowed_change_nothing() -> None:
    inventory = Inventory()
    assert inventory.allow("w-1", "w-2", present=inventory.deployed("b-2"))["rules"] == ""
    wide = inventory.deployed("b-2").replace("192.0.2.9, 192.0.2.11, 192.0.2.12, 192.0.2.21, 192.0.2.22", "192.0.2.0/24")
    assert "192.0.2.0/24" in wide
    # Not even where the inventory has changed since.
    inventory.hosts["b-2"]["firewall_broker_allowed"] = ["198.51.100.0/24"]
    assert inventory.allow("w-2", present=wide)["rules"] == ""


def test_addresses_that_left_the_inventory_are_kept() -> None:
    inventory = Inventory()
    earlier = without(inventory, "w-2")
    present = earlier.replace("192.0.2.11,", "192.0.2.11, 192.0.2.99, ").replace("elements = { 192.0.2.9 }", "elements = { 192.0.2.8, 192.0.2.9 }")
    allowed = allowed_by(inventory.allow("w-2", present=present)["rules"])
    assert {str(network.network_address) for network in allowed["brokers"]} == {*ADDRESSES.values(), "192.0.2.99"}
    assert {str(network.network_address) for network in allowed["exporter"]} == {"192.0.2.8", "192.0.2.9"}


def test_hosts_of_the_inventory_that_are_not_part_of_the_run_wait_for_theirs() -> None:
    inventory = Inventory()
    inventory.groups["workers"].append("w-3")
    inventory.hosts["w-3"] = {"ansible_host": "no-such-host.invalid"}
    assert "192.0.2.22" in inventory.allow("w-2", present=without(Inventory(), "w-2"))["rules"]


def test_a_host_of_no_allowed_group_is_allowed_with_the_run_that_deploys_it() -> None:
    inventory = Inventory()
    inventory.groups["workers"].remove("w-2")
    assert "192.0.2.22" in inventory.allow("w-2", present=inventory.deployed("b-2"))["rules"]


def test_ipv6_addresses_go_into_the_set_that_was_empty() -> None:
    inventory = Inventory()
    inventory.hosts["w-2"]["firewall_address"] = "2001:db8::22"
    allowed = allowed_by(inventory.allow("w-2", present=without(inventory, "w-2"))["rules"])
    assert "2001:db8::22/128" in {str(network) for network in allowed["brokers"]}


def test_a_broker_whose_rules_do_not_have_the_port_rule_is_left_alone() -> None:
    inventory = Inventory()
    inventory.groups["brokers"].remove("b-2")
    present = inventory.deployed("b-2")
    inventory.groups["brokers"].append("b-2")
    assert "brokers_ipv4" not in present and "exporter_ipv4" in present
    assert inventory.allow("w-2", present=present)["rules"] == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [("_ipv4 {", "_v4 {"), ("elements =", "entries ="), ("rule.ipv4 | join", "[] | join"), ("set {{ rule.name }}", "set x_{{ rule.name }}")],
)
def test_a_template_that_does_not_allow_the_hosts_is_an_error(tmp_path: pathlib.Path, old: str, new: str) -> None:
    changed = tmp_path / "rules.nft.j2"
    shutil.copy(TEMPLATE, changed)
    assert old in changed.read_text()
    changed.write_text(changed.read_text().replace(old, new))
    inventory = Inventory()
    with pytest.raises(AnsibleActionFail, match=r"port rule brokers of b-2 would refuse w-2 \(192\.0\.2\.22\)"):
        inventory.allow("w-2", present=without(inventory, "w-2"), template=changed)


def test_the_white_space_of_the_template_does_not_matter(tmp_path: pathlib.Path) -> None:
    changed = tmp_path / "rules.nft.j2"
    changed.write_text(TEMPLATE.read_text().replace("\t", "  "))
    inventory = Inventory()
    present = " ".join(line for line in without(inventory, "w-2").splitlines() if not line.startswith("#"))
    assert "192.0.2.22" in inventory.allow("w-2", present=present, template=changed)["rules"]


@pytest.mark.parametrize(
    "present", ["", "table inet t { }", "table inet t { set x_brokers_ipv4 { type ipv4_addr; } }", "set brokers_ipv4 { elements = { one } }"]
)
def test_present_rules_that_cannot_be_read_are_an_error(present: str) -> None:
    with pytest.raises(AnsibleActionFail, match="rules of b-2 cannot be read"):
        Inventory().allow("w-2", present=present)


def test_a_host_without_an_address_is_refused() -> None:
    inventory = Inventory()
    present = inventory.deployed("b-2")
    inventory.hosts["w-2"]["ansible_host"] = "no-such-host.invalid"
    with pytest.raises(Exception, match="firewall_address of w-2"):
        inventory.allow("w-2", present=present)
