# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes inventories that differ from the shipped ones in what a test names, and deploys them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
SECRETS = {
    "vault_environment_password": "Hn3wq7Rk1bVz8sXc5tYp2mLd",
    "vault_celery_observer_password": "Gm2vp6Qj9aTy3rVb4sWn8kKc",
    "vault_sensitive_environment_password": "Fk1un5Ph8zSx2qUa3rVm7jJb",
    "vault_sensitive_environment_producer_password": "Ej9tm4Ng7yRw1pTz2qUk6hHa",
    "vault_redis_admin_password": "Jp4ev9Tm2cWa6rZd8uNq3kFg",
    "vault_redis_replica_password": "Ks5fx1Un3dXb7qAe9vMr4jGh",
    "vault_redis_sentinel_password": "Lt6gy2Vo4eYc8pBf1wNs5hHj",
    "vault_redis_exporter_password": "Mu7hz3Wp5fZd9oCg2xPt6gJk",
    "vault_sentinel_admin_password": "Nv8ja4Xq6gAe1nDh3yQu7fKm",
    "vault_sentinel_peer_password": "Pw9kb5Yr7hBf2mEj4zRv8dLn",
    "vault_sentinel_client_password": "Qx1mc6Zs8jCg3kFk5aSw9cMp",
    "vault_monitoring_ui_password": "Rz2nd7At9kDh4mGm6bTx1fNr",
    "vault_node_exporter_password": "Sa3pe8Bu1mEj5nHn7cVy2gPs",
}
FACTS = {
    "distribution": "Debian",
    "distribution_major_version": "12",
    "memtotal_mb": 8000,
    "processor_nproc": 4,
    "service_mgr": "systemd",
    "python": {"version": {"major": 3, "minor": 11}},
}
# Reserved for documentation: nothing may ever connect to it.
NETWORK = "198.51.100."


@dataclasses.dataclass(frozen=True)
class Run:
    """What came of a playbook."""

    status: int
    output: str

    @property
    def tasks(self) -> list[str]:
        """The tasks that ran, without their roles."""
        lines = [line for line in self.output.splitlines() if line.startswith("TASK [")]
        return [line.split("]")[0].removeprefix("TASK [").split(" : ")[-1] for line in lines]


def hosts_in(tree: dict[str, t.Any]) -> t.Iterator[dict[str, t.Any]]:
    """All `hosts` of a tree of groups."""
    for name, value in tree.items():
        if name == "hosts" and isinstance(value, dict):
            yield value
        elif isinstance(value, dict):
            yield from hosts_in(value)


def merge(old: t.Any, new: t.Any) -> t.Any:
    """Lay one dictionary over another; None takes a key away."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    merged = {key: merge(old.get(key), value) for key, value in new.items() if value is not None}
    return {**{key: value for key, value in old.items() if key not in new}, **merged}


def make(
    path: pathlib.Path,
    changes: dict[str, dict[str, t.Any]],
    facts: dict[str, dict[str, t.Any]] | None = None,
    base: str = "prod",
) -> pathlib.Path:
    """An inventory like a shipped one, with addresses, secrets, facts, and the changes of its files.

    A change of hosts.yml names groups, whose hosts it replaces.
    """
    shutil.copytree(CHECKOUT / "inventories" / base, path, ignore=shutil.ignore_patterns("vault.yml"))
    files = merge({"group_vars/all/vault.yml": SECRETS}, changes)
    tree = yaml.safe_load((path / "hosts.yml").read_text())
    for group, hosts in files.pop("hosts.yml", {}).items():
        top = tree["all"]["children"]
        if hosts is None:
            top.pop(group)
        else:
            top[group] = {"hosts": dict.fromkeys(hosts)}
    names = list(dict.fromkeys(name for hosts in hosts_in(tree) for name in hosts))
    for number, name in enumerate(names, 11):
        address = f"{NETWORK}{number}" if number < 250 else f"198.18.{number // 250}.{number % 250}"
        for hosts in hosts_in(tree):
            if name in hosts:
                hosts[name] = {"ansible_host": address}
        if facts is not None:
            known = {**FACTS, "all_ipv4_addresses": [address], **facts.get(name, {})}
            files[f"host_vars/{name}.yml"] = {**files.get(f"host_vars/{name}.yml", {}), "known_facts": known}
    (path / "hosts.yml").write_text(yaml.safe_dump(tree, sort_keys=False))
    for name, change in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        old = (yaml.safe_load(target.read_text()) or {}) if target.exists() else {}
        target.write_text(yaml.safe_dump(merge(old, change), sort_keys=False))
    return path


def play(path: pathlib.Path, inventory: pathlib.Path, collections: str, facts: bool, playbook: str = "site", *options: str) -> Run:
    """Deploy an inventory with a playbook of the collection, as a user would."""
    plays: list[dict[str, t.Any]] = []
    if facts:
        # Facts as a fact cache would give them, whatever its file format.
        known = {name: f"{{{{ known_facts.{name} }}}}" for name in [*FACTS, "all_ipv4_addresses"]}
        task = {"ansible.builtin.set_fact": {**known, "cacheable": True}}
        plays.append({"hosts": "all", "gather_facts": False, "tasks": [task]})
    plays.append({"ansible.builtin.import_playbook": f"multinode.celery.{playbook}"})
    (path / "deploy.yml").write_text(yaml.safe_dump(plays))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_HOME": str(path / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(path / "tmp"),
        "ANSIBLE_SSH_ARGS": "-o ConnectTimeout=1",
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [sys.executable, "-m", "ansible", "playbook", "deploy.yml", "-i", str(inventory), *options]
    done = subprocess.run(
        command, cwd=path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False
    )
    return Run(done.returncode, done.stdout)
