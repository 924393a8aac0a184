# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.celery_environment_pools import environment_pools


def host(*pools, name="prod", **more):
    return {"cluster_environment": {"name": name}, "celery_worker_pools": list(pools), **more}


VIDEO = {"name": "video", "queues": ["video", "bulk"]}
HOSTVARS = {
    "cpu-1": host(VIDEO),
    "cpu-2": host(VIDEO, celery_worker_pool_overrides={"video": {"instances": 3, "queues": ["other"]}}),
    "cpu-3": host({"name": "video-2", "queues": ["video"]}),
    "other": host({"name": "elsewhere", "queues": ["elsewhere"]}, name="staging"),
    "producer": {},
    "new": {"cluster_environment": {"name": "prod"}},
}


def test_all_workers_of_the_environment_count_with_their_overrides():
    assert environment_pools(HOSTVARS, HOSTVARS, "prod") == {
        "queues": ["bulk", "other", "video"],
        "nodes": [
            {"pattern": r"video\-2@cpu\-2", "pool": "video"},
            {"pattern": r"video\-2(?:-[0-9]+)?@.*", "pool": "video-2"},
            {"pattern": r"video(?:-[0-9]+)?@.*", "pool": "video"},
        ],
    }


def test_more_hosts_and_more_processes_change_nothing_that_is_written():
    fleet = {f"cpu-{number}": host(VIDEO, celery_worker_pool_defaults={"instances": number}) for number in range(1, 50)}
    assert environment_pools(fleet, fleet, "prod") == environment_pools(["cpu-1"], fleet, "prod")


def test_pools_that_are_none_are_refused_with_their_host():
    with pytest.raises(AnsibleFilterError, match=r"cpu-9: \[pool_instances\] celery_worker_pools\[video\] = instances 0"):
        environment_pools(["cpu-9"], {"cpu-9": host({**VIDEO, "instances": 0})}, "prod")
