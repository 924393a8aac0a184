# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take secrets out of texts: those that are known, in every form in which they are written, and what looks like one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import typing as t
from urllib.parse import quote

HIDDEN = "(hidden)"
# A shorter word would tear sentences apart, and preflight refuses it as a password.
SHORTEST = 5
NAMES = r"(?:password|passwd|passphrase|secret|token|api_?key|access_?key|credential)"
PATTERNS: tuple[tuple[t.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"(\w+://[^\s:/@]*:)[^\s@]+@"), rf"\1{HIDDEN}@"),
    # The exporter of Redis has its passwords by the server's URL.
    (re.compile(r"(\"rediss?://[^\"\n]*\"\s*:\s*)\"[^\"\n]*\""), rf"\1{HIDDEN}"),
    (re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}"), HIDDEN),
    (re.compile(r"(?i)\b(authorization\s*[:=]\s*[\"']?(?:basic|bearer)\s+)[^\s\"']+"), rf"\1{HIDDEN}"),
    # Redis and Sentinel, in their files and on a command line.
    (re.compile(r"(?im)^(\s*(?:masterauth|requirepass|sentinel\s+auth-pass\s+\S+|sentinel\s+sentinel-pass)\s+)\S+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?im)^(\s*user\s.*)$"), ""),
    (re.compile(rf"(?i)(\b[\w.-]*{NAMES}[\w-]*[\"']?\s*[=:]\s*)(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s,;]+)"), rf"\1{HIDDEN}"),
)
ACL_PASSWORD = re.compile(r"(?<=\s)([#>])\S+")
# Files that hold nothing but secrets; their names stay, each value goes. Before the present names `env` was called `environment`.
VALUES_ONLY = re.compile(r"(?:^|/)(?:env(?:ironment)?|[^/]*\.(?:secret|env)|[^/]*passw(?:or)?d[^/]*|secrets/[^/]*)$")


def variants(secret: str) -> set[str]:
    """Return the forms in which programs write a secret."""
    raw = secret.encode()
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        json.dumps(secret)[1:-1],
        shlex.quote(secret),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        hashlib.sha256(raw).hexdigest(),
        hashlib.sha1(raw, usedforsecurity=False).hexdigest(),
    }


def forms(secrets: t.Iterable[str]) -> list[str]:
    """Return everything that must not be seen, the longest first."""
    found = {form for secret in secrets if len(secret) >= SHORTEST for form in variants(secret)}
    return sorted(found, key=lambda form: (-len(form), form))


def redact(text: str, secrets: t.Iterable[str] = (), path: str = "") -> str:
    """Return a text without the secrets and without what looks like one, such as the password of a URL."""
    for form in forms(secrets):
        text = text.replace(form, HIDDEN)
    for pattern, replacement in PATTERNS:
        if replacement:
            text = pattern.sub(replacement, text)
        else:
            text = pattern.sub(lambda line: ACL_PASSWORD.sub(rf"\1{HIDDEN}", line[0]), text)
    return values_hidden(text) if VALUES_ONLY.search(path) else text


def values_hidden(text: str) -> str:
    """Return the names of a file of assignments; a line without a name goes as a whole."""
    lines = []
    for line in text.splitlines():
        name, equals, _value = line.partition("=")
        lines.append(line if not line.strip() or line.startswith("#") else f"{name}={HIDDEN}" if equals else HIDDEN)
    return "\n".join(lines) + ("\n" if lines else "")


def leaks(text: str, secrets: t.Iterable[str]) -> bool:
    """Tell whether any form of a secret is left in a text."""
    return any(form in text for form in forms(secrets))
