# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module or an action accepts is what its documentation lists."""

from __future__ import annotations

import ast
import importlib
import pathlib
import typing as t

import pytest
import yaml
from ansible.module_utils import basic
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

PLUGINS = pathlib.Path(__file__).resolve().parents[3] / "plugins"
PACKAGE = "ansible_collections.multinode.celery.plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py") if path.stem != "__init__")
ACTIONS = sorted(path.stem for path in (PLUGINS / "action").glob("*.py") if path.stem != "__init__")
# Actions that hand their arguments on: the module of the same name validates them.
HANDS_ON = {"python_release", "doctor_host", "file_set", "support_bundle"}
# What an action gives to its module besides the task's options; a task that gives it is refused.
SET_BY_ACTION = {"firewall_rules": {"step"}}
KEYS = ("type", "required", "default", "choices", "elements")


def documentation(name: str) -> dict[str, t.Any]:
    """The documentation of a module, with its fragments."""
    tree = ast.parse((PLUGINS / f"modules/{name}.py").read_text())
    texts = {node.targets[0].id: node.value.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)}
    documented = yaml.safe_load(texts["DOCUMENTATION"])
    options: dict[str, t.Any] = {}
    for fragment in documented.get("extends_documentation_fragment", []):
        _collection, _dot, rest = fragment.partition("multinode.celery.")
        file, _dot, variant = rest.partition(".")
        holder = importlib.import_module(f"{PACKAGE}.doc_fragments.{file}").ModuleDocFragment
        merged(options, yaml.safe_load(getattr(holder, (variant or "documentation").upper())).get("options") or {})
    merged(options, documented.get("options") or {})
    return options


def merged(into: dict[str, t.Any], more: dict[str, t.Any]) -> None:
    """Put the options of a fragment or module over those of other fragments, as Ansible does."""
    for name, option in more.items():
        into[name] = {**into.get(name, {}), **option}


def flat(options: dict[str, t.Any], nested: str, prefix: str = "") -> dict[str, dict[str, t.Any]]:
    """The comparable facts of options and of those inside them, by their place."""
    found: dict[str, dict[str, t.Any]] = {}
    for name, option in options.items():
        place = f"{prefix}{name}"
        facts = {key: option[key] for key in KEYS if key in option}
        facts.setdefault("type", "str")
        facts["required"] = bool(facts.get("required"))
        # Documentation has no word for a default of none, and an argument without one has it.
        if facts.get("default", ...) is None:
            del facts["default"]
        if "choices" in facts:
            facts["choices"] = [str(choice) for choice in facts["choices"]]
        found[place] = facts
        dots = "[]." if facts["type"] == "list" else "."
        found.update(flat(option.get(nested) or {}, nested, place + dots))
    return found


class Stop(Exception):
    """The module has passed what it accepts."""


def spec_of_module(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    """What a module gives to AnsibleModule."""
    given: list[dict[str, t.Any]] = []

    def record(_module: t.Any, argument_spec: dict[str, t.Any], **_others: t.Any) -> None:
        given.append(argument_spec)
        raise Stop

    monkeypatch.setattr(basic.AnsibleModule, "__init__", record)
    with pytest.raises(Stop):
        importlib.import_module(f"{PACKAGE}.modules.{name}").main()
    return given[0]


def runs_on_hosts(name: str) -> bool:
    return "def main(" in (PLUGINS / f"modules/{name}.py").read_text()


def test_every_plugin_is_found() -> None:
    assert len(MODULES) > 25 and len(ACTIONS) > 10
    # An action is documented by the module of its name.
    assert set(ACTIONS) <= set(MODULES)
    validating = {name for name in ACTIONS if hasattr(importlib.import_module(f"{PACKAGE}.action.{name}"), "SPEC")}
    assert validating == set(ACTIONS) - HANDS_ON, "an action either has a SPEC, or a module with one"
    assert [name for name in MODULES if not runs_on_hosts(name) and name not in validating] == []
    assert [name for name in HANDS_ON if not runs_on_hosts(name)] == []


@pytest.mark.parametrize("name", [name for name in ACTIONS if name not in HANDS_ON])
def test_the_spec_of_an_action_is_what_its_documentation_lists(name: str) -> None:
    action = importlib.import_module(f"{PACKAGE}.action.{name}")
    documented = flat(documentation(name), "suboptions")
    given = SET_BY_ACTION.get(name, set())
    assert given < documented.keys()
    assert flat(action.SPEC, "options") == {option: facts for option, facts in documented.items() if option not in given}
    # A SPEC that is not used proves nothing.
    assert "validate_argument_spec(SPEC)" in (PLUGINS / f"action/{name}.py").read_text()


@pytest.mark.parametrize("name", [name for name in MODULES if runs_on_hosts(name)])
def test_the_spec_of_a_module_is_what_its_documentation_lists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    documented = flat(documentation(name), "suboptions")
    assert documented
    assert flat(spec_of_module(name, monkeypatch), "options") == documented


@pytest.mark.parametrize("name", [name for name in ACTIONS if name not in HANDS_ON] + [name for name in MODULES if runs_on_hosts(name)])
def test_secrets_are_marked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_action = name in ACTIONS and name not in HANDS_ON
    spec = importlib.import_module(f"{PACKAGE}.action.{name}").SPEC if in_action else spec_of_module(name, monkeypatch)

    def unmarked(options: dict[str, t.Any]) -> list[str]:
        found = [name for name, option in options.items() if basic.PASSWORD_MATCH.search(name) and option.get("type") == "str" and "no_log" not in option]
        return found + [inner for option in options.values() for inner in unmarked(option.get("options") or {})]

    assert unmarked(spec) == []


@pytest.mark.parametrize("name", [name for name in ACTIONS if name not in HANDS_ON] + [name for name in MODULES if runs_on_hosts(name)])
def test_a_default_is_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_action = name in ACTIONS and name not in HANDS_ON
    spec = importlib.import_module(f"{PACKAGE}.action.{name}").SPEC if in_action else spec_of_module(name, monkeypatch)
    given = {name: option["default"] for name, option in spec.items() if option.get("default") is not None}
    result = ArgumentSpecValidator({name: spec[name] for name in given}).validate(given)
    assert result.error_messages == []


@pytest.mark.parametrize("name", MODULES)
def test_no_result_has_a_key_that_ansible_reads_itself(name: str) -> None:
    tree = ast.parse((PLUGINS / f"modules/{name}.py").read_text())
    texts = {node.targets[0].id: node.value.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)}
    assert not {"changed", "failed", "skipped", "unreachable", "exception", "warnings", "deprecations"} & (yaml.safe_load(texts["RETURN"]) or {}).keys()
