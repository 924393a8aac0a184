# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter import bcrypt as module
from ansible_collections.multinode.celery.plugins.filter.bcrypt import bcrypt, salt


def test_the_hash_verifies_the_password_and_no_other():
    hashed = bcrypt("correct horse", "host user", 4)
    assert hashed.startswith("$2b$04$") and len(hashed) == 60
    assert module._library().crypt(b"correct horse", hashed.encode()).decode() == hashed
    assert module._library().crypt(b"correct horsf", hashed.encode()).decode() != hashed


def test_the_same_seed_gives_the_same_hash_and_another_seed_another():
    assert bcrypt("password", "a", 4) == bcrypt("password", "a", 4) != bcrypt("password", "b", 4)


@pytest.mark.parametrize("seed", ["", "monitor-1operator", "ü", "x" * 500])
def test_every_salt_is_one_that_bcrypt_accepts(seed):
    assert len(salt(seed)) == 22
    assert bcrypt("password", seed, 4).startswith(f"$2b$04${salt(seed)}")


@pytest.mark.parametrize(("password", "rounds"), [("", 4), (None, 4), ("x" * 73, 4), ("a\0b", 4), ("password", 3), ("password", 32)])
def test_what_bcrypt_would_cut_or_refuse_is_an_error(password, rounds):
    with pytest.raises(AnsibleFilterError, match="bcrypt: "):
        bcrypt(password, "seed", rounds)
