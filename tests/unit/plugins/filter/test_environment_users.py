# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The users of Redis that environments name."""

from __future__ import annotations

from ansible_collections.multinode.celery.plugins.filter.environment_users import environment_users

PROD = {"name": "prod", "vhost": 0, "key_prefix": "prod:", "user": "prod", "password": "p"}


def test_an_environment_has_at_least_its_programs():
    (user,) = environment_users([PROD])
    assert user == {
        "kind": "programs", "key": "user", "user": "prod", "password": "p", "previous_password": "",
        "environment": "prod", "vhost": 0, "key_prefix": "prod:",
    }  # fmt: skip


def test_others_come_with_passwords_of_their_own():
    more = {"monitoring_user": "", "producer_user": "producer", "producer_password": "s", "producer_previous_password": "t"}
    users = environment_users([{**PROD, "previous_password": "q", **more}, {**PROD, "name": "test", "user": "test"}])
    assert [(user["environment"], user["kind"], user["user"]) for user in users] == [
        ("prod", "programs", "prod"), ("prod", "producer", "producer"), ("test", "programs", "test"),
    ]  # fmt: skip
    assert [(user["password"], user["previous_password"]) for user in users] == [("p", "q"), ("s", "t"), ("p", "")]


def test_a_user_without_a_password_has_an_empty_one():
    assert [user["password"] for user in environment_users([{**PROD, "monitoring_user": "watcher"}])] == ["p", ""]
