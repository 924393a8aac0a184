# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.multinode.celery.plugins.action import secrets_file

HOSTVARS = {"a": {"redis_admin_password": "{{ vault_a_password }}"}, "b": {"x": "{{ vault_b_password }}", "vault_b_password": "set"}}


@pytest.fixture(name="run")
def _run(tmp_path, monkeypatch):
    """Return a function that takes one step on the file and returns the result."""
    monkeypatch.setattr(secrets_file.ActionBase, "run", lambda *_args, **_others: {})

    def run(check_mode=False, vault_password=b"", **args):
        loader = DataLoader()
        secrets = [("default", VaultSecret(vault_password))] if vault_password else []
        monkeypatch.setattr(loader, "_vault", VaultLib(secrets))
        action = object.__new__(secrets_file.ActionModule)
        action._task = SimpleNamespace(check_mode=check_mode)
        action._loader = loader
        spec = {name: option.get("default") for name, option in secrets_file.SPEC.items()}
        monkeypatch.setattr(action, "validate_argument_spec", lambda _spec: (None, {**spec, "path": str(tmp_path / "vault.yml"), **args}))
        hostvars = SimpleNamespace(raw_get=HOSTVARS.__getitem__)
        return action.run(task_vars={"hostvars": hostvars, "groups": {"all": list(HOSTVARS)}})

    return run


def read(tmp_path):
    """Return the variables of the file."""
    return yaml.safe_load((tmp_path / "vault.yml").read_text())


def test_missing_passwords_are_added_once(run, tmp_path):
    result = run(names=["vault_c_password"])
    assert (result["changed"], result["created"], result["encrypted"]) == (True, ["vault_a_password", "vault_c_password"], False)
    passwords = read(tmp_path)
    assert {name: len(value) for name, value in passwords.items()} == {"vault_a_password": 32, "vault_c_password": 32}
    again = run(names=["vault_c_password"])
    assert (again["changed"], again["created"]) == (False, [])
    assert read(tmp_path) == passwords
    assert not any(value in str(result) for value in passwords.values())


def test_a_file_that_others_can_read_is_closed(run, tmp_path):
    run()
    (tmp_path / "vault.yml").chmod(0o644)
    assert run()["changed"]
    assert (tmp_path / "vault.yml").stat().st_mode & 0o777 == 0o600


def test_a_password_is_changed_in_two_steps(run, tmp_path):
    run()
    previous = read(tmp_path)["vault_a_password"]
    result = run(step="introduce", names=["all"], minimum_age_hours=24)
    assert (result["changed"], result["introduced"], result["under_way"], result["recent"]) == (True, ["vault_a_password"], ["vault_a_password"], [])
    present = read(tmp_path)
    assert present["vault_a_password_previous"] == previous != present["vault_a_password"]
    again = run(step="introduce", names=["all"], minimum_age_hours=24)
    assert (again["changed"], again["under_way"]) == (False, ["vault_a_password"])
    assert run(step="retire", names=["all"])["changed"]
    assert read(tmp_path)["vault_a_password_previous"] == ""
    recent = run(step="introduce", names=["all"], minimum_age_hours=24)
    assert (recent["changed"], recent["recent"]) == (False, ["vault_a_password"])


@pytest.mark.parametrize("step", ["add", "introduce"])
def test_check_mode_reports_what_would_change_and_writes_nothing(run, tmp_path, step):
    (tmp_path / "vault.yml").write_text("vault_b_password: bbbbbbbb\n")
    assert run(check_mode=True, step=step, names=["vault_b_password"])["changed"]
    assert (tmp_path / "vault.yml").read_text() == "vault_b_password: bbbbbbbb\n"


def test_a_vault_password_encrypts_and_is_asked_for(run, tmp_path):
    run()
    # The same passwords, encrypted from now on.
    assert run(vault_password=b"v")["encrypted"]
    assert (tmp_path / "vault.yml").read_text().startswith("$ANSIBLE_VAULT")
    assert run(vault_password=b"v")["changed"] is False
    for step in ("add", "introduce", "retire"):
        with pytest.raises(AnsibleActionFail, match="give its vault password"):
            run(step=step, names=["all"])


def test_a_name_that_the_file_does_not_hold_is_refused(run):
    run()
    with pytest.raises(AnsibleActionFail, match="vault_z_password: the passwords of the file are vault_a_password"):
        run(step="retire", names=["vault_z_password"])


def test_what_is_no_dictionary_is_refused_without_quoting_it(run, tmp_path):
    (tmp_path / "vault.yml").write_text("- secret\n")
    with pytest.raises(AnsibleActionFail, match="YAML dictionary") as error:
        run()
    assert "secret" not in str(error.value)
