# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.celery_nodes import celery_nodes


def nodes(*pools, cores=4, **kwargs):
    return celery_nodes(list(pools), "cpu-1", cores, **kwargs)


def pool(**kwargs):
    return {"name": "video", "queues": ["video_processing"], **kwargs}


def test_a_minimal_pool_is_one_prefork_node_with_as_many_children_as_cores():
    (node,) = nodes(pool())
    assert node["node"] == "video@cpu-1"
    assert node["service"] == "celery-worker-video"
    assert node["concurrency"] == 4
    assert node["arguments"][:4] == ["worker", "--hostname=video@cpu-1", "--queues=video_processing", "--pool=prefork"]
    assert "--concurrency=4" in node["arguments"]
    assert {"--without-gossip", "--without-mingle"} <= set(node["arguments"])
    assert "--without-heartbeat" not in node["arguments"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("prefork", 4), ("threads", 4), ("gevent", 100), ("eventlet", 100), ("solo", 1)],
)
def test_auto_follows_the_kind_of_pool(kind, expected):
    assert nodes(pool(pool=kind))[0]["concurrency"] == expected


def test_greenlets_and_numbers_win_over_auto():
    assert nodes(pool(pool="gevent"), greenlet_concurrency=20)[0]["concurrency"] == 20
    assert nodes(pool(concurrency="7"))[0]["concurrency"] == 7


def test_instances_keep_the_first_name_when_scaled():
    assert [node["name"] for node in nodes(pool(instances=3))] == ["video", "video-2", "video-3"]
    assert nodes(pool(instances=3))[0] == nodes(pool())[0]


def test_defaults_are_below_the_pool_and_environments_are_merged():
    (node,) = nodes(
        pool(env={"A": 1}, concurrency=2),
        defaults={"concurrency": 9, "max_tasks_per_child": 50, "env": {"A": 0, "B": True}},
    )
    assert node["concurrency"] == 2
    assert "--max-tasks-per-child=50" in node["arguments"]
    assert node["env"] == {"A": "1", "B": "True"}


def test_child_limits_are_for_prefork_only():
    limits = {"max_tasks_per_child": 5, "max_memory_per_child_mb": 10}
    assert "--max-memory-per-child=10240" in nodes(pool(**limits))[0]["arguments"]
    assert not [word for word in nodes(pool(pool="gevent", **limits))[0]["arguments"] if "per-child" in word]


def test_autoscale_replaces_the_concurrency():
    (node,) = nodes(pool(autoscale={"min": 1, "max": 6}))
    assert node["concurrency"] == 6
    assert "--autoscale=6,1" in node["arguments"]
    assert not [word for word in node["arguments"] if word.startswith("--concurrency")]


def test_limits_events_includes_and_options_reach_the_command_line():
    (node,) = nodes(
        pool(time_limit_seconds=60, soft_time_limit_seconds=50, prefetch_multiplier=2, options=["--purge"]),
        events=True,
        includes=["one", "two"],
    )
    assert {"--time-limit=60", "--soft-time-limit=50", "--prefetch-multiplier=2", "--events", "--include=one,two"} <= set(
        node["arguments"]
    )
    assert node["arguments"][-1] == "--purge"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"name": "Big"}, "[pool_name] celery_worker_pools[Big] = name 'Big' on cpu-1: a pool's name takes"),
        ({"queues": []}, "[pool_queues] celery_worker_pools[video] = queues [] on cpu-1"),
        ({"queues": "video"}, "queues 'video' on cpu-1: give a list"),
        ({"queues": ["a,b"]}, "queues ['a,b'] on cpu-1: a queue's name takes"),
        ({"queues": [None]}, "queues [None] on cpu-1: give a list"),
        ({"pool": "process"}, "choose one of prefork"),
        ({"concurrency": 0}, "concurrency 0 on cpu-1: set a whole number of at least 1, or auto"),
        ({"concurrency": "many"}, "concurrency 'many'"),
        ({"concurrency": True}, "concurrency True"),
        ({"instances": 0}, "instances 0"),
        ({"pool": "solo", "concurrency": 2}, "one task at a time"),
        ({"pool": "gevent", "autoscale": {"min": 1, "max": 2}}, "prefork only"),
        ({"autoscale": {"min": 3, "max": 2}}, "autoscale {'min': 3, 'max': 2} on cpu-1: the least of 3 is above"),
        ({"autoscale": {"max": 2}}, "give min and max"),
        ({"time_limit_seconds": 5, "soft_time_limit_seconds": 5}, "the soft time limit of 5 s is not below it"),
        ({"log_level": "info"}, "log_level 'info' on cpu-1: choose one of DEBUG"),
        ({"conccurency": 2}, "unknown key 'conccurency' on cpu-1: there is no such key, did you mean 'concurrency'?"),
        ({"options": "--purge"}, "options '--purge' on cpu-1: give a list"),
        ({"options": ["a\nb"]}, "a line break"),
        ({"env": ["A=1"]}, "env on cpu-1: give a dictionary"),
        ({"env": {"A-B": 1}}, "'A-B' is not a name of an environment variable"),
        ({"env": {"A": "secret\n"}}, "the value of A has a line break"),
    ],
)
def test_bad_pools_are_refused_with_the_key_and_the_value(bad, message):
    with pytest.raises(AnsibleFilterError, match="celery_worker_pools") as caught:
        nodes(pool(**bad))
    assert message in str(caught.value)


def test_all_problems_are_reported_at_once():
    with pytest.raises(AnsibleFilterError) as caught:
        nodes(pool(instances=0, concurrency="many"), pool(name="B"), defaults={"pool": "gevnet"}, overrides={"video": {"queue": []}})
    message = str(caught.value).splitlines()
    checks = [line.split("]")[0].lstrip("[") for line in message]
    assert checks == ["pool_pool", "pool_instances", "pool_concurrency", "pool_key", "pool_name"]
    assert message[0].endswith("choose one of prefork, gevent, eventlet, threads, solo, did you mean 'gevent'? Correct it.")


def test_two_pools_cannot_give_one_node_name():
    with pytest.raises(AnsibleFilterError, match="node video-2 on cpu-1: the pools video and video-2 would both start"):
        nodes(pool(instances=2), pool(name="video-2"))


def test_overrides_replace_keys_of_the_pools_they_name():
    overrides = {"video": {"instances": 2, "concurrency": 3}, "elsewhere": {"instances": 9}}
    found = nodes(pool(concurrency=1), pool(name="other"), overrides=overrides)
    assert [(node["name"], node["concurrency"]) for node in found] == [("video", 3), ("video-2", 3), ("other", 4)]
    assert nodes(pool(), overrides={}) == nodes(pool())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"proceses": 2}, "unknown key 'proceses'"),
        ({"name": "x"}, "cannot rename"),
        (3, r"celery_worker_pool_overrides\[video\] = 3 on cpu-1: give a dictionary"),
    ],
)
def test_bad_overrides_are_refused(keys, message):
    with pytest.raises(AnsibleFilterError, match=message):
        nodes(pool(), overrides={"video": keys})


def test_no_pools_are_no_nodes():
    assert nodes() == []
