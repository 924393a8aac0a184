# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that decide how a rolling update goes on."""

from __future__ import annotations

import pytest
from ansible_collections.multinode.celery.plugins.filter.celery_previous_release import previous_release
from ansible_collections.multinode.celery.plugins.filter.celery_surge import surge_instances
from ansible_collections.multinode.celery.plugins.filter.celery_unhealthy_nodes import unhealthy_nodes


def node(pool, host, *queues, number=1):
    name = pool if number == 1 else f"{pool}-{number}"
    return {"node": f"{name}@{host}", "name": name, "pool_name": pool, "host": host, "queues": list(queues), "environment_name": "prod"}


CPU = [node("video", host, "video") for host in ("cpu-1", "cpu-2")]
IO = [node("export", "io-1", "export"), node("export", "io-1", "export", number=2), node("bulk", "io-1", "export", "bulk")]


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["cpu-1"], {}),
        (["cpu-1", "cpu-2"], {"cpu-1": {"video": {"instances": 2}}}),
        (["io-1"], {"io-1": {"export": {"instances": 3}, "bulk": {"instances": 2}}}),
    ],
)
def test_a_queue_that_would_have_no_consumer_gets_a_process_more(hosts, expected):
    assert surge_instances(CPU + IO, hosts) == expected


def test_one_pool_stands_in_for_all_its_queues():
    nodes = [node("all", "io-1", "a", "b"), node("one", "io-1", "a")]
    assert surge_instances(nodes, ["io-1"]) == {"io-1": {"all": {"instances": 2}}}


def test_a_pool_whose_next_name_is_taken_stands_in_for_nothing():
    nodes = [node("all", "io-1", "a"), node("all-2", "io-1", "b"), node("more", "io-1", "a")]
    assert surge_instances(nodes, ["io-1"]) == {"io-1": {"all-2": {"instances": 2}, "more": {"instances": 2}}}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([("2", ["1", "2"]), ("2", ["1", "2"])], "1"),
        ([("2", ["1", "2"]), ("1", ["1", "2"])], "1"),
        ([("1", ["1", "2"])], ""),
        ([("2", ["2"]), ("2", ["1", "2"])], "1"),
        ([("", [])], ""),
        ([], ""),
    ],
)
def test_the_release_before_the_newest_in_use(states, expected):
    assert previous_release([{"current": current, "releases": releases} for current, releases in states]) == expected


INFO = {"nodes": {"video@cpu-1": {"ping": {}, "active_queues": [{"name": "video"}, {"name": "video@cpu-1.dq2"}]}}}
CANARIES = {"rows": [{"node": "video@cpu-1", "ok": True}], "failures": []}


@pytest.mark.parametrize(
    ("info", "canaries", "words"),
    [
        (INFO, CANARIES, []),
        ({"nodes": {}}, CANARIES, ["video@cpu-1 does not answer"]),
        ({"nodes": {"video@cpu-1": {"active_queues": []}}}, CANARIES, ["video@cpu-1 does not consume video"]),
        (
            INFO,
            {"rows": [{"node": "video@cpu-1", "ok": False}], "failures": ["video@cpu-1: FAILURE ValueError()"]},
            ["video@cpu-1 did not execute its canary: FAILURE ValueError()"],
        ),
        ({"msg": "no interpreter"}, {"msg": "no interpreter"}, ["no interpreter", "no interpreter"]),
    ],
)
def test_what_is_wrong_with_a_node(info, canaries, words):
    assert unhealthy_nodes(CPU[:1], info, canaries) == words


def test_a_queue_of_another_environment_does_not_count():
    nodes = [node("video", "cpu-1", "video"), {**node("video", "cpu-2", "video"), "environment_name": "sensitive"}]
    assert surge_instances(nodes, ["cpu-2"]) == {"cpu-2": {"video": {"instances": 2}}}
