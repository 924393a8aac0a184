# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the job templates of AWX, each with its survey, from surveys.yml and the argument specs of the roles.

surveys.py          write what differs
surveys.py --check  write nothing, exit 1 if it differs

surveys.yml of the role awx_job_templates names what each playbook asks; type, choices and words come from the role's spec.
No question has a default of its own: an answer outranks the inventory, and one that is left empty is not sent.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys
import typing as t

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
SURVEYS = CHECKOUT / "roles/awx_job_templates/files/surveys.yml"
OUTPUT = SURVEYS.with_name("job_templates.json")
TYPES = {"int": "integer", "float": "float", "str": "text", "path": "text", "raw": "text", "list": "text"}
LONGEST_TEXT = 4096


def load(path: pathlib.Path) -> t.Any:
    return yaml.safe_load(path.read_text())


def inputs() -> dict[str, dict[str, t.Any]]:
    """Every input of every role, whatever its entry point."""
    found: dict[str, dict[str, t.Any]] = {}
    for path in sorted(CHECKOUT.glob("roles/*/meta/argument_specs.yml")):
        for spec in load(path)["argument_specs"].values():
            found.update(spec.get("options") or {})
    return found


def of_a_play(name: str, description: str, playbook: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """The spec of a variable of a play: its description is given, its default is in the play and has its type.

    :raises KeyError: when no play of the playbook has it.
    """
    given: dict[str, t.Any] = next((play["vars"] for play in playbook if name in (play.get("vars") or {})), {})
    value = given[name]
    # It outranks the inventory, which an input does not.
    return {"type": "bool" if isinstance(value, bool) else type(value).__name__, "description": f"{description} Without an answer: {shown(value)}."}


def title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def shown(value: object) -> str:
    """A default as a person would write it in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def sentence(description: str | list[str]) -> str:
    text = " ".join(description if isinstance(description, list) else [description])
    return " ".join(re.sub(r"\b[A-Z]{1,2}\(([^()]+)\)", r"\1", text).split())


def question(name: str, option: dict[str, t.Any]) -> dict[str, t.Any]:
    """One question in AWX's form."""
    kind, default = option.get("type", "str"), option.get("default")
    description = sentence(option["description"])
    entry: dict[str, t.Any] = {"question_name": title(name), "question_description": description, "variable": name}
    if "choices" in option or kind == "bool":
        entry.update(type="multiplechoice", choices=[str(choice) for choice in option.get("choices") or ("true", "false")])
    elif option.get("no_log"):
        entry["type"] = "password"
    else:
        entry["type"] = TYPES[kind]
    if kind == "list":
        entry["question_description"] += " Separate several by commas."
    elif not option.get("required") and default not in ("", None) and "{{" not in str(default) and not option.get("no_log"):
        entry["question_description"] += f" Without an answer: {shown(default)}, unless the inventory sets another."
    limits = (None, None) if entry["type"] in ("integer", "float") else (0, LONGEST_TEXT)
    return {**entry, "required": bool(option.get("required")), "default": "", "min": limits[0], "max": limits[1]}


def template(entry: dict[str, t.Any], known: dict[str, dict[str, t.Any]]) -> dict[str, t.Any]:
    """A job template as AWX's API takes it, with its survey; an entry of surveys.yml lists what it asks."""
    path = CHECKOUT / entry["playbook"]
    playbook = load(path)
    options: dict[str, dict[str, t.Any]] = {}
    for asked in entry["questions"]:
        own = asked if isinstance(asked, dict) else {}
        try:
            options.update({name: of_a_play(name, description, playbook) for name, description in own.items()} or {asked: known[asked]})
        except KeyError as error:
            raise SystemExit(f"{SURVEYS.relative_to(CHECKOUT)}: {entry['playbook']} has no input {error}") from None
    return {
        "playbook_name": path.stem,
        "name": title(path.stem),
        "description": entry["description"],
        "playbook": entry["playbook"],
        "survey": {
            "name": f"Survey of {path.stem}",
            "description": "Written from the argument specs of the roles",
            "spec": [question(name, option) for name, option in options.items()],
        },
    }


def render() -> str:
    known = inputs()
    return json.dumps([template(entry, known) for entry in load(SURVEYS)["templates"]], indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing and fail on a difference")
    check = parser.parse_args().check
    text = render()
    stale = not OUTPUT.exists() or OUTPUT.read_text() != text
    if stale and not check:
        OUTPUT.write_text(text)
    print(f"{OUTPUT.relative_to(CHECKOUT)} {('differs, run `make docs`' if check else 'written') if stale else 'is current'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
