# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter counts a node under the pool that the collection knows it by."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import types
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.filter.celery_environment_pools import environment_pools
from ansible_collections.multinode.celery.plugins.plugin_utils import pools

FILES = pathlib.Path(__file__).resolve().parents[4] / "roles/celery_exporter/files/usr/local/lib/celery-exporter"
VIDEO, NUMBERED = {"name": "video", "queues": ["video"], "instances": 3}, {"name": "video-2", "queues": ["video"]}
FLEET = {host: {"cluster_environment": {"name": "prod"}, "celery_worker_pools": [pool]} for host, pool in (("cpu-1", VIDEO), ("cpu-2", NUMBERED))}


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """The program without the libraries of its virtual environment, none of which is asked here."""
    names = {
        "loguru": ("logger",), "prometheus_client": ("Counter", "ProcessCollector", "Summary"), "prometheus_client.core": ("GaugeMetricFamily",),
        "multinode_queues": ("Reader", "broker_of"), "src": ("exporter",), "src.exporter": ("Exporter",),
    }  # fmt: skip
    for name, members in names.items():
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, object)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sys.modules["src"], "exporter", sys.modules["src.exporter"], raising=False)
    spec = importlib.util.spec_from_file_location("multinode_celery", FILES / "multinode_celery.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("node", "expected"),
    [("video@cpu-1", ("video", "cpu-1")), ("video-2@cpu-1", ("video", "cpu-1")), ("video-2@cpu-2", ("video-2", "cpu-2")),
     # Started by hand, in a pool that is not in the inventory, and on a host that is not.
     ("video-8@cpu-1", ("video", "cpu-1")), ("other-2@cpu-1", ("other-2", "cpu-1")), ("video-3@new", ("video", "new")), ("celery@", ("celery", ""))],
)  # fmt: skip
def test_a_node_is_of_the_pool_that_the_inventory_sets(program: t.Any, node: str, expected: tuple[str, str]) -> None:
    written = environment_pools(FLEET, FLEET, "prod")["nodes"]
    assert program.Pools(written).of(node) == expected
    # The program and the collection read the rules alike.
    assert pools.pool_of_node(node, [(entry["pattern"], entry["pool"]) for entry in written]) == expected[0]
