# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hash a password with the library that hashes those of the system."""

from __future__ import annotations

DOCUMENTATION = r"""
name: bcrypt
short_description: Hash a password with bcrypt, the same way each time
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Hashes a password on the controller, with its C(libcrypt) and without a Python package.
  - The salt is made from O(seed), so that a second run gives the same hash and changes nothing.
positional: seed, rounds
options:
  _input:
    description: The password, of at most 72 bytes.
    type: str
    required: true
  seed:
    description: What the salt is made from; name the host and the user, so that no two hashes have the same salt.
    type: str
    required: true
  rounds:
    description: The cost as a power of two. One hash with V(10) takes a core about 0.05 seconds, each step doubles it.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Report a line of a password file
  ansible.builtin.debug:
    msg: "operator:{{ vault_monitoring_ui_password | multinode.celery.bcrypt(inventory_hostname ~ 'operator') }}"
"""

RETURN = r"""
_value:
  description: The hash.
  type: str
"""

import base64
import ctypes
import ctypes.util
import functools
import hashlib
import string
import typing as t

from ansible.errors import AnsibleFilterError

_STANDARD = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
_BCRYPT = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits


def salt(seed: str) -> str:
    """Return the 22 characters of a salt; the password has no part in it, or the salt would help to guess it."""
    digest = hashlib.sha256(seed.encode()).digest()[:16]
    return base64.b64encode(digest).decode().rstrip("=").translate(str.maketrans(_STANDARD, _BCRYPT))


@functools.lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    library.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    return library


@functools.lru_cache(maxsize=1024)
def _hashed(password: str, settings: str) -> str:
    try:
        result = _library().crypt(password.encode(), settings.encode())
    except (OSError, AttributeError) as exc:
        raise AnsibleFilterError(f"bcrypt: this controller has no libcrypt ({exc}): install libcrypt1 or libxcrypt") from exc
    text = (result or b"").decode()
    if not text.startswith(settings):
        raise AnsibleFilterError("bcrypt: the libcrypt of this controller knows no bcrypt: install libxcrypt")
    return text


def bcrypt(password: t.Any, seed: t.Any, rounds: t.Any = 10) -> str:
    """Return the bcrypt hash of a password."""
    if not isinstance(password, str) or not password or "\0" in password or len(password.encode()) > 72:
        raise AnsibleFilterError("bcrypt: a password of 1 to 72 bytes without a null byte is needed")
    if not 4 <= int(rounds) <= 31:
        raise AnsibleFilterError(f"bcrypt: rounds is {rounds}, set it to a number from 4 to 31")
    return _hashed(str(password), f"$2b${int(rounds):02d}${salt(str(seed))}")


class FilterModule:
    """Hashes of passwords."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file by name."""
        return {"bcrypt": bcrypt}
