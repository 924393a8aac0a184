# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every secret of an inventory is known, by its spec or by its name."""

from __future__ import annotations

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.multinode.celery.plugins.plugin_utils.inventory_secrets import by_name, by_spec, secrets_of, texts
from ansible_collections.multinode.celery.plugins.plugin_utils.role_files import RoleFiles


class HostVars(dict):
    """As Ansible's, which hands out variables before they are templated."""

    raw_get = dict.__getitem__


def test_texts_of_nested_values() -> None:
    assert list(texts({"a": ["x", {"b": 5}], "c": True, "d": None})) == ["x", "5"]


def test_secrets_by_name() -> None:
    found = by_name({"vault_x": "a", "db": [{"password": "b", "user": "u"}], "password_length": 32, "secrets_path": "/p", "port": 1})
    assert sorted(found) == ["a", "b"]


def test_secrets_by_spec() -> None:
    spec = {"options": {"name": {}, "password": {"no_log": True}}}
    assert list(by_spec([{"name": "n", "password": "p"}], spec)) == ["p"]
    assert list(by_spec({"k": "v"}, {"no_log": True})) == ["v"]


def test_secrets_of_a_host() -> None:
    raw = {
        "inventory_hostname": "cpu-1", "groups": {"brokers": []}, "group_names": [], "vault_one": "first-secret",
        "redis_admin_password": "second-secret", "cluster_environment": {"name": "prod", "password": "third-secret"},
        "celery_app_variables": {"PAYMENT": "fourth-secret"}, "ansible_user": "operator",
    }  # fmt: skip
    loader = DataLoader()
    found = secrets_of("cpu-1", RoleFiles(loader), Templar(loader), HostVars({"cpu-1": raw}))
    assert {"first-secret", "second-secret", "third-secret", "fourth-secret"} <= found
    assert not {"prod", "operator", "cpu-1"} & found


def test_a_part_that_cannot_be_read_does_not_hide_the_secrets_beside_it() -> None:
    broken = trust_as_template("{{ nowhere }}")
    raw = {"inventory_hostname": "cpu-1", "groups": {}, "group_names": [], "celery_app_variables": {"HOST": broken, "PAYMENT": "first-secret"}}
    loader = DataLoader()
    assert "first-secret" in secrets_of("cpu-1", RoleFiles(loader), Templar(loader), HostVars({"cpu-1": raw}))
