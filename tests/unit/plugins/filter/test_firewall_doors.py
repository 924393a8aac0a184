# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.firewall_admit import firewall_admit
from ansible_collections.multinode.celery.plugins.filter.firewall_doors import firewall_doors

GROUPS = {"brokers": ["b-1", "b-2"], "workers": ["w-1", "b-1"], "monitoring": ["m-1"]}
HOSTVARS = {
    "b-1": {"ansible_host": "192.0.2.11", "redis_address": "198.51.100.11"},
    "b-2": {"ansible_host": "192.0.2.12", "redis_address": "{{ somewhere }}"},
    "w-1": {"ansible_host": "192.0.2.21", "firewall_address": "2001:db8::21"},
    "m-1": {"ansible_host": "192.0.2.9"},
    "w-2": {"ansible_host": "192.0.2.22"},
}
BROKERS = {"name": "brokers", "hosts": ["brokers"], "ports": [6380, "6379"], "groups": ["brokers", "workers", "producers", "monitoring"]}
RULES = """table inet t {
@@set brokers_ipv4 {
@@@@type ipv4_addr
@@@@flags interval
@@@@elements = { 192.0.2.9, 192.0.2.21 }
@@}

@@set brokers_ipv6 {
@@@@type ipv6_addr
@@@@flags interval
@@}

@@set exporter_ipv4 {
@@@@type ipv4_addr
@@@@flags interval
@@@@elements = { 192.0.2.9 }
@@}
}
""".replace("@@", "\t")


def doors(*doors: dict, group_names: tuple[str, ...] = ("brokers",)) -> dict[str, dict]:
    return {door["name"]: door for door in firewall_doors(list(doors), list(group_names), GROUPS, HOSTVARS)}


def test_every_address_of_the_hosts_of_the_groups_is_let_in_once() -> None:
    door = doors(BROKERS)["brokers"]
    assert door["ipv4"] == ["192.0.2.9", "192.0.2.11", "192.0.2.12", "192.0.2.21", "198.51.100.11"]
    assert door["ipv6"] == ["2001:db8::21"]
    assert door["ports"] == [6379, 6380]


def test_a_host_has_only_the_doors_of_its_groups() -> None:
    everywhere = {"name": "exporter", "ports": [9100], "groups": ["monitoring"]}
    assert list(doors(BROKERS, everywhere, group_names=("workers",))) == ["exporter"]
    assert list(doors(BROKERS, everywhere, group_names=("workers", "brokers"))) == ["brokers", "exporter"]


def test_what_a_network_covers_is_left_out() -> None:
    door = doors({**BROKERS, "allowed": ["192.0.2.0/28", "192.0.2.8/29", "0.0.0.0/32", "2001:db8::/32"]})["brokers"]
    assert door["ipv4"] == ["0.0.0.0", "192.0.2.0/28", "192.0.2.21", "198.51.100.11"]
    assert door["ipv6"] == ["2001:db8::/32"]


def test_neighbours_stay_two_addresses_that_a_reader_finds() -> None:
    assert doors({"name": "x", "ports": [1], "allowed": ["192.0.2.2", "192.0.2.3"]})["x"]["ipv4"] == ["192.0.2.2", "192.0.2.3"]


def test_everybody_is_one_network() -> None:
    door = doors({"name": "front", "ports": [443], "groups": ["monitoring"], "allowed": ["0.0.0.0/0", "::/0"]})["front"]
    assert (door["ipv4"], door["ipv6"]) == (["0.0.0.0/0"], ["::/0"])


def test_a_door_for_nobody_has_no_address() -> None:
    door = doors({"name": "closed", "ports": [1]})["closed"]
    assert (door["ipv4"], door["ipv6"]) == ([], [])


def test_variables_are_not_templated() -> None:
    class Raw(dict):
        def raw_get(self, host: str) -> dict:
            return HOSTVARS[host]

        def __getitem__(self, host: str) -> dict:
            raise AssertionError(f"the variables of {host} were templated")

    assert firewall_doors([BROKERS], ["brokers"], GROUPS, Raw())[0]["ipv4"]


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
def test_wrong_doors_are_refused(wrong: list, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        firewall_doors(wrong, [], GROUPS, HOSTVARS)


def test_a_host_that_is_let_in_changes_nothing() -> None:
    assert firewall_admit(RULES, ["m-1"], HOSTVARS, "brokers") == RULES
    assert firewall_admit(RULES, ["w-2"], HOSTVARS, "nothing") == RULES
    wide = RULES.replace("192.0.2.9, 192.0.2.21", "192.0.2.0/24")
    assert firewall_admit(wide, ["w-2"], HOSTVARS, "brokers") == wide


def test_a_new_host_gets_its_place_among_the_others_of_its_door_only() -> None:
    admitted = firewall_admit(RULES, ["w-2", "b-2"], HOSTVARS, "brokers")
    assert admitted == RULES.replace("192.0.2.9, 192.0.2.21", "192.0.2.9, 192.0.2.12, 192.0.2.21, 192.0.2.22")


def test_a_set_without_elements_gets_some() -> None:
    admitted = firewall_admit(RULES, ["w-1"], HOSTVARS, "brokers")
    assert admitted == RULES.replace(
        "\tset brokers_ipv6 {\n\t\ttype ipv6_addr\n\t\tflags interval\n",
        "\tset brokers_ipv6 {\n\t\ttype ipv6_addr\n\t\tflags interval\n\t\telements = { 2001:db8::21 }\n",
    )


def test_a_host_without_an_address_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="firewall_address of x"):
        firewall_admit(RULES, ["x"], {"x": {"ansible_host": "no-such-host.invalid"}}, "brokers")
