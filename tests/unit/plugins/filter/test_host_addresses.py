# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.host_addresses import host_addresses, resolve, rotation


class HostVars(dict):
    """Variables as Ansible offers them: templated by key, raw on request."""

    def raw_get(self, host):
        return self[host]


HOSTS = ["broker-1", "broker-2", "broker-3"]
VARS = HostVars({name: {"ansible_host": f"10.0.0.{number}"} for number, name in enumerate(HOSTS, 1)})


def test_addresses_are_those_of_ansible_host():
    assert host_addresses(HOSTS, VARS)[1] == {"host": "broker-2", "address": "10.0.0.2"}


def test_a_stated_address_wins():
    variables = HostVars({**VARS, "broker-1": {"ansible_host": "10.0.0.1", "cluster_address": "192.0.2.1"}})
    assert host_addresses(HOSTS, variables)[0]["address"] == "192.0.2.1"


def test_a_templated_address_is_left_alone():
    variables = HostVars({**VARS, "broker-1": {"ansible_host": "10.0.0.1", "cluster_address": "{{ groups | whatever }}"}})
    assert host_addresses(HOSTS, variables)[0]["address"] == "10.0.0.1"


def test_another_variable_can_state_the_address():
    variables = HostVars({"broker-1": {"ansible_host": "10.0.0.1", "inner_address": "192.0.2.7"}})
    assert host_addresses(["broker-1"], variables, "inner_address")[0]["address"] == "192.0.2.7"


def test_a_name_is_resolved():
    assert host_addresses(["broker-1"], HostVars({"broker-1": {"ansible_host": "localhost"}}))[0]["address"] == "127.0.0.1"


def test_the_order_depends_on_the_seed_alone():
    orders = {tuple(node["host"] for node in host_addresses(HOSTS, VARS, seed=f"worker-{number}")) for number in range(30)}
    assert orders == {tuple(HOSTS), ("broker-2", "broker-3", "broker-1"), ("broker-3", "broker-1", "broker-2")}
    assert host_addresses(HOSTS, VARS, seed="worker-1") == host_addresses(HOSTS, VARS, seed="worker-1")


def test_without_a_seed_the_order_of_the_group_is_kept():
    assert [node["host"] for node in host_addresses(HOSTS, VARS)] == HOSTS
    assert rotation(3, "") == 0
    assert host_addresses([], VARS, seed="worker-1") == []


def test_an_unknown_name_is_refused_with_what_to_set():
    resolve.cache_clear()
    with pytest.raises(AnsibleFilterError, match="set ansible_host or cluster_address of broker-9"):
        host_addresses(["broker-9"], HostVars({"broker-9": {"ansible_host": "no-such-host.invalid"}}))


def test_a_group_name_instead_of_hosts_is_refused():
    with pytest.raises(AnsibleFilterError, match="list of a group's hosts"):
        host_addresses("brokers", VARS)
