# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.firewall_port_rules import firewall_port_rules

GROUPS = {"brokers": ["b-1", "b-2"], "workers": ["w-1", "b-1"], "monitoring": ["m-1"]}
HOSTVARS = {
    "b-1": {"ansible_host": "192.0.2.11", "cluster_address": "198.51.100.11"},
    "b-2": {"ansible_host": "192.0.2.12", "cluster_address": "{{ somewhere }}"},
    "w-1": {"ansible_host": "192.0.2.21", "firewall_address": "2001:db8::21"},
    "m-1": {"ansible_host": "192.0.2.9"},
    "w-2": {"ansible_host": "192.0.2.22"},
}
BROKERS = {"name": "brokers", "hosts": ["brokers"], "ports": [6380, "6379"], "groups": ["brokers", "workers", "producers", "monitoring"]}


def port_rules(*rules: dict, group_names: tuple[str, ...] = ("brokers",)) -> dict[str, dict]:
    return {rule["name"]: rule for rule in firewall_port_rules(list(rules), list(group_names), GROUPS, HOSTVARS)}


def test_every_address_of_the_hosts_of_the_groups_is_allowed_once() -> None:
    rule = port_rules(BROKERS)["brokers"]
    assert rule["ipv4"] == ["192.0.2.9", "192.0.2.11", "192.0.2.12", "192.0.2.21", "198.51.100.11"]
    assert rule["ipv6"] == ["2001:db8::21"]
    assert rule["ports"] == [6379, 6380]


def test_a_host_has_only_the_port_rules_of_its_groups() -> None:
    everywhere = {"name": "exporter", "ports": [9100], "groups": ["monitoring"]}
    assert list(port_rules(BROKERS, everywhere, group_names=("workers",))) == ["exporter"]
    assert list(port_rules(BROKERS, everywhere, group_names=("workers", "brokers"))) == ["brokers", "exporter"]


def test_what_a_network_covers_is_left_out() -> None:
    rule = port_rules({**BROKERS, "allowed": ["192.0.2.0/28", "192.0.2.8/29", "0.0.0.0/32", "2001:db8::/32"]})["brokers"]
    assert rule["ipv4"] == ["0.0.0.0", "192.0.2.0/28", "192.0.2.21", "198.51.100.11"]
    assert rule["ipv6"] == ["2001:db8::/32"]


def test_neighbours_stay_two_addresses_that_a_reader_finds() -> None:
    assert port_rules({"name": "x", "ports": [1], "allowed": ["192.0.2.2", "192.0.2.3"]})["x"]["ipv4"] == ["192.0.2.2", "192.0.2.3"]


def test_everybody_is_one_network() -> None:
    rule = port_rules({"name": "proxy", "ports": [443], "groups": ["monitoring"], "allowed": ["0.0.0.0/0", "::/0"]})["proxy"]
    assert (rule["ipv4"], rule["ipv6"]) == (["0.0.0.0/0"], ["::/0"])


def test_a_port_rule_for_nobody_has_no_address() -> None:
    rule = port_rules({"name": "closed", "ports": [1]})["closed"]
    assert (rule["ipv4"], rule["ipv6"]) == ([], [])


def test_variables_are_not_templated() -> None:
    class Raw(dict):
        def raw_get(self, host: str) -> dict:
            return HOSTVARS[host]

        def __getitem__(self, host: str) -> dict:
            raise AssertionError(f"the variables of {host} were templated")

    assert firewall_port_rules([BROKERS], ["brokers"], GROUPS, Raw())[0]["ipv4"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([{"name": "Redis", "ports": [1]}], "lower case"),
        ([{"name": "a b", "ports": [1]}], "lower case"),
        ([{"name": "x", "ports": [1]}, {"name": "x", "ports": [2]}], "twice"),
        ([{"name": "x", "ports": [1], "allowed": ["192.0.2.1/24"]}], "192.0.2.1/24"),
        ([{"name": "x", "ports": [1], "allowed": ["no-such-host.invalid"]}], "no-such-host.invalid"),
    ],
)
def test_wrong_port_rules_are_refused(wrong: list, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        firewall_port_rules(wrong, [], GROUPS, HOSTVARS)
