# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Surveys for AWX ask for what a playbook takes, in a form that AWX accepts, and never overrule an inventory unasked."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
import surveys
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
SURVEYS = yaml.safe_load(surveys.SURVEYS.read_text())
TEMPLATES = json.loads(surveys.render())
INPUTS = surveys.inputs()
TYPES = {"text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect"}
# An extra variable that the comment of a playbook shows: -e name=value or -e '{name: value}', with or without quotes.
SHOWN = re.compile(r"""(?<!\S)-e '?\{?"?(\w+)""")


def shown(path: pathlib.Path) -> set[str]:
    """The inputs that the comments of a playbook show."""
    comments = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    return set(SHOWN.findall(comments)) & {*INPUTS, *(name for play in surveys.load(path) for name in play.get("vars") or {})}


def test_every_playbook_has_an_entry() -> None:
    listed = [entry["playbook"] for entry in SURVEYS["templates"]] + SURVEYS["without_template"]
    there = {str(path.relative_to(CHECKOUT)) for path in [*CHECKOUT.glob("playbooks/*.yml"), *CHECKOUT.glob("playbooks/ops/*.yml")]}
    # Every other playbook imports it.
    assert sorted(listed) == sorted(there - {"playbooks/preflight.yml"})
    assert all(set(entry) == {"playbook", "description", "questions"} and entry["description"] for entry in SURVEYS["templates"])


def test_the_file_is_written_from_the_entries() -> None:
    assert surveys.OUTPUT.read_text() == surveys.render(), "run `make docs`"


def test_comments_show_what_is_asked() -> None:
    found = {entry["playbook"]: shown(CHECKOUT / entry["playbook"]) for entry in TEMPLATES}
    assert sum(map(len, found.values())) >= 20, "the comments are written in another way than this test expects"
    for entry in TEMPLATES:
        asked = {question["variable"] for question in entry["survey"]["spec"]}
        assert asked == found[entry["playbook"]], entry["playbook"]


@pytest.mark.parametrize(
    ("questions", "missing"),
    [(["no_such_input"], "no_such_input"), ([{"no_such_variable": "Words."}], "no_such_variable"), ([{"verify_nodes": "Words."}, "mistyped"], "mistyped")],
)
def test_an_entry_that_asks_for_no_input_is_refused(questions: list, missing: str) -> None:
    with pytest.raises(SystemExit, match=f"playbooks/ops/verify.yml has no input '{missing}'"):
        surveys.template({"playbook": "playbooks/ops/verify.yml", "description": "Verify.", "questions": questions}, INPUTS)


def test_a_variable_of_a_play_has_the_default_and_the_type_that_it_has_there() -> None:
    playbook = [{"name": "first"}, {"name": "second", "vars": {"seconds": 30, "everywhere": False}}]
    assert surveys.of_a_play("seconds", "Words.", playbook) == {"type": "int", "description": "Words. Without an answer: 30."}
    assert surveys.of_a_play("everywhere", "Words.", playbook) == {"type": "bool", "description": "Words. Without an answer: false."}


@pytest.mark.parametrize("entry", TEMPLATES, ids=lambda entry: entry["playbook_name"])
def test_questions_have_the_form_of_awx(entry: dict) -> None:
    variables = [question["variable"] for question in entry["survey"]["spec"]]
    assert len(variables) == len(set(variables))
    for question in entry["survey"]["spec"]:
        assert question["type"] in TYPES
        assert question["question_name"] and question["question_description"]
        assert bool(question.get("choices")) == (question["type"] == "multiplechoice")
        # An answer outranks the inventory, so none is given unless a person gives it.
        assert question["default"] == ""


@pytest.mark.parametrize(
    ("option", "kind", "words"),
    [
        ({"type": "int", "default": 5, "description": "A number."}, "integer", "Without an answer: 5"),
        ({"type": "bool", "default": False, "description": "Whether."}, "multiplechoice", "Without an answer: false"),
        ({"type": "list", "elements": "str", "default": [], "description": "Names."}, "text", "by commas"),
        ({"type": "str", "no_log": True, "required": True, "description": "A C(password)."}, "password", "A password."),
        ({"type": "str", "default": "{{ other }}", "description": "Text."}, "text", "Text."),
    ],
)
def test_question_of_an_input(option: dict, kind: str, words: str) -> None:
    question = surveys.question("role_input", option)
    assert question["type"] == kind and words in question["question_description"]
    assert question["required"] == bool(option.get("required"))
