# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes extensions/awx/job_templates.json: a job template with its survey for every playbook, from the argument specs.

surveys.py          write what differs
surveys.py --check  write nothing, exit 1 if it differs

A question is an input that the playbook's own comment shows with -e; type, choices and words come from the role's spec.
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
OUTPUT = CHECKOUT / "extensions/awx/job_templates.json"
SHOWN = re.compile(r"(?<!\S)-e '?\{?(\w+)")
TYPES = {"int": "integer", "float": "float", "str": "text", "path": "text", "raw": "text", "list": "text"}
# Playbooks beside the day-2 verbs.
DEPLOYING = ("site", "brokers", "workers", "schedulers", "monitoring")
# They write files on the machine of the caller, and a job's copy of the project is thrown away.
LEFT_OUT = ("awx_job_templates", "create_secrets", "rotate_credentials")
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


def own_inputs(playbook: list[dict[str, t.Any]]) -> dict[str, dict[str, t.Any]]:
    """Inputs that a playbook without a role of its own keeps among the variables of its plays."""
    found: dict[str, dict[str, t.Any]] = {}
    for play in playbook:
        for name, value in (play.get("vars") or {}).items():
            kind = "bool" if isinstance(value, bool) else type(value).__name__
            found[name] = {"type": kind, "default": value, "description": f"{words(name)}."}
    return found


def comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("#"))


def words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def sentence(description: str | list[str]) -> str:
    text = " ".join(description if isinstance(description, list) else [description])
    return " ".join(re.sub(r"\b[A-Z]{1,2}\(([^()]+)\)", r"\1", text).split())


def question(name: str, option: dict[str, t.Any]) -> dict[str, t.Any]:
    """One question in AWX's form."""
    kind, default = option.get("type", "str"), option.get("default")
    description = sentence(option["description"])
    entry: dict[str, t.Any] = {"question_name": words(name), "question_description": description, "variable": name}
    if "choices" in option or kind == "bool":
        entry.update(type="multiplechoice", choices=[str(choice) for choice in option.get("choices") or ("true", "false")])
    elif option.get("no_log"):
        entry["type"] = "password"
    else:
        entry["type"] = TYPES[kind]
    if kind == "list":
        entry["question_description"] += " Separate several by commas."
    elif not option.get("required") and default not in ("", None) and "{{" not in str(default) and not option.get("no_log"):
        shown = str(default).lower() if isinstance(default, bool) else default
        entry["question_description"] += f" Without an answer: {shown}, unless the inventory says otherwise."
    limits = (None, None) if entry["type"] in ("integer", "float") else (0, LONGEST_TEXT)
    return {**entry, "required": bool(option.get("required")), "default": "", "min": limits[0], "max": limits[1]}


def heading(text: str, playbook: list[dict[str, t.Any]]) -> str:
    """What a playbook says of itself: the first sentences of its first comment, else the names of its plays after preflight."""
    lines = []
    for line in text.splitlines()[1:]:
        if not line.startswith("# ") or line.startswith("#   "):
            break
        lines.append(line[2:])
    return " ".join(lines) or "; ".join(play["name"] for play in playbook[1:])


def template(path: pathlib.Path, known: dict[str, dict[str, t.Any]]) -> dict[str, t.Any]:
    """A job template as AWX's API takes it, with its survey."""
    text, playbook = path.read_text(), load(path)
    options = {**own_inputs(playbook), **known}
    shown = [name for name in dict.fromkeys(SHOWN.findall(comments(text))) if name in options]
    return {
        "verb": path.stem,
        "name": words(path.stem),
        "description": heading(text, playbook),
        "playbook": str(path.relative_to(CHECKOUT)),
        "survey": {
            "name": f"Survey of {path.stem}",
            "description": "Written from the argument specs of the roles",
            "spec": [question(name, options[name]) for name in shown],
        },
    }


def render() -> str:
    known = inputs()
    paths = [CHECKOUT / f"playbooks/{name}.yml" for name in DEPLOYING]
    paths += [path for path in sorted(CHECKOUT.glob("playbooks/ops/*.yml")) if path.stem not in LEFT_OUT]
    return json.dumps([template(path, known) for path in paths], indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing and fail on a difference")
    check = parser.parse_args().check
    text = render()
    stale = not OUTPUT.exists() or OUTPUT.read_text() != text
    if stale and not check:
        OUTPUT.parent.mkdir(parents=True, exist_ok=True)
        OUTPUT.write_text(text)
    print(f"{OUTPUT.relative_to(CHECKOUT)} {('differs, run `make docs`' if check else 'written') if stale else 'is current'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
