# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

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
