# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.multinode.celery.plugins.plugin_utils import secrets


def test_passwords_are_long_and_different() -> None:
    passwords = {secrets.new_password(32) for _number in range(100)}
    assert len(passwords) == 100
    assert all(len(password) == 32 and password.isalnum() for password in passwords)


def test_only_passwords_that_templates_read_are_wanted() -> None:
    value = {"a": ["{{ vault_one_password }}"], "b": {"c": "{{ vault_two_password | string }}"}, "d": "vault_three_password", "e": "{{ vault_key }}"}
    assert secrets.wanted_in(value) == {"vault_one_password", "vault_two_password"}


def test_what_stands_in_the_file_is_kept_to_the_letter() -> None:
    text = "---\n# mine\nvault_a_password: x"
    assert secrets.added(text, {"vault_b_password": "y"}) == f'{text}\nvault_b_password: "y"\n'


FILE = '---\n# mine\nvault_a_password: "aaaaaaaa"\nvault_b_password: bbbbbbbb\nother: 1\n'


def test_a_new_password_stands_beside_the_previous_one_until_it_retires() -> None:
    step = secrets.introduction(yaml.safe_load(FILE), ["vault_b_password"], 1000, 0, 32)
    text = secrets.replaced(FILE, step.values)
    present = yaml.safe_load(text)
    assert (step.introduced, step.under_way, step.recent) == (["vault_b_password"], ["vault_b_password"], [])
    assert (present["vault_b_password_previous"], present["vault_b_password_changed"], present["other"]) == ("bbbbbbbb", "1000", 1)
    assert len(present["vault_b_password"]) == 32 and text.startswith('---\n# mine\nvault_a_password: "aaaaaaaa"\n')
    after = yaml.safe_load(secrets.replaced(text, secrets.retirement(present, ["all"]).values))
    assert after == present | {"vault_b_password_previous": ""}


def test_an_interrupted_rotation_keeps_its_new_password() -> None:
    present = yaml.safe_load(secrets.replaced(FILE, secrets.introduction(yaml.safe_load(FILE), ["all"], 1000, 0, 32).values))
    step = secrets.introduction(present, ["all"], 999999, 0, 32)
    assert (step.values, step.introduced, step.under_way) == ({}, [], ["vault_a_password", "vault_b_password"])


def test_a_password_that_was_just_changed_is_kept() -> None:
    present = {"vault_a_password": "aaaaaaaa", "vault_a_password_changed": "1000", "vault_a_password_previous": ""}
    assert secrets.introduction(present, ["all"], 1500, 600, 32).recent == ["vault_a_password"]
    assert secrets.introduction(present, ["all"], 1600, 600, 32).introduced == ["vault_a_password"]


@pytest.mark.parametrize("names", [[], ["vault_c_password"], ["other"], ["all", "vault_a_password"]])
def test_a_password_that_the_file_does_not_hold_is_refused(names) -> None:
    with pytest.raises(secrets.RotationError, match="the passwords of the file are vault_a_password, vault_b_password"):
        secrets.introduction(yaml.safe_load(FILE), names, 1000, 0, 32)


@pytest.mark.parametrize("text", ["vault_a_password: >-\n  aaaaaaaa\n", "{vault_a_password: aaaaaaaa}\n", '"vault_a_password": aaaaaaaa\n'])
def test_a_value_that_cannot_be_replaced_safely_is_left_alone(text) -> None:
    with pytest.raises(secrets.RotationError, match="write it so"):
        secrets.replaced(text, {"vault_a_password": "x"})


def test_awkward_passwords_survive() -> None:
    assert yaml.safe_load(secrets.replaced(FILE, {"vault_a_password_previous": 'a"\\b: #c'}))["vault_a_password_previous"] == 'a"\\b: #c'
