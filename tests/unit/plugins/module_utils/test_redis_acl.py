# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _redis_acl as acl

HASH = "#" + "0" * 64


class Server:
    """A server that lists users as they were set, with one flag of its own."""

    def __init__(self, users: dict[str, list[str]]) -> None:
        self.users = users
        self.commands: list[tuple[str, ...]] = []

    def command(self, *argv: str) -> list[str]:
        """Answer ACL LIST, SETUSER and DELUSER."""
        self.commands.append(argv)
        if argv[1] == "SETUSER":
            rules = [rule for rule in argv[3:] if rule != "reset"]
            self.users[argv[2]] = ["sanitize-payload", *rules] if "reset" in argv else [*self.users[argv[2]], *rules]
        elif argv[1] == "DELUSER":
            for name in argv[2:]:
                self.users.pop(name, None)
        return [f"user {name} {' '.join(rules)}" for name, rules in self.users.items()]


def test_users_are_compared_without_regard_to_order() -> None:
    """A server adds flags of its own and lists subcommands in an order of the moment."""
    wanted = ["on", HASH, "~a:*", "~b:*", "resetchannels", "&x", "-@all", "+get", "+sentinel|masters", "+sentinel|master"]
    live = ["on", "sanitize-payload", HASH, "~b:*", "~a:*", "resetchannels", "&x", "-@all", "+sentinel|master", "+get", "+sentinel|masters"]
    assert acl.canonical_rules(wanted) == acl.canonical_rules(live)


@pytest.mark.parametrize("rules", [["off"], ["on", "nopass"], ["on", HASH, "~*"], ["on", HASH, "&*"], ["on", HASH, "+get"], ["on", "#" + "1" * 64]])
def test_users_that_differ(rules: list[str]) -> None:
    """Any right more or less is a difference."""
    assert acl.canonical_rules(rules) != acl.canonical_rules(["on", HASH])


def test_later_rules_replace_earlier_ones() -> None:
    """As Redis reads them."""
    assert acl.canonical_rules(["+get", "-get"]) == acl.canonical_rules(["-get"])
    assert acl.canonical_rules(["+client|setname", "+client"]) == acl.canonical_rules(["+client"])
    assert acl.canonical_rules(["on", HASH, "+get", "reset"]) == acl.canonical_rules([])
    assert acl.canonical_rules(["allkeys", "allchannels", "allcommands"]) == acl.canonical_rules(["~*", "&*", "+@all"])


def test_a_selector_is_compared_as_a_whole() -> None:
    """Its rules hold beside the user's own, so that a right in it is none of the user's."""
    line = "user a on ~x:* -@all +get (%R~y:* resetchannels -@all +llen +lrange) (resetchannels &c -@all +publish)"
    live = acl.parse_acl(line)["a"]
    assert live[-2:] == ["(%R~y:* resetchannels -@all +llen +lrange)", "(resetchannels &c -@all +publish)"]
    wanted = ["on", "~x:*", "+get", "(&c +publish)", "(+lrange +llen %R~y:*)"]
    assert acl.canonical_rules(wanted) == acl.canonical_rules(live)
    assert acl.canonical_rules(wanted[:-1]) != acl.canonical_rules(live)
    assert acl.canonical_rules([*wanted[:-1], "(+lrange +llen ~y:*)"]) != acl.canonical_rules(live)
    assert acl.canonical_rules([*wanted[:3], "+publish", "&c", wanted[-1]]) != acl.canonical_rules(live)
    assert acl.canonical_rules([*wanted, "clearselectors"]) == acl.canonical_rules(["on", "~x:*", "+get"])


def test_the_default_user_is_never_deleted() -> None:
    """Redis would refuse it."""
    live = {"default": ["off"], "old": ["on"], "kept": ["on", HASH]}
    assert acl.acl_diff({"kept": ["on", HASH], "new": ["on"]}, live) == ({"new": ["on"]}, ["old"])


def test_acl_file() -> None:
    """Comments and empty lines do not count."""
    assert acl.parse_acl("user a on +get\n\n# x\nuser b off\n") == {"a": ["on", "+get"], "b": ["off"]}


def test_hashes_are_not_shown() -> None:
    """They are not salted."""
    assert "0000" not in acl.masked(["on", HASH])


FILE = f"user kept on {HASH} ~a:* +get\nuser more on {HASH} +get +set\nuser new on {HASH} +ping\n"


def server() -> Server:
    """With a user that the file changes and one that it does not name."""
    return Server({"default": ["off"], "kept": ["on", HASH, "~a:*", "+get"], "more": ["on", HASH, "+get"], "old": ["on"]})


def test_only_users_that_differ_are_set_and_unknown_ones_deleted() -> None:
    """Each with all its rules in one command."""
    redis = server()
    change = acl.compare(redis, FILE)
    assert (change.users, change.removed) == (["more", "new", "old"], ["old"])
    assert set(redis.users) == {"default", "kept", "more", "old"}, "comparing leaves no user behind"
    redis.commands.clear()
    change.apply(redis)
    assert redis.commands == [
        ("ACL", "SETUSER", "more", "reset", "on", HASH, "+get", "+set"),
        ("ACL", "SETUSER", "new", "reset", "on", HASH, "+ping"),
        ("ACL", "DELUSER", "old"),
    ]
    assert acl.compare(redis, FILE).users == []


def test_a_diff_shows_the_users_that_change_without_hashes() -> None:
    """As they are, and as the server will list them."""
    change = acl.compare(server(), FILE)
    assert change.before == "user more on #... +get\nuser old on\n"
    assert [line.split()[:2] for line in change.after.splitlines()] == [["user", "more"], ["user", "new"]]
    assert "+set" in change.after and HASH not in change.after


def test_an_empty_file_touches_nobody() -> None:
    """Nobody would be left who could log in."""
    redis = server()
    change = acl.compare(redis, "")
    assert (change.users, change.before, change.after) == ([], "", "")
    assert redis.commands == [("ACL", "LIST")]
