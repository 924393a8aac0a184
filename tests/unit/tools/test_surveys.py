# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Surveys for AWX ask for what a playbook takes, in a form that AWX accepts, and never overrule an inventory unasked."""

from __future__ import annotations

import json
import pathlib
import sys

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(CHECKOUT / "tools"))

import surveys

TEMPLATES = json.loads(surveys.render())
TYPES = {"text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect"}


def test_every_playbook_has_a_template() -> None:
    ops = {path.stem for path in CHECKOUT.glob("playbooks/ops/*.yml")} - set(surveys.LEFT_OUT)
    assert {entry["verb"] for entry in TEMPLATES} == ops | set(surveys.DEPLOYING)
    assert all((CHECKOUT / entry["playbook"]).is_file() and entry["description"] for entry in TEMPLATES)


@pytest.mark.parametrize("entry", TEMPLATES, ids=lambda entry: entry["verb"])
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


def test_only_inputs_shown_with_extra_vars_are_asked() -> None:
    text = "---\n# Does it, with role_other of the inventory.\n#   -e role_one=1 -e '{role_two: [a]}'   words\n- name: x\n"
    assert surveys.SHOWN.findall(surveys.comments(text)) == ["role_one", "role_two"]
