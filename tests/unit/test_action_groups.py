# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups for module_defaults hold the modules that name them, and these take the options that the group is for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
NAMESPACE = "multinode.celery."
OPTIONS = {"brokers": {"brokers", "timeout_seconds", "wait_seconds"}, "application": {"app_directory", "config_directory", "user"}}
PLAY = """
- hosts: localhost
  gather_facts: false
  connection: local
  module_defaults:
    group/multinode.celery.application:
      app_directory: {root}/the-group-names-it
      config_directory: /nowhere
  tasks:
    - multinode.celery.celery_queues:
        queues: [default]
"""


def run(program, *arguments):
    """Run a program of Ansible in this checkout and return how it ended."""
    environment = {**os.environ, "ANSIBLE_CONFIG": f"{CHECKOUT}/ansible.cfg"}
    command = [str(Path(sys.executable).with_name(program)), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(name="docs", scope="module")
def _docs():
    """Return the documentation of every module, by its short name."""
    names = sorted(NAMESPACE + path.stem for path in (CHECKOUT / "plugins/modules").glob("*.py"))
    done = run("ansible-doc", "-j", *names)
    assert done.returncode == 0, done.stderr
    return {name.removeprefix(NAMESPACE): entry["doc"] for name, entry in json.loads(done.stdout).items()}


@pytest.fixture(name="groups", scope="module")
def _groups():
    return yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text())["action_groups"]


def test_the_members_of_a_group_are_those_that_name_it(docs, groups):
    assert set(groups) == set(OPTIONS)
    for group, members in groups.items():
        message = [name for name, doc in docs.items() if NAMESPACE + group in doc["attributes"].get("action_group", {}).get("membership", [])]
        assert sorted(members) == sorted(message), group


def test_every_member_takes_the_options_of_its_group(docs, groups):
    for group, members in groups.items():
        for name in members:
            assert OPTIONS[group] <= set(docs[name]["options"]), name


def test_defaults_of_a_group_reach_a_module(tmp_path):
    (tmp_path / "play.yml").write_text(PLAY.format(root=tmp_path))
    done = run("ansible-playbook", "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}", tmp_path / "play.yml")
    assert f"{tmp_path}/the-group-names-it/current/venv/bin/python does not exist" in done.stdout
