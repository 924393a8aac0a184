# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight, doctor and support bundle read the shipped inventories, and read the same."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

import inventories

# Redis and Sentinel write them; what they begin with depends on who is the master.
STATE_FILES = {"/var/lib/redis-broker/redis.conf", "/var/lib/redis-broker/sentinel.conf"}
SHIPPED = ("dev", "test", "prod")


def readers(*made: pathlib.Path) -> dict[str, dict[str, t.Any]]:
    """Return what was read of every host, by inventory and host."""
    collections = next(path for path in sys.path if os.path.isdir(os.path.join(path, "ansible_collections", "multinode", "celery")))
    command = [sys.executable, str(pathlib.Path(__file__).with_name("read_inventories.py")), collections, *map(str, made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {pathlib.Path(name).name: answer for name, answer in json.loads(done.stdout).items()}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, t.Any]]:
    """What was read of every host of the shipped inventories."""
    path = tmp_path_factory.mktemp("readers")
    found = readers(*(inventories.make(path / name, {}, facts={}, base=name) for name in SHIPPED))
    assert {name: len(answer) for name, answer in found.items()} == {"dev": 1, "test": 3, "prod": 9}
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_preflight_and_doctor_see_the_same_values(name: str, hosts: dict[str, dict[str, t.Any]]) -> None:
    for host, read in hosts[name].items():
        assert len(read["preflight"]) > 100, host
        assert read["preflight"] == read["doctor"], host


@pytest.mark.parametrize("name", SHIPPED)
def test_what_a_play_gives_to_a_role_is_its_value(name: str, hosts: dict[str, dict[str, t.Any]]) -> None:
    for host, read in hosts[name].items():
        assert "nftables" in read["preflight"]["packages_names"], host


@pytest.mark.parametrize("name", SHIPPED)
def test_doctor_knows_where_the_brokers_are(name: str, hosts: dict[str, dict[str, t.Any]]) -> None:
    for host, read in hosts[name].items():
        assert read["expected"]["problems"] == {}, host
        brokers = read["brokers"]
        port = 6380 if read["preflight"]["cluster_tls_enabled"] else 6379
        assert (brokers["port"], brokers["sentinel_port"], brokers["master_name"]) == (port, 26379, "celery"), host
        with_redis = [other for other in hosts[name] if "redis_admin_password" in hosts[name][other]["preflight"]]
        assert [node["host"] for node in brokers["nodes"]] == with_redis, host


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("monitor-1", "/etc/monitoring-proxy/nginx.conf"),
        ("monitor-1", "/etc/systemd/system/monitoring-proxy.service"),
        ("monitor-1", "/etc/systemd/system/monitoring-prometheus.service"),
        ("monitor-1", "/etc/systemd/system/monitoring-alertmanager.service"),
        ("broker-1", "/etc/systemd/system/monitoring-node-exporter.service"),
        ("broker-1", "/etc/multinode-firewall/rules.nft"),
        ("broker-1", "/etc/systemd/system/multinode-firewall.service"),
        ("broker-1", "/etc/redis-broker/redis.conf"),
        ("broker-1", "/var/lib/redis-broker/sentinel.conf"),
        ("cpu-1", "/etc/celery/proj/env"),
        ("cpu-1", "/etc/systemd/system/celery-worker-video.service"),
        ("cpu-1", "/etc/logrotate.d/celery"),
    ],
)
def test_the_support_bundle_has_what_roles_place(host: str, path: str, hosts: dict[str, dict[str, t.Any]]) -> None:
    assert path in hosts["prod"][host]["files"]


def test_the_support_bundle_follows_the_log_directory(tmp_path: pathlib.Path) -> None:
    path = inventories.make(tmp_path / "dev", {"group_vars/all/more.yml": {"cluster_log_directory": "/srv/log"}}, facts={}, base="dev")
    (read,) = readers(path)["dev"].values()
    assert read["written"] == ["/etc/celery/drained", "/srv/log/*.log"]
    assert {node["log_file"] for node in read["expected"]["nodes"]} > {"/srv/log/general.log"}


@pytest.mark.parametrize("name", SHIPPED)
def test_no_file_of_a_bundle_shows_a_password_that_nobody_knows(name: str, hosts: dict[str, dict[str, t.Any]]) -> None:
    for host, read in hosts[name].items():
        assert read["unknown"] == {}, host
    rendered = {host: read for host, read in hosts[name].items() if read["contents"] is not None}
    assert rendered
    for host, read in rendered.items():
        assert set(read["contents"]) == set(read["files"]) - STATE_FILES, host
        for path, text in read["contents"].items():
            assert "$2b$" not in text, (host, path)
            for variable, secret in inventories.SECRETS.items():
                assert secret not in text, (host, path, variable)
