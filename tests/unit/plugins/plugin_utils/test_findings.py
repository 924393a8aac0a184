# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.multinode.celery.plugins.plugin_utils import doctor, findings, preflight


@dataclasses.dataclass(frozen=True)
class Finding:
    """The least that a finding has."""

    hosts: tuple[str, ...]
    words: str


@pytest.mark.parametrize(
    ("number", "most", "words"),
    [(0, 5, ""), (5, 5, "h0, h1, h2, h3, h4"), (6, 5, "h0, h1, h2, h3, h4 and 1 more"), (6, 2, "h0, h1 and 4 more")],
)
def test_a_long_list_is_cut(number, most, words):
    assert findings.shortened([f"h{place}" for place in range(number)], most) == words


def test_what_several_hosts_share_is_reported_once():
    found = [Finding(("b",), "x"), Finding(("a",), "y"), Finding(("a", "b"), "x"), Finding((), "z")]
    assert findings.merged(found) == [Finding(("b", "a"), "x"), Finding(("a",), "y"), Finding((), "z")]


def test_both_kinds_of_findings_are_merged():
    refused = [preflight.Finding("check", "variable", "1", (host,), "problem", "remedy") for host in ("a", "b")]
    assert [finding.hosts for finding in findings.merged(refused)] == [("a", "b")]
    wrong = [doctor.Finding(doctor.ERROR, "check", (host,), "message", "remedy") for host in ("a", "b")]
    assert [finding.hosts for finding in findings.merged(wrong)] == [("a", "b")]
