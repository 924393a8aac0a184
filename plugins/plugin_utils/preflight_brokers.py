# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of groups, brokers, environments and passwords."""

from __future__ import annotations

import itertools
import re
import typing as t

from ansible_collections.multinode.celery.plugins.filter.environment_users import environment_users
from ansible_collections.multinode.celery.plugins.plugin_utils.preflight import (
    HIDDEN,
    Check,
    Finding,
    Host,
    Inventory,
    did_you_mean,
    number,
)

OWN_USERS = ("redis_admin_user", "redis_replica_user", "redis_sentinel_auth_user", "redis_monitoring_user")
# Whom the users of an environment besides the one of its programs are for.
PURPOSES = {"monitoring": "exporters", "producer": "producers"}
KEY_PREFIX = re.compile(r"^[A-Za-z0-9._-]+(:[A-Za-z0-9._-]+)*:$")
# ACL files, environment files and URLs all take these as they are; blanks and quotes end a word in one of them.
PASSWORD = re.compile(r"^[!-~]+$")
# What a password may hold by chance, but not consist of.
WEAK_WORD = re.compile(
    r"change.?me|passw(or)?d|secret|admin|redis|celery|sentinel|example|replace|letmein|qwerty|123456?|todo", re.IGNORECASE
)
NEW_PASSWORD = "Remove it from vault.yml and let ansible-playbook multinode.celery.ops.create_secrets make a new one"
# One secret each: two of these with one value would let one program act as another.
SECRETS = (
    "redis_admin_password",
    "redis_replica_password",
    "redis_sentinel_auth_password",
    "redis_monitoring_password",
    "redis_sentinel_admin_password",
    "redis_sentinel_peer_password",
    "cluster_sentinel_client_password",
    "cluster_node_exporter_password",
    "prometheus_proxy_password",
)

# What no two hosts of a cluster may see differently.
SHARED = (
    "cluster_tls_enabled",
    "cluster_redis_port",
    "cluster_sentinel_port",
    "cluster_sentinel_master_name",
    "cluster_sentinel_client_user",
    "cluster_sentinel_client_password",
    "cluster_node_exporter_port",
    "cluster_node_exporter_user",
    "cluster_node_exporter_password",
    "cluster_alertmanager_port",
    "cluster_proxy_port",
)


def check_groups(inventory: Inventory) -> t.Iterator[Finding]:
    """Groups that the cluster cannot do without have hosts."""
    for group in inventory.required_groups:
        if not inventory.groups.get(group):
            hint = did_you_mean(group, set(inventory.groups) - set(inventory.roles) - {"all", "ungrouped"})
            state = "is empty" if group in inventory.groups else f"does not exist{hint}"
            yield Finding(
                "group_empty", f"group {group}", "", (), f"the group {state}",
                f"Put at least one host into the group {group} in hosts.yml",
            )  # fmt: skip


def check_sentinels(inventory: Inventory) -> t.Iterator[Finding]:
    """Sentinels can form a majority."""
    sentinels = inventory.having("redis_sentinel")
    brokers = inventory.having("redis")
    single = any(host.flag("redis_standalone") for host in brokers)
    count, names = len(sentinels), tuple(host.name for host in sentinels)
    if single and len(brokers) > 1:
        yield Finding(
            "standalone", "redis_standalone", "true", tuple(host.name for host in brokers),
            f"a single node is declared, but {len(brokers)} hosts are brokers",
            f"Set redis_standalone: false in {inventory.where('redis')}, or leave one broker in hosts.yml",
        )  # fmt: skip
    elif not single and sentinels and (count < 3 or count % 2 == 0):
        few = count < 3
        yield Finding(
            "sentinel_few" if few else "sentinel_even", "number of Sentinels", str(count), names,
            "fewer than three Sentinels cannot elect a new master when a host dies" if few
            else "an even number of Sentinels tolerates no more failures than one less, and can split in halves",
            "Give the brokers' group an odd number of hosts, at least three, in hosts.yml"
            + (f", or set redis_standalone: true in {inventory.where('redis')} with one broker" if few else ""),
        )  # fmt: skip
    for host in sentinels:
        quorum = host.number("redis_sentinel_quorum")
        if quorum is not None and not 1 <= quorum <= count:
            yield Finding(
                "sentinel_quorum", "redis_sentinel_quorum", str(quorum), (host.name,),
                f"{count} Sentinels can never reach this quorum" if quorum > count else "no Sentinel would have to agree",
                f"Set it to {count // 2 + 1} in {inventory.where('redis_sentinel')}, or remove it to have it computed",
            )  # fmt: skip


def check_min_replicas(inventory: Inventory) -> t.Iterator[Finding]:
    """The master finds the replicas it wants, and programs survive when it does not."""
    brokers = inventory.having("redis")
    wanted = 0
    for host in brokers:
        replicas = host.number("redis_min_replicas_to_write")
        if replicas is None:
            continue
        single = bool(host.flag("redis_standalone"))
        wanted = max(wanted, replicas)
        if replicas >= len(brokers) and (replicas > 0 or not single):
            yield Finding(
                "min_replicas", "redis_min_replicas_to_write", str(replicas), (host.name,),
                f"{len(brokers)} brokers have at most {len(brokers) - 1} replicas, so the master would refuse every write",
                f"Set it to {0 if len(brokers) < 2 else 1} in {inventory.where('redis')}",
            )  # fmt: skip
        elif replicas and replicas == len(brokers) - 1:
            yield Finding(
                "min_replicas_all", "redis_min_replicas_to_write", str(replicas), (host.name,),
                "with one broker down no write is accepted", f"Set it to {replicas - 1} or add a broker", fatal=False,
            )  # fmt: skip
    if not wanted:
        return
    for host in inventory.having("celery_app"):
        override = host.mapping("celery_app_settings").get("broker_channel_error_retry")
        if host.flag("celery_app_channel_error_retry") is False or override is False:
            name = "celery_app_channel_error_retry" if override is not False else "celery_app_settings.broker_channel_error_retry"
            yield Finding(
                "channel_error_retry", name, "false", (host.name,),
                f"with redis_min_replicas_to_write = {wanted} a worker exits at the first failover (NOREPLICAS)",
                f"Set it to true in {inventory.where('celery_app')}, or redis_min_replicas_to_write: 0 in {inventory.where('redis')}",
            )  # fmt: skip


def check_environments(inventory: Inventory) -> t.Iterator[Finding]:
    """Environments on the same brokers share no database, key prefix or user."""
    brokers = inventory.having("redis")
    seen: dict[str, str] = {}
    for host in brokers:
        environments = [entry for entry in host.items("cluster_environments") if isinstance(entry, dict)]
        seen.setdefault(repr(environments), host.name)
        yield from _environment_pairs(host, environments)
        for entry in environments:
            yield from _environment(inventory, host, entry)
    if len(seen) > 1:
        yield Finding(
            "environments_differ", "cluster_environments", "", tuple(seen.values()),
            "the brokers do not agree on the environments, so users would vanish in a failover",
            "Set it once, in group_vars/all or in group_vars of the brokers' group",
        )  # fmt: skip


def _environment_pairs(host: Host, environments: list[dict[str, t.Any]]) -> t.Iterator[Finding]:
    for one, other in itertools.combinations(environments, 2):
        pair = f"{one.get('name')!r} and {other.get('name')!r}"
        for key in ("name", "vhost", "key_prefix", "user"):
            if key in one and str(one[key]) == str(other.get(key)):
                yield Finding(
                    f"environment_{key}", "cluster_environments", f"{key} {one[key]}", (host.name,),
                    f"the environments {pair} have one {key} on the same brokers, so they are not apart",
                    f"Give each environment its own {key}",
                )  # fmt: skip
        for user in _users(one) & _users(other) - {str(one.get("user"))}:
            yield Finding(
                "environment_user", "cluster_environments", f"user {user}", (host.name,),
                f"it is a user of both {pair}, so they are not apart",
                "Give each environment users of its own",
            )  # fmt: skip
        prefixes = sorted((str(one.get("key_prefix", "")), str(other.get("key_prefix", ""))), key=len)
        if prefixes[0] != prefixes[1] and prefixes[0] and prefixes[1].startswith(prefixes[0]):
            yield Finding(
                "environment_key_prefix", "cluster_environments", f"key_prefix {prefixes[0]}", (host.name,),
                f"it is the beginning of {prefixes[1]}, so of the environments {pair} one may read the other's keys",
                "Give each environment a key_prefix that begins no other",
            )  # fmt: skip


def _users(entry: dict[str, t.Any]) -> set[str]:
    return {user["user"] for user in environment_users([entry])}


def _environment(inventory: Inventory, host: Host, entry: dict[str, t.Any]) -> t.Iterator[Finding]:
    name = entry.get("name")
    prefix, user, vhost = entry.get("key_prefix"), str(entry.get("user")), number(entry.get("vhost"))
    databases = host.number("redis_databases")
    if isinstance(prefix, str) and not KEY_PREFIX.match(prefix):
        yield Finding(
            "key_prefix", "cluster_environments", f"key_prefix {prefix!r}", (host.name,),
            f"the key prefix of the environment {name!r} must be letters, digits, '.', '_' or '-' and end with a colon",
            f'Set key_prefix: "{re.sub(r"[^A-Za-z0-9._-]", "", prefix) or name}:"',
        )  # fmt: skip
    for taken in sorted(_users(entry) & {"default", *(str(host.get(own)) for own in OWN_USERS)}):
        yield Finding(
            "environment_user", "cluster_environments", f"user {taken}", (host.name,),
            f"the environment {name!r} takes the name of a user that Redis or this collection owns",
            "Name the user after the environment",
        )  # fmt: skip
    for own in environment_users([entry])[1:]:
        if own["user"] == user:
            yield Finding(
                "environment_user", "cluster_environments", f"{own['key']} {user}", (host.name,),
                f"{PURPOSES[own['kind']]} would log in to the environment {name!r} as its programs do, with all their rights",
                f"Name another user, or leave {own['key']} out",
            )  # fmt: skip
        if not own["password"]:
            password = own["key"].replace("user", "password")
            yield Finding(
                password, "cluster_environments", f"{own['key']} {own['user']}", (host.name,),
                f"{PURPOSES[own['kind']]} of the environment {name!r} have a user without a password",
                f"Set {password} beside it, or leave {own['key']} out",
            )  # fmt: skip
    if vhost is not None and databases is not None and not 0 <= vhost < databases:
        yield Finding(
            "vhost_range", "cluster_environments", f"vhost {vhost}", (host.name,),
            f"the environment {name!r} uses a database that does not exist, redis_databases is {databases}",
            f"Set redis_databases to at least {max(vhost, 0) + 1} in {inventory.where('redis')}, "
            f"or a vhost of 0 to {databases - 1}",
        )  # fmt: skip


def check_app_environment(inventory: Inventory) -> t.Iterator[Finding]:
    """Programs belong to an environment that their brokers know, with the same credentials."""
    tables = [host.items("cluster_environments") for host in inventory.having("redis")]
    known = {str(e.get("name")): e for e in (tables[0] if tables else []) if isinstance(e, dict)}
    if not known:
        return
    for host in inventory.having("celery_app"):
        entry = host.mapping("cluster_environment")
        if not entry:
            continue
        name = str(entry.get("name"))
        if name not in known:
            yield Finding(
                "environment_unknown", "cluster_environment", f"name {name}", (host.name,),
                f"the brokers know only {', '.join(sorted(known))}{did_you_mean(name, known)}",
                "Add it to cluster_environments, or name one of these",
            )  # fmt: skip
            continue
        wanted = known[name]
        # Some hosts take the place of a user with fewer rights.
        for lesser in environment_users([wanted])[1:]:
            if lesser["user"] != str(entry.get("user")):
                continue
            programs = sorted({"celery_worker", "celery_beat"} & set(host.roles))
            if programs:
                yield Finding(
                    lesser["key"], "cluster_environment", f"user {lesser['user']}", (host.name,),
                    f"this user is for {PURPOSES[lesser['kind']]}, may not take a task, and {' and '.join(programs)} would run as it",
                    f"Set cluster_environment to the environment with its own user in host_vars/{host.name}",
                )  # fmt: skip
            wanted = {**wanted, "user": lesser["user"], "password": lesser["password"]}
        for key in ("vhost", "key_prefix", "user", "password"):
            if str(entry.get(key)) != str(wanted.get(key)):
                secret = key == "password"
                yield Finding(
                    "environment_mismatch", "cluster_environment", f"{key} {HIDDEN if secret else entry.get(key)}",
                    (host.name,),
                    f"cluster_environments has another {key} for {name!r}"
                    + ("" if secret else f": {wanted.get(key)}"),
                    "Set both from one variable, as default_environment in the shipped inventories",
                )  # fmt: skip


def check_shared_facts(inventory: Inventory) -> t.Iterator[Finding]:
    """The hosts of a cluster agree on what makes them reach each other."""
    for name in SHARED:
        values: dict[str, list[str]] = {}
        for host in inventory.hosts:
            value = host.get(name)
            if value is not None:
                values.setdefault(str(value), []).append(host.name)
        if len(values) > 1:
            # The fewest are probably the ones that are wrong.
            *fewer, (usual, _many) = sorted(values.items(), key=lambda entry: len(entry[1]))
            reported = HIDDEN if name.endswith("password") else " and ".join(value for value, _hosts in fewer)
            yield Finding(
                "cluster_differs", name, reported, tuple(host for _value, hosts in fewer for host in hosts),
                "the other hosts have another value" + ("" if reported == HIDDEN else f", {usual}") + ", so they could not reach each other",
                "Set it once, in group_vars/all/cluster.yml",
            )  # fmt: skip


def check_addresses(inventory: Inventory) -> t.Iterator[Finding]:
    """Every broker has an address of its own that the others can reach."""
    brokers = inventory.having("redis")
    owners: dict[str, list[str]] = {}
    for host in brokers:
        address = host.get("cluster_address")
        if isinstance(address, str):
            owners.setdefault(address, []).append(host.name)
            if address.startswith(("127.", "0.")) and len(brokers) > 1:
                yield Finding(
                    "address_loopback", "cluster_address", address, (host.name,),
                    "the other brokers cannot reach this address",
                    f"Set cluster_address to the host's own address in host_vars/{host.name}/cluster.yml",
                )  # fmt: skip
    for address, names in owners.items():
        if len(names) > 1:
            yield Finding(
                "address_twice", "cluster_address", address, tuple(names), "several brokers have one address",
                "Set ansible_host or cluster_address of each broker to its own address",
            )  # fmt: skip


def check_descriptors(inventory: Inventory) -> t.Iterator[Finding]:
    """Redis gets the descriptors and the backlog that it asks for."""
    for host in inventory.having("redis"):
        clients, files = host.number("redis_maxclients"), host.number("redis_nofile")
        if clients is not None and files is not None and files < clients + 32:
            yield Finding(
                "descriptors", "redis_nofile", str(files), (host.name,),
                f"Redis needs 32 descriptors beside those of redis_maxclients = {clients}",
                f"Set it to at least {clients + 32} in {inventory.where('redis')}",
            )  # fmt: skip
        backlog = number(host.mapping("redis_config").get("tcp-backlog"))
        most = number(host.mapping("limits_sysctl").get("net.core.somaxconn"))
        if backlog is not None and most is not None and most < backlog:
            yield Finding(
                "somaxconn", "limits_sysctl", f"net.core.somaxconn {most}", (host.name,),
                f"the kernel would cut the tcp-backlog of {backlog} in redis_config",
                f"Set net.core.somaxconn to at least {backlog} in {inventory.where('limits')}",
            )  # fmt: skip


def check_passwords(inventory: Inventory) -> t.Iterator[Finding]:
    """Passwords are long, no placeholders, and different from each other."""
    least = number(inventory.limits.get("password_length_min")) or 16
    reported: set[tuple[str, ...]] = set()
    for host in inventory.hosts:
        secrets = {name: value for name in SECRETS if isinstance(value := host.get(name), str)}
        for entry in [*host.items("cluster_environments"), host.get("cluster_environment")]:
            if not isinstance(entry, dict):
                continue
            users = environment_users([entry])
            lesser = {user["user"]: user["key"] for user in users[1:]}
            for user in users:
                # Where exporters or producers run, their user takes the place of the programs'.
                name = lesser.get(user["user"], user["key"]).replace("user", "password")
                if isinstance(user["password"], str) and user["password"]:
                    secrets.setdefault(f"{name} of the environment {entry.get('name')}", user["password"])
        for name, value in secrets.items():
            problem = _password_problem(value, least)
            if problem:
                yield Finding("password_weak", name, HIDDEN, (host.name,), problem, NEW_PASSWORD)
        for one, other in itertools.combinations(sorted(secrets), 2):
            if secrets[one] == secrets[other] and (one, other) not in reported:
                reported.add((one, other))
                yield Finding(
                    "password_equal", f"{one} and {other}", HIDDEN, (host.name,),
                    "two users have one password, so one can act as the other", NEW_PASSWORD,
                )  # fmt: skip


def _password_problem(value: str, least: int) -> str:
    if len(value) < least:
        return f"the password is shorter than {least} characters"
    if len(set(value)) < least // 3 or len(WEAK_WORD.sub("", value)) < least:
        return "the password is a placeholder or easy to guess"
    if not PASSWORD.match(value) or set(value) & set("\"'\\#$`"):
        return "the password holds blanks, quotes or other characters that configuration files cannot take"
    return ""


CHECKS: tuple[Check, ...] = (
    check_groups,
    check_sentinels,
    check_min_replicas,
    check_environments,
    check_app_environment,
    check_shared_facts,
    check_addresses,
    check_descriptors,
    check_passwords,
)
