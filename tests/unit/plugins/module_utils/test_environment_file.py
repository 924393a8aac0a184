# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shlex

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _environment_file


def test_variables_of_the_environment_file(tmp_path):
    values = {"A": "1", "B": "two words", "C": "it's=3"}
    path = tmp_path / "environment"
    path.write_text("# secrets\n" + "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()))
    assert _environment_file.read(str(path)) == values


def test_a_word_without_an_equals_sign_is_no_variable():
    assert _environment_file.parse("export A=1 B=\n") == {"A": "1", "B": ""}


def test_what_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="quotation"):
        _environment_file.parse("A='1\n")
    with pytest.raises(OSError, match="missing"):
        _environment_file.read(str(tmp_path / "missing"))
