# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets leave no trace in a text, and the rest of it stays."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

import pytest
from ansible_collections.multinode.celery.plugins.module_utils._redaction import HIDDEN, SHORTEST, leaks, redact, values_hidden

SECRET = "p&ss/wörd 1"


@pytest.mark.parametrize(
    "form",
    [
        SECRET, quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode(), hashlib.sha256(SECRET.encode()).hexdigest(),
        '"p&ss/w\\u00f6rd 1"', "'p&ss/wörd 1'",
    ],
)  # fmt: skip
def test_a_known_secret_is_hidden_in_every_form(form: str) -> None:
    text = redact(f"before {form} after", [SECRET])
    assert text.startswith("before ") and text.endswith(" after")
    assert form.strip("\"'") not in text and not leaks(text, [SECRET])


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("redis://user:abcdefg@192.0.2.1:6379/0", "redis://user:(hidden)@192.0.2.1:6379/0"),
        ("sentinel://:abcdefg@192.0.2.1", "sentinel://:(hidden)@192.0.2.1"),
        ("masterauth abcdefg", "masterauth (hidden)"),
        ("sentinel auth-pass celery abcdefg", "sentinel auth-pass celery (hidden)"),
        ("sentinel sentinel-pass abcdefg", "sentinel sentinel-pass (hidden)"),
        ("user prod on #0123abcdef ~prod:* +get", "user prod on #(hidden) ~prod:* +get"),
        ("user prod on sanitize-payload >abcdefg +get", "user prod on sanitize-payload >(hidden) +get"),
        ("DB_PASSWORD=abcdefg", "DB_PASSWORD=(hidden)"),
        ("'api_key': 'abcdefg', 'port': 1", "'api_key': (hidden), 'port': 1"),
        ('"token": "abc defg"}', '"token": (hidden)}'),
        ("Authorization: Bearer abcdefg", "Authorization: Bearer (hidden)"),
        ('"rediss://monitoring@192.0.2.1:6379": "abcdefg",', '"rediss://monitoring@192.0.2.1:6379": (hidden),'),
        ('prometheus: "$2b$10$zrvIL0A3qf0090oAUVPUMuPwx7JYrxKKDPBXTTb5NuOSJlR7F/nda"', 'prometheus: "(hidden)"'),
    ],
)
def test_what_looks_like_a_secret_is_hidden(line: str, kept: str) -> None:
    assert redact(line, []) == kept


def test_private_keys_are_hidden_also_where_the_end_is_cut_off() -> None:
    key = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n"
    assert redact(key, []) == f"a\n{HIDDEN}"
    assert redact(f"{key}-----END RSA PRIVATE KEY-----\nb\n", []) == f"a\n{HIDDEN}\nb\n"


@pytest.mark.parametrize("line", ["sentinel auth-user celery sentinel", "# the user of the broker", "max_retries=3", "role:master #1", "port 6379"])
def test_other_lines_stay(line: str) -> None:
    assert redact(line, []) == line


def test_a_word_too_short_for_a_password_stays() -> None:
    short = "x" * (SHORTEST - 1)
    assert redact(f"a{short}b", [short]) == f"a{short}b"


def test_a_longer_secret_is_hidden_before_one_inside_it() -> None:
    assert redact("secretive-one", ["secretive", "secretive-one"]) == HIDDEN


@pytest.mark.parametrize(
    "path",
    [
        "/etc/celery/proj/env", "/etc/celery/proj/environment", "files/etc/redis-broker/boot-guard.secret",
        "/etc/monitoring-proxy/htpasswd", "files/etc/prometheus/secrets/proxy",
    ],
)
def test_files_of_secrets_lose_every_value(path: str) -> None:
    assert redact("# a comment\nNAME=value\n\nvalue\n", [], path) == "# a comment\nNAME=(hidden)\n\n(hidden)\n"
    assert redact("NAME=value", [], "/etc/hosts") == "NAME=value"


def test_an_empty_file_stays_empty() -> None:
    assert values_hidden("") == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sentinel://prod:pa:ss@10.0.0.1:26379/0", "sentinel://prod:(hidden)@10.0.0.1:26379/0"),
        ("redis://:x@h redis://:y@h", "redis://:(hidden)@h redis://:(hidden)@h"),
        ("video@cpu-1 ready", "video@cpu-1 ready"),
    ],
)
def test_passwords_of_urls_are_hidden(text, shown):
    assert redact(text) == shown
