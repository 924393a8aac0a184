# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys broken inventories with site.yml: each is refused by name, and no host is contacted."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.plugin_utils import tls
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import inventories

REDIS = "group_vars/brokers/redis.yml"
SENTINEL = "group_vars/brokers/redis_sentinel.yml"
APP = "group_vars/all/celery_app.yml"
CPU = "group_vars/workers_cpu/celery_worker.yml"
IO = "group_vars/workers_io/celery_worker.yml"
OTHER = {"name": "staging", "vhost": 5, "key_prefix": "staging:", "user": "staging", "password": "Ry2nd7At9kDh4jGm6bTx1bNq"}
PROD = "{{ default_environment }}"
WATCHING = "{{ default_environment | combine({'user': 'prod_monitoring', 'password': default_environment.monitoring_password}) }}"
PREFORK = {"name": "video", "queues": ["video_processing"], "pool": "prefork"}
GENERAL = {"name": "general", "queues": ["default"], "pool": "prefork", "concurrency": 2}
EXPORT = {"name": "export", "queues": ["data_export"], "pool": "gevent"}
STATIC = {"inventory | Check the inputs against specs and each other"}
# Skipped or without a connection where facts are known.
WITH_FACTS = {
    "ansible.builtin.set_fact",
    "inventory | Stop the play if its hosts are already checked",
    "hosts | Collect the facts that the roles need",
    "hosts | Check the inputs against the facts",
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A change of the prod inventory and what preflight reports on it."""

    changes: dict[str, t.Any]
    message: str
    facts: dict[str, t.Any] | None = None
    more: tuple[str, ...] = ()


def pools(*entries: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"celery_worker_pools": list(entries)}


def own_files(*names: str) -> dict[str, str]:
    """What a company's CA gives a host."""
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    issued = tls.issue(COMPANY, tls.public_pem(key.public_key()), names, 30)
    return {"tls_custom_certificate": issued, "tls_custom_key": text, "tls_custom_ca": COMPANY.certificate}


COMPANY = tls.new_ca("Company", 60)
# Valid for the brokers and both cpu hosts at the addresses that the tests give them.
OWN = own_files("broker-1", "broker-2", "broker-3", "cpu-1", "cpu-2", *(f"198.51.100.{last}" for last in range(11, 16)))
TLS = "group_vars/all/tls.yml"

CASES = {
    "certificate-of-others": Case({TLS: OWN}, r"\[custom_certificate\] tls_custom_certificate on io-1: it is not valid for .*io-1\. Get one that is"),
    "certificate-with-the-key-of-another": Case(
        {TLS: OWN, "host_vars/cpu-2/tls.yml": {"tls_custom_key": own_files("cpu-2")["tls_custom_key"]}},
        r"\[custom_certificate\] tls_custom_key on cpu-2: it does not belong to tls_custom_certificate",
    ),
    "certificate-of-an-unknown-ca": Case(
        {TLS: {**OWN, "tls_custom_ca": tls.new_ca("Other", 60).certificate}},
        r"\[custom_certificate\] tls_custom_ca on broker-1, .*it holds no CA that has issued tls_custom_certificate",
    ),
    "certificate-without-its-key": Case({TLS: {**OWN, "tls_custom_key": ""}}, r"\[custom_certificate\] tls_custom_key on .*it is missing beside the others"),
    "certificate-that-is-none": Case(
        {TLS: {**OWN, "tls_custom_certificate": "/etc/ssl/company.pem"}},
        r"\[custom_certificate\] tls_custom_certificate on .*it cannot be used, .*no certificate in PEM form.*Give PEM texts",
    ),
    "certificate-of-one-host": Case(
        {"host_vars/cpu-1/tls.yml": OWN},
        r"\[custom_certificate\] tls_custom_ca on broker-1, .*cpu-1 has a certificate of your own, which nobody trusts here",
    ),
    "monitoring-user-of-workers": Case(
        {"host_vars/cpu-1/app.yml": {"cluster_environment": WATCHING}},
        r"\[monitoring_user\] cluster_environment = user prod_monitoring on cpu-1: .*may not take a task",
    ),
    "monitoring-user-is-the-programs": Case(
        {"group_vars/all/cluster.yml": {"default_environment": {"monitoring_user": "prod"}}},
        r"\[environment_user\] cluster_environments = monitoring_user prod on broker-1",
    ),
    "monitoring-user-of-two": Case(
        {REDIS: {"cluster_environments": [PROD, {**OTHER, "user": "prod_monitoring"}]}},
        r"\[environment_user\] cluster_environments = user prod_monitoring on broker-1, .*both 'prod' and 'staging'",
    ),
    "monitoring-user-without-password": Case(
        {"group_vars/all/cluster.yml": {"default_environment": {"monitoring_password": ""}}},
        r"\[monitoring_password\] cluster_environments = monitoring_user prod_monitoring on broker-1",
    ),
    "no-secrets": Case(
        {"group_vars/all/vault.yml": dict.fromkeys(inventories.SECRETS)},
        r"\[secret_missing\] vault_celery_observer_password, .*vault_environment_password, "
        r".*vault_redis_admin_password, .*multinode\.celery\.ops\.create_secrets",
    ),
    "two-sentinels": Case(
        {"hosts.yml": {"brokers": ["broker-1", "broker-2"]}},
        r"\[sentinel_few\] number of Sentinels = 2 on broker-1, broker-2: .* at least three, in hosts\.yml",
    ),
    "four-sentinels": Case(
        {"hosts.yml": {"brokers": [f"broker-{number}" for number in range(1, 5)]}},
        r"\[sentinel_even\] number of Sentinels = 4 on broker-1, broker-2, broker-3, broker-4: an even number",
    ),
    "single-node-of-three": Case(
        {REDIS: {"redis_standalone": True}},
        r"\[standalone\] redis_standalone = true on broker-1, .*3 hosts are brokers",
    ),
    "quorum-out-of-reach": Case(
        {SENTINEL: {"redis_sentinel_quorum": 4}},
        r"\[sentinel_quorum\] redis_sentinel_quorum = 4 on broker-1, .*Set it to 2 in group_vars/brokers/redis_sentinel\.yml",
    ),
    "one-vhost": Case(
        {REDIS: {"cluster_environments": [PROD, {**OTHER, "vhost": 0}]}},
        r"\[environment_vhost\] cluster_environments = vhost 0 on broker-1, .*'prod' and 'staging'",
    ),
    "one-prefix": Case(
        {REDIS: {"cluster_environments": [PROD, {**OTHER, "key_prefix": "prod:"}]}},
        r"\[environment_key_prefix\] cluster_environments = key_prefix prod: on",
    ),
    "prefix-within-a-prefix": Case(
        {REDIS: {"cluster_environments": [PROD, {**OTHER, "key_prefix": "prod:eu:"}]}},
        r"\[environment_key_prefix\] cluster_environments = key_prefix prod: on .*beginning of prod:eu:",
    ),
    "one-user": Case(
        {REDIS: {"cluster_environments": [PROD, {**OTHER, "user": "prod"}]}},
        r"\[environment_user\] cluster_environments = user prod on",
    ),
    "vhost-too-high": Case(
        {REDIS: {"redis_databases": 4, "cluster_environments": [PROD, OTHER]}},
        r"\[vhost_range\] cluster_environments = vhost 5 on .*Set redis_databases to at least 6",
    ),
    "prefix-without-colon": Case(
        {"group_vars/all/cluster.yml": {"default_environment": {"key_prefix": "prod"}}},
        r'\[key_prefix\] cluster_environments = key_prefix \'prod\' on .*Set key_prefix: "prod:"',
    ),
    "unknown-environment": Case(
        {REDIS: {"cluster_environments": [OTHER]}},
        r"\[environment_unknown\] cluster_environment = name prod on cpu-1, cpu-2, io-1, scheduler-1, monitor-1 and 1 more: .*only staging",
    ),
    "queue-nobody-consumes": Case(
        {APP: {"celery_app_queues": ["default", "video_processing", "data_export", "reports"]}},
        r"\[queue_unconsumed\] celery_app_queues = reports on cpu-1, .*no pool of any worker consumes",
    ),
    "queue-misspelt": Case(
        {IO: pools({**EXPORT, "queues": ["data_exports"]})},
        r"\[queue_unknown\] celery_worker_pools = queue data_exports of the pool export on io-1: .*did you mean 'data_export'\?",
        more=(r"\[queue_unconsumed\] celery_app_queues = data_export",),
    ),
    "queue-with-comma": Case(
        {APP: {"celery_app_queues": ["default", "video_processing", "data_export", "a,b"]}},
        r"\[queue_name\] celery_app_queues = 'a,b' on",
    ),
    "default-queue-unknown": Case(
        {APP: {"celery_app_default_queue": "defualt"}},
        r"\[queue_route\] celery_app_default_queue = defualt on .*did you mean 'default'\?",
    ),
    "unknown-pool-type": Case(
        {IO: pools({**EXPORT, "pool": "gevnet"})},
        r"\[pool_pool\] celery_worker_pools\[export\] = pool 'gevnet' on io-1: choose one of prefork, .*did you mean 'gevent'\? Correct it in group_vars",
    ),
    "unknown-key-of-a-pool": Case(
        {IO: pools({**EXPORT, "concurency": 5})},
        r"\[pool_key\] celery_worker_pools\[export\] = unknown key 'concurency' on io-1: .*did you mean 'concurrency'\? Correct it in group_vars",
    ),
    "pool-of-a-wrong-type": Case(
        {IO: {"celery_worker_pools": "export"}},
        r"\[pool_type\] celery_worker_pools = 'export' on io-1: give a list of pools\. Correct it in group_vars/workers/celery_worker\.yml",
    ),
    "children-replaced-after-less-than-no-task": Case(
        {CPU: pools({**PREFORK, "max_tasks_per_child": -1}, GENERAL)},
        r"\[pool_max_tasks_per_child\] celery_worker_pools\[video\] = max_tasks_per_child -1 on cpu-1, cpu-2: set a whole number of at least 0\. "
        r"Correct it in group_vars/workers/celery_worker\.yml",
    ),
    "autoscale-to-nothing": Case(
        {CPU: pools({**PREFORK, "autoscale": {"min": 0, "max": 3}}, GENERAL)},
        r"\[pool_autoscale\] celery_worker_pools\[video\] = autoscale \{'min': 0, 'max': 3\} on cpu-1, cpu-2: "
        r"min is 0, set a whole number of at least 1\. Correct it in group_vars/workers/celery_worker\.yml",
    ),
    "autoscale-without-a-bound": Case(
        {CPU: pools({**PREFORK, "autoscale": {"min": None, "max": 3}}, GENERAL)},
        r"\[pool_autoscale\] celery_worker_pools\[video\] = autoscale .* on cpu-1, cpu-2: give min and max, or \{\} for a fixed size\. Correct",
    ),
    "unknown-key-of-an-override": Case(
        {CPU: {"celery_worker_pool_overrides": {"video": {"instancess": 3}}}},
        r"\[pool_key\] celery_worker_pool_overrides\[video\] = unknown key 'instancess' on cpu-1, cpu-2: .*did you mean 'instances'\? "
        r"Correct it in group_vars/workers/celery_worker\.yml",
    ),
    "unknown-pool-type-of-an-override": Case(
        {IO: {"celery_worker_pool_overrides": {"export": {"pool": "gevnet"}}}},
        r"\[pool_pool\] celery_worker_pool_overrides\[export\] = pool 'gevnet' on io-1: .*did you mean 'gevent'\? Correct it in group_vars",
    ),
    "override-that-renames": Case(
        {CPU: {"celery_worker_pool_overrides": {"video": {"name": "x"}}}},
        r"\[pool_name\] celery_worker_pool_overrides\[video\] = name 'x' on cpu-1, cpu-2: an override cannot rename a pool\. Remove it in group_vars",
    ),
    "overrides-of-a-wrong-type": Case(
        {CPU: {"celery_worker_pool_overrides": ["video"]}},
        r"\[pool_type\] celery_worker_pool_overrides = \['video'\] on cpu-1, cpu-2: give a dictionary of pools and their keys\. Correct it in group_vars",
    ),
    "defaults-that-no-pool-can-have": Case(
        {CPU: {"celery_worker_pool_defaults": {"max_tasks_per_child": -1, "autoscale": {"min": 0, "max": 3}, "instancess": 3, "pool": "gevnet", "name": "x"}}},
        r"inventory, 5 errors\.",
        more=(
            r"\[pool_max_tasks_per_child\] celery_worker_pool_defaults = max_tasks_per_child -1 on cpu-1, cpu-2: set .*\. Correct it in group_vars",
            r"\[pool_autoscale\] celery_worker_pool_defaults = autoscale .* on cpu-1, cpu-2: min is 0, set .*\. Correct it in group_vars",
            r"\[pool_key\] celery_worker_pool_defaults = unknown key 'instancess' on cpu-1, cpu-2: .*did you mean 'instances'\? Correct it in group_vars",
            r"\[pool_pool\] celery_worker_pool_defaults = pool 'gevnet' on cpu-1, cpu-2: .*did you mean 'gevent'\? Correct it in group_vars",
            r"\[pool_key\] celery_worker_pool_defaults = key 'name' on cpu-1, cpu-2: each pool has its own\. Remove it, and set it in each pool in group_vars",
        ),
    ),
    "variable-that-supervisor-cannot-hold": Case(
        {IO: {**pools({**EXPORT, "env": {"TITLE": "'quoted'"}}), "celery_worker_manager": "supervisor"}},
        r"\[pool_env\] celery_worker_pools\[export\] = env on io-1: supervisor cannot hold the value of TITLE: .*Correct it in group_vars",
    ),
    "pool-made-of-facts": Case(
        {CPU: pools({**PREFORK, "concurrency": "{{ ansible_facts.processor_nproc - 4 }}"}, GENERAL)},
        r"\[pool_concurrency\] celery_worker_pools\[video\] = concurrency '?0'? on cpu-1, cpu-2: set a whole number of at least 1, or auto\. Correct",
        facts={},
    ),
    "sentinel-port-of-one-host": Case(
        {"host_vars/cpu-1.yml": {"cluster_sentinel_port": 26380}},
        r"\[cluster_differs\] cluster_sentinel_port = 26380 on cpu-1: the other hosts have another value, 26379, .*Set it once, in group_vars/all/cluster\.yml",
    ),
    "tls-of-one-group": Case(
        {"group_vars/workers/cluster.yml": {"cluster_tls_enabled": False}},
        r"\[cluster_differs\] cluster_tls_enabled = False on cpu-1, cpu-2, io-1: the other hosts have another value, True",
    ),
    "pool-twice": Case(
        {CPU: pools(PREFORK, {**GENERAL, "name": "video"})},
        r"\[pool_twice\] celery_worker_pools = name video on cpu-1, cpu-2: two pools",
    ),
    "node-twice": Case(
        {CPU: pools({**PREFORK, "instances": 2}, {**GENERAL, "name": "video-2"})},
        r"\[node_twice\] celery_worker_pools = node video-2 on cpu-1, cpu-2: .*video and video-2",
    ),
    "gevent-with-autoscale": Case(
        {IO: pools({**EXPORT, "autoscale": {"min": 1, "max": 10}})},
        r"\[pool_autoscale\] celery_worker_pools\[export\] = pool gevent with autoscale on io-1: a gevent pool cannot grow",
    ),
    "gevent-not-installed": Case(
        {APP: {"celery_app_extra_requirements": []}},
        r"\[greenlets_missing\] celery_app_extra_requirements = \[\] on io-1: .*Add gevent to celery_app_extra_requirements",
    ),
    "visibility-below-time-limit": Case(
        {APP: {"celery_app_visibility_timeout_seconds": 3700}},
        r"\[visibility_timeout\] celery_app_visibility_timeout_seconds = 3700 on .*Set it above 3900",
    ),
    "soft-limit-above-hard": Case(
        {CPU: pools({**PREFORK, "time_limit_seconds": 60, "soft_time_limit_seconds": 90}, GENERAL)},
        r"\[time_limits\] celery_worker_pools\[video\]\.time_limit_seconds = 60 on cpu-1, cpu-2: the soft time limit of 90 s",
    ),
    "stop-below-drain": Case(
        {CPU: {"celery_worker_stop_timeout_seconds": 300}},
        r"\[stop_timeout\] celery_worker_stop_timeout_seconds = 300 on cpu-1, cpu-2: .*Set it above 310",
    ),
    "no-channel-error-retry": Case(
        {APP: {"celery_app_channel_error_retry": False}},
        r"\[channel_error_retry\] celery_app_channel_error_retry = false on cpu-1, .*NOREPLICAS",
    ),
    "more-replicas-than-brokers": Case(
        {REDIS: {"redis_min_replicas_to_write": 3}},
        r"\[min_replicas\] redis_min_replicas_to_write = 3 on broker-1, .*refuse every write",
    ),
    "weak-password": Case(
        {"group_vars/all/vault.yml": {"vault_redis_admin_password": "redisadminpassword"}},
        r"\[password_weak\] redis_admin_password = \(hidden\) on broker-1, ",
    ),
    "short-password": Case(
        {"group_vars/all/vault.yml": {"vault_sentinel_peer_password": "aB3dE6gH9"}},
        r"\[password_weak\] redis_sentinel_peer_password = \(hidden\) on broker-1, .*shorter than 16",
    ),
    "equal-passwords": Case(
        {"group_vars/all/vault.yml": {"vault_redis_replica_password": "Jp4ev9Tm2cWa6rZd8uNq3kFg"}},
        r"\[password_equal\] redis_admin_password and redis_replica_password = \(hidden\) on broker-1",
    ),
    "no-workers": Case(
        {"hosts.yml": {"workers": []}},
        r"\[group_empty\] group workers: the group is empty",
    ),
    "group-misspelt": Case(
        {"hosts.yml": {"brokers": None, "broker": ["broker-1", "broker-2", "broker-3"]}},
        r"\[group_empty\] group brokers: the group does not exist, did you mean 'broker'\?",
    ),
    "one-address": Case(
        {f"host_vars/{name}.yml": {"cluster_address": "198.51.100.11"} for name in ("broker-1", "broker-2")},
        r"\[address_twice\] cluster_address = 198\.51\.100\.11 on broker-1, broker-2",
    ),
    "no-number": Case(
        {REDIS: {"redis_databases": "many"}},
        r"\[argument_spec\] redis_databases on broker-1, broker-2, broker-3: .*unable to convert to int",
    ),
    "text-for-a-truth-value": Case(
        {"group_vars/all/firewall.yml": {"firewall_enabled": "false"}},
        r"\[argument_spec\] firewall_enabled on broker-1, .*the text 'false' and no truth value; .* -e '\{\"firewall_enabled\": false\}'",
    ),
    "text-for-a-flag-that-is-asked": Case(
        {"group_vars/all/asked.yml": {"redis_update_packages": "false", "tls_ca_replace": "true", "redis_databases": "many"}},
        r"(?s)^(?!.*truth value).*\[argument_spec\] redis_databases",
    ),
    "variable-missing": Case(
        {REDIS: {"cluster_environments": ["{{ staging_environment }}"]}},
        r"\[variable_missing\] staging_environment on broker-1, .*cluster_environments needs it",
    ),
    "everything-at-once": Case(
        {"hosts.yml": {"brokers": ["broker-1", "broker-2"]}, IO: pools({**EXPORT, "queues": ["nothing"]})},
        r"inventory, 3 errors\.",
        more=(r"1\. \[sentinel_few\]", r"2\. \[queue_unconsumed\]", r"3\. \[queue_unknown\]"),
    ),
    "too-many-children": Case(
        {CPU: pools({**PREFORK, "concurrency": 40}, GENERAL)},
        r"\[concurrency\] celery_worker_pools = 42 prefork children \(video, general\) on cpu-1, cpu-2: the host has 4 cores",
        facts={},
    ),
    "too-much-memory": Case(
        {CPU: pools({**PREFORK, "max_memory_per_child_mb": 3000}, GENERAL)},
        r"\[memory\] celery_worker_pools = 12128 MB \(video 12000 MB, general 128 MB\) on cpu-1, cpu-2: the host has 8000 MB",
        facts={},
    ),
    "lock-missing": Case({APP: {"celery_app_lock": "/nowhere/proj.lock"}}, r"\[lock\] celery_app_lock = /nowhere/proj\.lock on .*cannot be read"),
    "lock-without-hashes": Case(
        {APP: {"celery_app_lock": str(inventories.CHECKOUT / "requirements/dev.in")}},
        r"\[lock\] celery_app_lock = .*/dev\.in on .*'antsibull-changelog' is not pinned.*--generate-hashes",
    ),
    "lock-of-something-else": Case(
        {APP: {"celery_app_lock": str(inventories.CHECKOUT / "roles/flower/files/flower.lock")}},
        r"\[lock\] celery_app_lock = .*flower\.lock on .*it lacks celery-redbeat; it lacks gevent",
    ),
    "folder-without-wheels": Case(
        {APP: {"celery_app_wheel_folder": str(inventories.CHECKOUT / "docs")}},
        r"\[wheels\] celery_app_wheel_folder = .*docs on .*neither wheel nor sdist",
    ),
    "other-distribution": Case(
        {},
        r"\[platform\] distribution = Ubuntu 24 on cpu-2: only Debian 12/13 is supported",
        facts={"cpu-2": {"distribution": "Ubuntu", "distribution_major_version": "24"}},
    ),
    "address-of-another": Case(
        {"host_vars/broker-3.yml": {"cluster_address": "198.51.100.200"}},
        r"\[address_foreign\] cluster_address = 198\.51\.100\.200 on broker-3: the host has no such address, only 198\.51\.100\.13",
        facts={},
    ),
}
# What must pass, so that a refusal means something.
GOOD = ("prod", "test", "dev")
# Changes of the prod inventory that must pass: null is no value, wherever it stands.
ACCEPTED = {
    "concurrency-of-null": {CPU: pools({**PREFORK, "concurrency": None}, GENERAL)},
    "processes-of-null": {CPU: pools({**PREFORK, "instances": None}, GENERAL)},
    "autoscale-of-nulls": {CPU: pools({**PREFORK, "autoscale": {"min": None, "max": None}}, GENERAL)},
    "defaults-of-null": {CPU: {"celery_worker_pool_defaults": {"concurrency": None, "autoscale": None}}},
    "overrides-of-null": {CPU: {"celery_worker_pool_overrides": {"video": {"instances": None}, "general": None}}},
    "concurrency-made-of-facts": {CPU: pools({**PREFORK, "concurrency": "{{ ansible_facts.processor_nproc * 2 }}"}, GENERAL)},
}
# These are deployed with site.yml as a user would; all are given to the action plugin, which takes a tenth of the time.
DEPLOYED = (
    "no-secrets",
    "two-sentinels",
    "four-sentinels",
    "one-vhost",
    "one-prefix",
    "queue-nobody-consumes",
    "unknown-pool-type",
    "unknown-key-of-an-override",
    "pool-twice",
    "gevent-with-autoscale",
    "visibility-below-time-limit",
    "stop-below-drain",
    "no-channel-error-retry",
    "weak-password",
    "too-many-children",
    "too-much-memory",
)
Runs = dict[str, concurrent.futures.Future[inventories.Run]]


@pytest.fixture(scope="module")
def collections() -> str:
    """The tree in which the checkout is under its own name."""
    return next(path for path in sys.path if os.path.isdir(os.path.join(path, "ansible_collections", "multinode", "celery")))


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, collections: str) -> t.Iterator[Runs]:
    """All deployments that were asked for, as many at a time as there are processors."""

    def run(name: str, path: pathlib.Path) -> inventories.Run:
        if name in GOOD:
            inventory = inventories.make(path / "inventory", {}, facts={}, base=name)
            return inventories.play(path, inventory, collections, True, "preflight")
        case = CASES[name]
        inventory = inventories.make(path / "inventory", case.changes, case.facts)
        return inventories.play(path, inventory, collections, case.facts is not None)

    parameters = [item.callspec.params for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    names = {given["deployed"] for given in parameters if "deployed" in given}
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield {name: pool.submit(run, name, tmp_path_factory.mktemp(name)) for name in sorted(names)}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, collections: str) -> dict[str, dict[str, str]]:
    """What the action plugin reports on every inventory."""
    path = tmp_path_factory.mktemp("inventories")
    for name, case in CASES.items():
        inventories.make(path / name, case.changes, case.facts)
    for name in GOOD:
        inventories.make(path / name, {}, facts={}, base=name)
    for name, changes in ACCEPTED.items():
        inventories.make(path / name, changes, facts={})
    command = [sys.executable, str(pathlib.Path(__file__).with_name("check_inventories.py")), collections]
    done = subprocess.run([*command, *(str(path / name) for name in (*CASES, *GOOD, *ACCEPTED))], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {pathlib.Path(name).name: answer for name, answer in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_inventory_is_named(name: str, answers: dict[str, dict[str, str]]) -> None:
    answer = answers[name]
    for message in (CASES[name].message, *CASES[name].more):
        assert re.search(message, answer["message"]), answer["message"]
    assert answer["stage"] == ("inventory" if CASES[name].facts is None else "hosts")
    for secret in (*inventories.SECRETS.values(), "redisadminpassword", "aB3dE6gH9"):
        assert secret not in answer["message"]


@pytest.mark.parametrize("name", [*GOOD, *ACCEPTED])
def test_a_good_inventory_is_accepted(name: str, answers: dict[str, dict[str, str]]) -> None:
    assert answers[name] == {"stage": "hosts", "message": ""}


@pytest.mark.parametrize("deployed", DEPLOYED)
def test_a_broken_inventory_is_refused_before_any_host_is_touched(deployed: str, runs: Runs) -> None:
    case, run = CASES[deployed], runs[deployed].result()
    assert run.status == 2, run.output
    for message in (case.message, *case.more):
        assert re.search(message, run.output), run.output
    # Nothing but the checks ran, and no connection was tried.
    allowed = STATIC if case.facts is None else STATIC | WITH_FACTS
    assert [task for task in run.tasks if task not in allowed and not task.startswith("Validating arguments")] == []
    assert "UNREACHABLE" not in run.output
    assert set(re.findall(r"changed=(\d+) +unreachable=(\d+)", run.output)) == {("0", "0")}
    assert ("no host was contacted" in run.output) == (case.facts is None)
    for secret in inventories.SECRETS.values():
        assert secret not in run.output


@pytest.mark.parametrize("deployed", GOOD)
def test_a_shipped_inventory_passes(deployed: str, runs: Runs) -> None:
    run = runs[deployed].result()
    assert run.status == 0, run.output
    assert "hosts | Check the inputs against the facts" in run.tasks
    assert "WARNING" not in run.output
