# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.multinode.celery.plugins.module_utils import _redis_config as conf

HASH = "#" + "0" * 64


def test_the_last_line_wins_and_parser_instructions_are_left_out() -> None:
    """As Redis reads the file."""
    text = '# hz 1\ninclude /etc/x\nhz 10\nHZ 20\nsave ""\nlogfile ""\nbind 192.0.2.1 127.0.0.1\nreplicaof 192.0.2.2 6379\n'
    assert conf.parse_config(text) == {"hz": "20", "save": "", "logfile": "", "bind": "192.0.2.1 127.0.0.1"}


def test_lines_that_add_up() -> None:
    """Two directives may stand several times."""
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


def test_users_are_compared_without_regard_to_order() -> None:
    """A server adds flags of its own and lists subcommands in an order of the moment."""
    wanted = ["on", HASH, "~a:*", "~b:*", "resetchannels", "&x", "-@all", "+get", "+sentinel|masters", "+sentinel|master"]
    live = ["on", "sanitize-payload", HASH, "~b:*", "~a:*", "resetchannels", "&x", "-@all", "+sentinel|master", "+get", "+sentinel|masters"]
    assert conf.canonical_rules(wanted) == conf.canonical_rules(live)


@pytest.mark.parametrize("rules", [["off"], ["on", "nopass"], ["on", HASH, "~*"], ["on", HASH, "&*"], ["on", HASH, "+get"], ["on", "#" + "1" * 64]])
def test_users_that_differ(rules: list[str]) -> None:
    """Any right more or less is a difference."""
    assert conf.canonical_rules(rules) != conf.canonical_rules(["on", HASH])


def test_later_rules_replace_earlier_ones() -> None:
    """As Redis reads them."""
    assert conf.canonical_rules(["+get", "-get"]) == conf.canonical_rules(["-get"])
    assert conf.canonical_rules(["+client|setname", "+client"]) == conf.canonical_rules(["+client"])
    assert conf.canonical_rules(["on", HASH, "+get", "reset"]) == conf.canonical_rules([])
    assert conf.canonical_rules(["allkeys", "allchannels", "allcommands"]) == conf.canonical_rules(["~*", "&*", "+@all"])


def test_a_selector_is_compared_as_a_whole() -> None:
    """Its rules hold beside the user's own, so that a right in it is none of the user's."""
    line = "user a on ~x:* -@all +get (%R~y:* resetchannels -@all +llen +lrange) (resetchannels &c -@all +publish)"
    live = conf.parse_acl(line)["a"]
    assert live[-2:] == ["(%R~y:* resetchannels -@all +llen +lrange)", "(resetchannels &c -@all +publish)"]
    wanted = ["on", "~x:*", "+get", "(&c +publish)", "(+lrange +llen %R~y:*)"]
    assert conf.canonical_rules(wanted) == conf.canonical_rules(live)
    assert conf.canonical_rules(wanted[:-1]) != conf.canonical_rules(live)
    assert conf.canonical_rules([*wanted[:-1], "(+lrange +llen ~y:*)"]) != conf.canonical_rules(live)
    assert conf.canonical_rules([*wanted[:3], "+publish", "&c", wanted[-1]]) != conf.canonical_rules(live)
    assert conf.canonical_rules([*wanted, "clearselectors"]) == conf.canonical_rules(["on", "~x:*", "+get"])


def test_the_default_user_is_never_deleted() -> None:
    """Redis would refuse it."""
    live = {"default": ["off"], "old": ["on"], "kept": ["on", HASH]}
    assert conf.acl_diff({"kept": ["on", HASH], "new": ["on"]}, live) == ({"new": ["on"]}, ["old"])


def test_acl_file() -> None:
    """Comments and empty lines do not count."""
    assert conf.parse_acl("user a on +get\n\n# x\nuser b off\n") == {"a": ["on", "+get"], "b": ["off"]}


def test_hashes_are_not_shown() -> None:
    """They are not salted."""
    assert "0000" not in conf.masked(["on", HASH])


def test_sentinel_state() -> None:
    """Only what belongs to the master asked about."""
    text = 'port 26379\nsentinel myid abc\nsentinel auth-pass celery se#cret\nsentinel auth-pass other x\nsentinel announce-ip "192.0.2.1"\n'
    assert conf.parse_sentinel_state(text, "celery") == {"auth-pass": "se#cret"}
