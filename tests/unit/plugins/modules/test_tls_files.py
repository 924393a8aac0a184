# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.multinode.celery.plugins.modules.tls_files import is_foreign, metrics, seconds_since_epoch

A = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
B = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("present", "wanted", "foreign"),
    [("", A, False), (A, A, False), (A, B + A, False), (A + B, B, False), (A, B, True), ("no certificate", B, False)],
)
def test_bundles_without_a_common_ca_are_foreign(present, wanted, foreign):
    assert is_foreign(present, wanted) is foreign


def test_the_form_of_the_lines_does_not_count():
    assert not is_foreign(A.replace("\n", "\r\n"), A)


@pytest.mark.parametrize(("line", "seconds"), [("notAfter=Jan  2 00:00:01 1970 GMT\n", 86401), ("", 0), ("notAfter=soon", 0)])
def test_the_end_of_a_certificate_is_read(line, seconds):
    assert seconds_since_epoch(line) == seconds


def test_metrics_name_each_file_whose_end_is_known():
    text = metrics({"/b": 0, "/a": 5})
    assert text.splitlines()[-1] == 'multinode_certificate_expiry_timestamp_seconds{path="/a"} 5'
    assert "/b" not in text and text.endswith("\n")
