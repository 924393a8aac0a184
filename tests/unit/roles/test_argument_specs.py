# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's defaults, its argument spec and its README are the same."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
ROLES = sorted(path for path in CHECKOUT.glob("roles/*") if (path / "meta/argument_specs.yml").is_file())
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>.*?) \| (?P<default>.*?) \| (?P<meaning>.+) \|$")

pytestmark = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def load(path: pathlib.Path) -> t.Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None


def options_of(role: pathlib.Path) -> dict[str, t.Any]:
    """All inputs of a role, whatever its entry point."""
    specs = load(role / "meta/argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in (spec.get("options") or {}).items()}


def defaults_of(role: pathlib.Path) -> dict[str, t.Any]:
    return load(role / "defaults/main.yml") or {}


def templated(value: object) -> bool:
    return "{{" in json.dumps(value) or "{%" in json.dumps(value)


def every_option(options: dict[str, t.Any]) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    for name, option in options.items():
        yield name, option
        yield from every_option(option.get("options") or {})


def test_the_role_has_a_spec_and_a_readme(role: pathlib.Path) -> None:
    assert (role / "meta/argument_specs.yml").is_file()
    assert (role / "README.md").is_file()
    assert "main" in load(role / "meta/argument_specs.yml")["argument_specs"]


def test_inputs_carry_the_name_of_the_role(role: pathlib.Path) -> None:
    assert [name for name in options_of(role) if not name.startswith(f"{role.name}_")] == []


def test_spec_and_defaults_agree(role: pathlib.Path) -> None:
    in_spec = {name: option["default"] for name, option in options_of(role).items() if "default" in option}
    assert in_spec == defaults_of(role)


def test_an_input_has_a_default_or_is_required(role: pathlib.Path) -> None:
    neither = [name for name, option in options_of(role).items() if ("default" in option) == bool(option.get("required"))]
    assert neither == [], "each needs either a default or required: true"


def test_every_option_is_described_and_typed(role: pathlib.Path) -> None:
    wanting = [
        name
        for name, option in every_option(options_of(role))
        if not option.get("description") or "type" not in option or (option["type"] == "list" and "elements" not in option)
    ]
    assert wanting == []


def test_defaults_pass_their_own_spec(role: pathlib.Path) -> None:
    literal = {name: option for name, option in options_of(role).items() if not templated(option.get("default"))}
    values = {name: option["default"] for name, option in literal.items() if "default" in option}
    spec = {name: option for name, option in literal.items() if name in values}
    assert ArgumentSpecValidator(spec).validate(values).error_messages == []


def test_a_full_sentence_stands_above_every_default(role: pathlib.Path) -> None:
    path = role / "defaults/main.yml"
    lines = path.read_text().splitlines() if path.exists() else []
    names = [number for number, line in enumerate(lines) if re.match(r"\w+:", line)]
    bare = [lines[number] for number in names if not re.match(r"# .*[.:)]$", lines[number - 1])]
    assert bare == []


def test_readme_shows_every_input_with_its_default(role: pathlib.Path) -> None:
    rows = {row["name"]: row for row in map(ROW.match, (role / "README.md").read_text().splitlines()) if row}
    shown, expected = {}, {}
    for name, option in options_of(role).items():
        shown[name] = rows[name]["default"].replace("\\|", "|").strip("`") if name in rows else None
        default = option.get("default")
        text = default if isinstance(default, str) and default else json.dumps(default, ensure_ascii=False)
        expected[name] = "required" if option.get("required") else " ".join(text.split())
    assert shown == expected


def test_tasks_and_templates_give_no_second_default(role: pathlib.Path) -> None:
    names = "|".join(options_of(role)) or "(?!)"
    second_default = re.compile(rf"\b(?:{names})\s*\|\s*(?:default|d)\b")
    assert all(second_default.search(f"{{{{ {name} | default('') }}}}") for name in options_of(role))
    found = [
        f"{path.relative_to(role)}: {match[0]}"
        for folder in ("tasks", "templates", "handlers", "vars")
        for path in sorted((role / folder).rglob("*"))
        if path.is_file()
        for match in second_default.finditer(path.read_text())
    ]
    assert found == []


def test_groups_have_one_home(role: pathlib.Path) -> None:
    literal = re.compile(r"(?<!\w)groups(\[['\"](?!all['\"])|\.\w)")
    assert literal.search("{{ groups['brokers'] }}") and literal.search("{{ groups.brokers }}") and not literal.search("{{ groups['all'] }}")
    assert not literal.search("{{ groups[cluster_groups.brokers] }}")
    texts = {path: path.read_text() for path in sorted(role.rglob("*")) if path.is_file() and path.suffix in (".yml", ".j2")}
    assert len(texts) > 2
    assert [str(path.relative_to(role)) for path, text in texts.items() if literal.search(text)] == []


def test_main_only_imports(role: pathlib.Path) -> None:
    tasks = load(role / "tasks/main.yml") or []
    imports = {"ansible.builtin.import_tasks", "ansible.builtin.include_tasks", "ansible.builtin.import_role"}
    assert [task.get("name") for task in tasks if not imports & task.keys()] == []


def test_an_input_stands_in_one_role(role: pathlib.Path) -> None:
    others = {name for other in ROLES if other != role for name in options_of(other)}
    assert len(others) > 200
    assert sorted(options_of(role).keys() & others) == []


def test_no_role_reads_private_variables_of_another(role: pathlib.Path) -> None:
    private = re.compile(r"(?<!\w)__([a-z][a-z0-9_]*)")
    texts = [path.read_text() for path in sorted(role.rglob("*")) if path.is_file() and path.suffix in (".yml", ".j2")]
    names = {match[1] for text in texts for match in private.finditer(text)}
    # The longest name of a role that it begins with shows whose it is: __redis_sentinel_x belongs to redis_sentinel.
    owners = {name: max((other.name for other in ROLES if name.startswith(f"{other.name}_")), key=len, default=role.name) for name in names}
    assert sorted(name for name, owner in owners.items() if owner != role.name) == []


def test_who_reads_a_shared_fact_depends_on_its_home(role: pathlib.Path) -> None:
    texts = [path for path in sorted(role.rglob("*")) if path.is_file() and path.suffix in (".yml", ".j2")]
    reads = [path for path in texts if re.search(r"(?<!\w)cluster_[a-z]", path.read_text())]
    depends = [entry["role"] for entry in (load(role / "meta/main.yml") or {}).get("dependencies") or []]
    if role.name == "cluster":
        assert not depends and not (role / "tasks").exists()
        return
    assert not reads or "multinode.celery.cluster" in depends, reads
