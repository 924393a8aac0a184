# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.monitoring_targets import monitoring_targets

GROUPS = {
    "all": ["b-1", "w-1", "w-2", "m-1"],
    "brokers": ["b-1"],
    "workers": ["w-1", "w-2", "b-1"],
    "workers_cpu": ["w-1"],
    "workers_io": ["w-2", "w-1"],
    "monitoring": ["m-1"],
}
HOSTVARS = {name: {"ansible_host": f"192.0.2.{number}"} for number, name in enumerate(GROUPS["all"], 1)}
NODE = {"node": {"groups": ["brokers", "workers", "schedulers", "monitoring"], "port": 9100}}


def labels(entries: list[dict]) -> dict[str, str]:
    return {entry["labels"]["host"]: entry["labels"]["group"] for entry in entries}


def test_every_host_is_one_target_with_its_most_telling_group() -> None:
    found = monitoring_targets(GROUPS, HOSTVARS, NODE)["node"]
    assert labels(found) == {"b-1": "brokers", "w-1": "workers_cpu", "w-2": "workers_io", "m-1": "monitoring"}
    assert [entry["targets"] for entry in found] == [["192.0.2.1:9100"], ["192.0.2.2:9100"], ["192.0.2.3:9100"], ["192.0.2.4:9100"]]


def test_the_instance_is_the_name_so_that_both_monitoring_hosts_store_the_same() -> None:
    found = [entry["labels"] for entry in monitoring_targets(GROUPS, HOSTVARS, NODE)["node"]]
    assert [labels["instance"] for labels in found] == [labels["host"] for labels in found] == ["b-1", "w-1", "w-2", "m-1"]


def test_a_job_may_have_a_scheme() -> None:
    found = monitoring_targets(GROUPS, HOSTVARS, {"redis": {"groups": ["brokers"], "port": 6379, "scheme": "redis://"}})
    assert found["redis"][0]["targets"] == ["redis://192.0.2.1:6379"]


def test_a_group_that_does_not_exist_has_no_targets() -> None:
    assert monitoring_targets(GROUPS, HOSTVARS, {"x": {"groups": ["nowhere"], "port": 1}}) == {"x": []}


def test_variables_are_not_templated() -> None:
    class Raw(dict):
        def raw_get(self, host: str) -> dict:
            return {"ansible_host": HOSTVARS[host]["ansible_host"]}

        def __getitem__(self, host: str) -> dict:
            raise AssertionError(f"the variables of {host} were templated")

    assert len(monitoring_targets(GROUPS, Raw(), NODE)["node"]) == 4


@pytest.mark.parametrize(("groups", "jobs"), [([], {}), ({}, []), (GROUPS, {"node": {"groups": ["brokers"]}})])
def test_wrong_input_is_refused(groups: object, jobs: object) -> None:
    with pytest.raises(AnsibleFilterError, match="monitoring_targets"):
        monitoring_targets(groups, HOSTVARS, jobs)
