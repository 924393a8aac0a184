# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _redis_config as conf


def test_the_last_line_wins_and_parser_instructions_are_left_out() -> None:
    """As Redis reads the file."""
    text = '# hz 1\ninclude /etc/x\nhz 10\nHZ 20\nsave ""\nlogfile ""\nbind 192.0.2.1 127.0.0.1\nreplicaof 192.0.2.2 6379\n'
    assert conf.parse_config(text) == {"hz": "20", "save": "", "logfile": "", "bind": "192.0.2.1 127.0.0.1"}


def test_lines_that_add_up() -> None:
    """Two directives may occur several times."""
    text = "client-output-buffer-limit normal 0 0 0\nclient-output-buffer-limit replica 1mb 1kb 60\nsave 900 1\nsave 300 10\n"
    settings = conf.parse_config(text)
    assert settings == {"client-output-buffer-limit": "normal 0 0 0 replica 1mb 1kb 60", "save": "900 1 300 10"}


@pytest.mark.parametrize(
    ("name", "wanted", "live", "equal"),
    [
        ("maxmemory", "64mb", "67108864", True),
        ("maxmemory", "64m", "64000000", True),
        ("appendonly", "yes", "no", False),
        ("maxmemory-clients", "5%", "5%", True),
        ("masterauth", "12kb", "12288", False),
        ("client-output-buffer-limit", "replica 1mb 1kb 60", "normal 0 0 0 slave 1048576 1024 60 pubsub 1 1 1", True),
        ("client-output-buffer-limit", "pubsub 2 1 1", "normal 0 0 0 slave 1048576 1024 60 pubsub 1 1 1", False),
    ],
)
def test_values_are_compared_by_meaning(name: str, wanted: str, live: str, equal: bool) -> None:
    """Redis reports sizes in bytes."""
    assert conf.same(name, wanted, live) is equal


def test_changes_are_sorted_by_what_they_need() -> None:
    """Only what cannot be changed at run time asks for a restart."""
    live = {"hz": "10", "databases": "16", "maxclients": "100"}
    wanted = {"hz": "20", "databases": "17", "maxclients": "100", "no-such-thing": "1"}
    assert conf.config_diff(wanted, live) == ({"hz": "20"}, {"databases": "17"}, ["no-such-thing"])


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ("ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config", "databases"),
        ("ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config", "dir"),
        ("ERR CONFIG SET failed (possibly related to argument 'hz') - argument must be a number", ""),
    ],
)
def test_a_setting_that_turns_out_to_be_immutable(error: str, name: str) -> None:
    """What other versions refuse is learned from them."""
    assert conf.immutable_name(error) == name


def test_sentinel_state() -> None:
    """Only what belongs to the master asked about."""
    text = 'port 26379\nsentinel myid abc\nsentinel auth-pass celery se#cret\nsentinel auth-pass other x\nsentinel announce-ip "192.0.2.1"\n'
    assert conf.parse_sentinel_state(text, "celery") == {"auth-pass": "se#cret"}


def test_secrets_of_settings_are_not_shown() -> None:
    """Of Redis and of Sentinel."""
    settings = {"masterauth": "m", "hz": "10", "auth-pass": "a", "sentinel-pass": "s"}
    assert conf.setting_lines(settings) == "auth-pass ...\nhz 10\nmasterauth ...\nsentinel-pass ...\n"
