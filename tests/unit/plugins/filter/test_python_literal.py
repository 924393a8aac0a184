# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.python_literal import python_literal


class Tagged(str):
    """A text that carries more than its characters, as Ansible's do."""

    def __repr__(self):
        return "Tagged()"


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "it's \"so\"\n", [], {}, {"b": [1, {"c": None}], "a": False}, ["x" * 100, "y" * 100]])
def test_python_reads_back_the_same_value(value):
    assert ast.literal_eval(python_literal(value)) == value


def test_the_order_of_a_dictionary_is_kept():
    assert python_literal({"b": 1, "a": 2}) == "{'b': 1, 'a': 2}"


def test_only_the_characters_of_a_tagged_text_are_written():
    assert python_literal({Tagged("key"): Tagged("value")}) == "{'key': 'value'}"


def test_other_types_are_refused():
    with pytest.raises(AnsibleFilterError, match="type object"):
        python_literal(object())
