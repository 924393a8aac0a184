# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every task file that is included exists, also where its name is computed, and every one that exists is included."""

from __future__ import annotations

import pathlib
import re
import typing as t

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
FILES = sorted([*CHECKOUT.glob("roles/*/tasks/*.yml"), *CHECKOUT.glob("playbooks/**/*.yml")])
TASKS = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
ROLES = ("ansible.builtin.import_role", "ansible.builtin.include_role")
LITERAL = re.compile(r"'([a-z_]+)'")


def tasks_of(entry: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """Yield every task inside a file of tasks or plays."""
    if isinstance(entry, list):
        for one in entry:
            yield from tasks_of(one)
    elif isinstance(entry, dict):
        yield entry
        for value in entry.values():
            if isinstance(value, list):
                yield from tasks_of(value)


def stems(folder: pathlib.Path, name: str) -> set[str]:
    """Return the stems of the files that a name of an include may stand for.

    A computed name is a choice between literals, or a literal with one changing part.
    """
    name = name.removesuffix(".yml")
    if "{{" not in name:
        return {name}
    if name.startswith("{{") and name.endswith("}}"):
        return set(LITERAL.findall(name))
    return {path.stem for path in folder.glob(re.sub(r"\{\{.*?\}\}", "*", name) + ".yml")} or {name}


def included() -> dict[pathlib.Path, str]:
    """Return every task file that something includes, with one of those that do."""
    found: dict[pathlib.Path, str] = {}
    for path in FILES:
        for task in tasks_of(yaml.safe_load(path.read_text())):
            given = next((task[key] for key in TASKS if key in task), None)
            if given is not None:
                name = given["file"] if isinstance(given, dict) else given
                found.update(dict.fromkeys((path.parent / f"{stem}.yml" for stem in stems(path.parent, name)), str(path)))
            for key in ROLES:
                if key in task:
                    folder = CHECKOUT / "roles" / task[key]["name"].rpartition(".")[2] / "tasks"
                    for stem in stems(folder, task[key].get("tasks_from", "main")):
                        found[folder / f"{stem}.yml"] = str(path)
    return found


def test_a_computed_name_is_understood() -> None:
    folder = CHECKOUT / "roles/celery_worker/tasks"
    assert stems(folder, "manager_{{ celery_worker_manager }}.yml") == {"manager_supervisor", "manager_systemd"}
    assert stems(folder, "{{ 'one' if x | length == 0 else 'other' }}.yml") == {"one", "other"}
    assert stems(folder, "nowhere_{{ x }}.yml") == {"nowhere_{{ x }}"}


def test_every_included_file_exists() -> None:
    found = included()
    assert len(found) > 80
    assert {str(path.relative_to(CHECKOUT)): by for path, by in found.items() if not path.is_file()} == {}


def test_every_task_file_is_included() -> None:
    used = {*included(), *(CHECKOUT.glob("roles/*/tasks/main.yml"))}
    assert [str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob("roles/*/tasks/*.yml") if path not in used] == []
