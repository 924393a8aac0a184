# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks and roles are read as Ansible runs them: dependencies, precedence of variables, host patterns."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.multinode.celery.plugins.plugin_utils.deployment import Deployment, Inputs
from ansible_collections.multinode.celery.plugins.plugin_utils.role_files import RoleFiles, members, uses_by_host

# Each variable is set at every level that its name has, with the level as its value; the last one is to win.
LEVELS = ("default", "inventory", "play", "vars", "role", "command")
NAMES = (
    "app_default", "app_default_inventory", "app_default_play", "app_default_vars", "app_default_inventory_play_vars", "app_default_vars_role",
    "app_default_inventory_play", "app_default_inventory_role", "app_default_inventory_play_vars_role_command",
)  # fmt: skip
# Of the role that app depends on.
SHARED = ("cluster_default", "cluster_default_inventory", "cluster_default_vars", "cluster_default_play", "cluster_default_inventory_vars_role")


def level(name: str, names: t.Iterable[str] = (*NAMES, *SHARED)) -> dict[str, str]:
    return {variable: name for variable in names if name in variable.split("_")}


FILES: dict[str, t.Any] = {
    "roles/cluster/defaults/main.yml": {**level("default", SHARED), "cluster_port": 6379, "app_both": "dependency"},
    "roles/cluster/vars/main.yml": {**level("vars", SHARED), "__cluster_paths": ["/etc/{{ app_name }}"]},
    "roles/cluster/meta/main.yml": {"dependencies": []},
    "roles/cluster/meta/argument_specs.yml": {"argument_specs": {"main": {"options": {"cluster_port": {"type": "int"}, "cluster_name": {"type": "str"}}}}},
    "roles/app/defaults/main.yml": {**level("default", NAMES), "app_name": "proj", "app_both": "own", "app_file": "{{ __cluster_paths[0] }}/app.conf"},
    "roles/app/vars/main.yml": level("vars", NAMES),
    "roles/app/meta/main.yml": {"dependencies": [{"role": "multinode.celery.cluster"}]},
    "roles/app/tasks/main.yml": [
        {"ansible.builtin.debug": {"msg": {name: f"{{{{ {name} }}}}" for name in (*NAMES, *SHARED, "app_both", "app_file", "cluster_port")}}}
    ],
    "roles/web/meta/main.yml": {"dependencies": ["cluster", {"role": "app", "vars": {"app_name": "web"}, "when": "web_enabled"}]},
    "roles/lonely/tasks/main.yml": [],
    "playbooks/site.yml": [
        {"name": "Check", "ansible.builtin.import_playbook": "multinode.celery.ops.first"},
        {
            "name": "Deploy", "hosts": "apps", "gather_facts": False, "vars": level("play"),
            "roles": [{"role": "app", "vars": level("role")}, {"role": "lonely", "tags": ["never"]}, {"role": "other.collection.app"}],
        },
        {"name": "Deploy the pages", "hosts": "webs:!apps", "gather_facts": False, "roles": ["multinode.celery.web"]},
    ],
    "playbooks/ops/first.yml": [
        {"name": "First", "hosts": "apps:webs", "tasks": [{"ansible.builtin.import_role": {"name": "multinode.celery.lonely", "tasks_from": "one"}}]}
    ],
}  # fmt: skip


@pytest.fixture
def files(tmp_path: pathlib.Path) -> RoleFiles:
    """A small collection of its own."""
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    return RoleFiles(DataLoader(), str(tmp_path))


def deployment(files: RoleFiles, host: str = "a", **inputs: object) -> Deployment:
    uses = uses_by_host(files.uses(), {"all": ["a", "w"], "apps": ["a"], "webs": ["a", "w"]})
    return Deployment(files, Templar(files.loader), inputs, {}, uses[host])


def test_a_playbook_shows_which_roles_run_on_which_pattern(files: RoleFiles) -> None:
    uses = {pattern: [(use.role, use.entry) for use in found] for pattern, found in files.uses().items()}
    assert uses == {
        "apps:webs": [("lonely", "one")],
        "apps": [("cluster", "main"), ("app", "main")],
        "webs:!apps": [("cluster", "main"), ("app", "main"), ("web", "main")],
    }


def test_dependencies_come_before_the_role_with_what_it_was_given(files: RoleFiles) -> None:
    uses = {use.role: use for use in files.uses()["webs:!apps"]}
    assert uses["app"].variables == {"app_name": "web"} and "web_enabled" in uses["app"].when
    assert uses["cluster"].variables == {} and uses["web"].variables == {}


def test_a_dependency_provides_defaults_variables_and_specs(files: RoleFiles) -> None:
    one = deployment(files, cluster_name="prod")
    assert one.roles == ["lonely", "cluster", "app"]
    assert one.value("cluster_port") == 6379 and one.value("__cluster_paths") == ["/etc/proj"]
    inputs = Inputs(one)
    assert inputs["app_file"] == "/etc/proj/app.conf" and inputs["cluster_name"] == "prod"
    assert set(files.specs("cluster")) <= one.inputs and "__cluster_paths" not in inputs


def test_roles_that_depend_on_each_other_end(files: RoleFiles, tmp_path: pathlib.Path) -> None:
    (tmp_path / "roles/cluster/meta/main.yml").write_text("dependencies: [app]\n")
    assert sorted(deployment(files).roles) == ["app", "cluster", "lonely"]


def test_variables_have_the_precedence_that_ansible_gives_them(files: RoleFiles, tmp_path: pathlib.Path) -> None:
    """Compared with a run of Ansible itself."""
    inventory = {"all": {"children": {"apps": {"hosts": {"a": {"ansible_connection": "local", **level("inventory")}}}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    # Outside of the collection names without its own are those of a directory of roles.
    play = {**FILES["playbooks/site.yml"][1], "roles": FILES["playbooks/site.yml"][1]["roles"][:1]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "roles/app/meta/main.yml").write_text("dependencies: [cluster]\n")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_ROLES_PATH": str(tmp_path / "roles"), "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "ansible", "playbook", "play.yml", "-i", "hosts.yml", "-e", json.dumps(level("command"))]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout.partition("ok: [a] => ")[2]
    ran = json.JSONDecoder().raw_decode(text)[0]["msg"]

    files.extra_variables = level("command")
    one = deployment(files, **level("inventory"))
    assert {name: one.value(name) for name in ran} == ran
    assert {name: ran[name] for name in (*NAMES, *SHARED)} == {name: name.rpartition("_")[2] for name in (*NAMES, *SHARED)}
    assert (ran["app_both"], ran["app_file"], ran["cluster_port"]) == ("own", "/etc/proj/app.conf", 6379)


def test_what_waits_for_facts_is_distinguished_from_what_cannot_be_read(files: RoleFiles, tmp_path: pathlib.Path) -> None:
    (tmp_path / "roles/cluster/defaults/main.yml").write_text(
        "cluster_cores: '{{ ansible_facts.processor_nproc }}'\ncluster_broken: '{{ nowhere }}'\ncluster_whole: '{{ cluster_cores }}'\n"
    )
    one = deployment(files)
    assert one.value("cluster_whole") is None and one.value("cluster_broken") is None
    assert one.waiting == {"cluster_whole"} and set(one.errors) == set(one.problems) == {"cluster_broken"}
    assert one.missing("cluster_broken") == {"nowhere"}
    known = deployment(files, ansible_facts={"processor_nproc": 8})
    assert known.value("cluster_whole") == 8


def test_constant_defaults_are_shared_and_inputs_of_a_host_are_not(files: RoleFiles) -> None:
    first, second = deployment(files), deployment(files, cluster_port=6380)
    assert (first.value("cluster_port"), second.value("cluster_port"), deployment(files).value("cluster_port")) == (6379, 6380, 6379)


def test_what_is_delegated_is_not_placed_on_the_host(files: RoleFiles, tmp_path: pathlib.Path) -> None:
    placed = {"multinode.celery.file_set": {"files": [{"path": "{{ app_file }}", "content": ""}]}}
    delegated = {"multinode.celery.file_set": {"files": [{"path": "/etc/other", "content": "{{ looped }}"}]}, "delegate_to": "{{ looped.host }}"}
    (tmp_path / "roles/app/tasks/main.yml").write_text(yaml.safe_dump([placed, delegated]))
    one = deployment(files).read_tasks()
    assert one.files() == ["/etc/proj/app.conf"] and one.unknown == {}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("brokers", ["b1", "b2"]), ("workers:brokers", ["w1", "b2", "b1"]), ("all", ["b1", "b2", "w1"]), ("brokers:&workers", ["b2"]),
        ("!workers:brokers", ["b1"]), ("b1,w1", ["b1", "w1"]), ("work*", ["w1", "b2"]), ("nobody", []),
    ],
)  # fmt: skip
def test_hosts_of_a_pattern(pattern: str, expected: list[str]) -> None:
    groups = {"all": ["b1", "b2", "w1"], "brokers": ["b1", "b2"], "workers": ["w1", "b2"]}
    assert members(pattern, groups) == expected
