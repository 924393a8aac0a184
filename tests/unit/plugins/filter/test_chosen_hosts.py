# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.chosen_hosts import chosen_hosts
from ansible_collections.multinode.celery.plugins.filter.queues_without_consumer import queues_without_consumer

GROUPS = {
    "all": ["broker-1", "cpu-1", "cpu-2", "io-1"],
    "workers": ["cpu-1", "cpu-2", "io-1"],
    "workers_cpu": ["cpu-1", "cpu-2"],
    "workers_sensitive": [],
    "brokers": ["broker-1"],
}


def choose(names, within=("workers",)):
    return chosen_hosts(names, GROUPS, "celery_drain_hosts", within)


@pytest.mark.parametrize("names", ["io-1, cpu-1", ["io-1", "cpu-1"], ("cpu-1", "io-1", "io-1")])
def test_a_list_and_a_line_mean_the_same(names):
    assert choose(names) == ["cpu-1", "io-1"]


def test_a_group_stands_for_its_hosts():
    assert choose("workers_cpu,io-1") == ["cpu-1", "cpu-2", "io-1"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("", "names no host"),
        (None, "names no host"),
        (" , ", "names no host"),
        ("cpu-9", "cpu-9 is neither a host nor a group"),
        ("cpu-1,broker-1", "broker-1 is not of these groups; hosts of workers are cpu-1, cpu-2, io-1"),
        ("workers_sensitive", "without hosts"),
    ],
)
def test_an_impossible_choice_is_refused_with_the_name_of_the_variable(names, message):
    with pytest.raises(AnsibleFilterError, match="celery_drain_hosts") as caught:
        choose(names)
    assert message in str(caught.value)


def test_queues_have_no_consumer_when_all_theirs_leave():
    nodes = [
        {"host": "cpu-1", "queues": ["default", "video"], "environment_name": "prod"},
        {"host": "cpu-2", "queues": ["default"], "environment_name": "prod"},
        {"host": "io-1", "queues": ["export"], "environment_name": "prod"},
        {"host": "secret-1", "queues": ["export"], "environment_name": "sensitive"},
    ]
    assert queues_without_consumer(nodes, ["cpu-1", "io-1"]) == ["export", "video"]
    assert queues_without_consumer(nodes, ["cpu-2"]) == []
