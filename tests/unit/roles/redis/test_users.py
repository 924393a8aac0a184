# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the users of Redis as the role does and compares who may do what."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _redis_acl as acl

ROLE = pathlib.Path(__file__).resolve().parents[4] / "roles" / "redis"
ENVIRONMENTS = [
    {"name": "prod", "vhost": 3, "key_prefix": "prod:", "user": "prod", "password": "p" * 20,
     "monitoring_user": "prod_monitoring", "monitoring_password": "m" * 20, "monitoring_previous_password": "n" * 20},
    {"name": "sensitive", "vhost": 4, "key_prefix": "sensitive:", "user": "sensitive", "password": "s" * 20,
     "producer_user": "producer", "producer_password": "t" * 20},
]  # fmt: skip
# Commands that put something into a list, which is what sending a task is. A script has the rights of whoever runs it.
SENDING = {"lpush", "rpush", "lpushx", "rpushx", "linsert", "lset", "lmove", "rpoplpush", "blmove", "brpoplpush", "sort", "copy", "rename", "renamenx",
           "restore", "fcall", "set", "@all", "@write", "@list"}  # fmt: skip


@pytest.fixture(name="users", scope="module")
def _users(tmp_path_factory) -> dict[str, list[str]]:
    directory = tmp_path_factory.mktemp("users")
    play = {
        "hosts": "broker-1", "gather_facts": False, "vars_files": [f"{ROLE}/defaults/main.yml", f"{ROLE}/vars/main.yml"],
        "tasks": [{"ansible.builtin.template": {"src": f"{ROLE}/templates/etc/redis-broker/users.acl.j2", "dest": f"{directory}/users.acl", "mode": "0600"}}],
    }  # fmt: skip
    passwords = {f"redis_{name}_password": name * 4 for name in ("admin", "replica", "sentinel_auth", "monitoring", "sentinel_admin", "sentinel_client")}
    host = {
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
        "cluster_environments": ENVIRONMENTS, **passwords,
    }  # fmt: skip
    (directory / "play.json").write_text(json.dumps([play]))
    (directory / "hosts.json").write_text(json.dumps({"all": {"children": {"brokers": {"hosts": {"broker-1": host}}}}}))
    command = [str(pathlib.Path(sys.executable).with_name("ansible-playbook")), "-i", str(directory / "hosts.json"), str(directory / "play.json"), "-e"]
    done = subprocess.run([*command, json.dumps({"__redis_has_client_setinfo": False})], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return acl.parse_acl((directory / "users.acl").read_text())


def test_an_environment_has_users_for_programs_and_for_those_who_may_less(users):
    assert set(users) == {"default", "admin", "replica", "sentinel", "monitoring", "prod", "prod_monitoring", "sensitive", "producer"}
    assert len([rule for rule in users["prod_monitoring"] if rule.startswith("#")]) == 2
    assert "{" not in " ".join(rule for rules in users.values() for rule in rules)


def test_the_exporters_user_has_no_command_that_sends(users):
    words = " ".join(users["prod_monitoring"]).replace("(", " ").replace(")", " ").split()
    allowed = {word[1:] for word in words if word.startswith("+")}
    assert {"llen", "lrange", "brpop", "publish", "psubscribe"} <= allowed
    assert not allowed & SENDING


def test_the_exporters_user_changes_no_queue(users):
    """What may be changed are the queues of events and of answers; everything else is read alone, and published to by remote control alone."""
    root = [rule for rule in users["prod_monitoring"] if not rule.startswith("(")]
    selectors = [rule[1:-1].split() for rule in users["prod_monitoring"] if rule.startswith("(")]
    kombu = {f"~prod:_kombu.binding{kind}.{exchange}" for kind in ("", "_permanent") for exchange in ("celeryev", "celery.pidbox")}
    own = {"~prod:*.reply.celery.pidbox", "~prod:celeryev.*", "~prod:_kombu.binding_deadlines"}
    assert {rule for rule in root if rule[0] in "~%"} == own | kombu
    assert "+publish" not in root
    read = [rule for rules in selectors for rule in rules if rule[0] in "~%"]
    assert read and all(rule.startswith("%R~prod:") for rule in read)
    assert [rules for rules in selectors if "+publish" in rules] == [["&prod:/3.celery.pidbox", "+publish"]]


@pytest.mark.parametrize(
    ("user", "own", "other"),
    [("prod", "prod", "sensitive"), ("prod_monitoring", "prod", "sensitive"), ("sensitive", "sensitive", "prod"), ("producer", "sensitive", "prod")],
)
def test_no_user_of_an_environment_reaches_another(users, user, own, other):
    words = " ".join(users[user]).replace("(", " ").replace(")", " ").split()
    patterns = [re.sub(r"^(%[RW])?[~&]", "", word) for word in words if word[0] in "~%&"]
    assert patterns and all(pattern.startswith(f"{own}:") for pattern in patterns)
    assert other not in " ".join(patterns)


def test_the_producers_user_puts_into_queues_and_reads_none(users):
    root = [rule for rule in users["producer"] if not rule.startswith("(")]
    assert [rule for rule in root if rule[0] in "~%&"] == ["~sensitive:_kombu.binding*"]
    assert [rule for rule in users["producer"] if rule.startswith("(")] == ["(%W~sensitive:* +lpush +llen)"]
    allowed = {rule[1:] for rule in root if rule.startswith("+")}
    assert not allowed & {"get", "lrange", "brpop", "rpop", "hgetall", "publish", "subscribe", "psubscribe", "evalsha", "del", *SENDING}
