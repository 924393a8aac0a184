# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of Redis and Sentinel: ACL files, what a server lists, and how the two differ."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc

_ACL_WORD = re.compile(r"\([^)]*\)|\S+")


def parse_acl(text: str) -> dict[str, list[str]]:
    """Return the rules of an ACL file by user, in the order of the file."""
    users = {}
    for line in text.splitlines():
        tokens = acl_tokens(line)
        if len(tokens) >= 2 and tokens[0] == "user":
            users[tokens[1]] = tokens[2:]
    return users


def acl_tokens(line: str) -> list[str]:
    """Split a line of an ACL file, or of what Redis lists; a selector, which is in parentheses, is one token."""
    return _ACL_WORD.findall(line)


def canonical_rules(rules: t.Iterable[str]) -> tuple[t.Any, ...]:
    """Return rules in a form in which equal users compare equal, whatever the order of keys or flags."""
    flags = {"off"}
    passwords: set[str] = set()
    keys: set[str] = set()
    channels: set[str] = set()
    commands: list[str] = ["-@all"]
    # Each is a set of rules beside the others: what none of them allows alone is refused.
    selectors: set[tuple[t.Any, ...]] = set()
    for rule in rules:
        word = {"allkeys": "~*", "allchannels": "&*", "allcommands": "+@all", "nocommands": "-@all"}.get(rule, rule)
        if word in ("on", "off"):
            flags = (flags - {"on", "off"}) | {word}
        elif word == "nopass":
            flags.add(word)
        elif word == "resetpass":
            passwords.clear()
            flags.discard("nopass")
        elif word == "resetkeys":
            keys.clear()
        elif word == "resetchannels":
            channels.clear()
        elif word == "clearselectors":
            selectors.clear()
        elif word == "reset":
            flags, passwords, keys, channels, commands, selectors = {"off"}, set(), set(), set(), ["-@all"], set()
        elif word[0] == "(":
            selectors.add(canonical_rules(word[1:-1].split()))
        elif word[0] == "#":
            passwords.add(word[1:])
        elif word[0] in "~%":
            keys.add("~" + word[4:] if word.startswith("%RW~") else word)
        elif word[0] == "&":
            channels.add(word)
        elif word[0] in "+-":
            commands = _with_command(commands, word)
    # Redis lists subcommands in an order of the moment, so the order means nothing once what was replaced is gone.
    return tuple(tuple(sorted(part)) for part in (flags, passwords, keys, channels, commands, selectors))


def _with_command(commands: list[str], word: str) -> list[str]:
    """Add a command rule as Redis does: it replaces earlier rules for the same command."""
    word = word.lower()
    if word[1:] == "@all":
        return [word]
    name = word[1:]
    return [rule for rule in commands if rule[1:] != name and not rule[1:].startswith(f"{name}|")] + [word]


def acl_diff(wanted: dict[str, list[str]], live: dict[str, list[str]]) -> tuple[dict[str, list[str]], list[str]]:
    """Compare users.

    :returns: users to set with their rules, and users to delete.
    """
    changed = {name: rules for name, rules in wanted.items() if name not in live or canonical_rules(live[name]) != canonical_rules(rules)}
    return changed, sorted(set(live) - set(wanted) - {"default"})


def masked(rules: t.Iterable[str]) -> str:
    """Return rules for a diff, without what could be used to find a password."""
    return " ".join("#..." if rule.startswith("#") else rule for rule in rules)


def live_acl(client: rc.RedisClient) -> dict[str, list[str]]:
    """Return the users of a running server by name."""
    return {tokens[1]: tokens[2:] for tokens in map(acl_tokens, client.command("ACL", "LIST"))}


def normal_acl(client: rc.RedisClient, wanted: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return wanted users as this server would list them.

    Redis describes a user's commands in its own words, which depend on its version. So it is asked: a user that
    nobody can be is given the rules for a moment.
    """
    probe = f"probe-{os.getpid()}"
    normal = {}
    try:
        for name, rules in wanted.items():
            client.command("ACL", "SETUSER", probe, "reset", *[rule for rule in rules if rule[0] != "#" and rule != "nopass"])
            passwords = [rule for rule in rules if rule[0] == "#" or rule == "nopass"]
            client.command("ACL", "SETUSER", probe, "off")
            status = [rule for rule in rules if rule in ("on", "off")][-1:]
            normal[name] = live_acl(client)[probe] + status + passwords
    finally:
        client.command("ACL", "DELUSER", probe)
    return normal


@dataclasses.dataclass(frozen=True)
class AclChange:
    """How the users of a running server differ from those of its ACL file."""

    # The rules of the users to set, as the file writes them and as the server will list them.
    rules: dict[str, list[str]]
    listed: dict[str, list[str]]
    removed: list[str]
    live: dict[str, list[str]]

    @property
    def users(self) -> list[str]:
        """The names of the users that are set or deleted."""
        return sorted([*self.rules, *self.removed])

    @property
    def before(self) -> str:
        """These users as they are, as text for a diff."""
        return user_lines({name: self.live[name] for name in self.users if name in self.live})

    @property
    def after(self) -> str:
        """These users as they will be, as text for a diff."""
        return user_lines(self.listed)

    def apply(self, client: rc.RedisClient) -> None:
        """Set and delete the users; each is replaced in one step, so none has other rights in between."""
        for name, rules in self.rules.items():
            client.command("ACL", "SETUSER", name, "reset", *rules)
        if self.removed:
            client.command("ACL", "DELUSER", *self.removed)


def user_lines(users: t.Mapping[str, t.Iterable[str]]) -> str:
    """Return ACL users as text for a diff, without hashes."""
    return "".join(f"user {name} {masked(rules)}\n" for name, rules in sorted(users.items()))


def compare(client: rc.RedisClient, text: str) -> AclChange:
    """Compare the users of a running server with the content of its ACL file; an empty one touches nobody."""
    wanted, live = parse_acl(text), live_acl(client)
    listed, removed = acl_diff(normal_acl(client, wanted), live) if wanted else ({}, [])
    return AclChange({name: wanted[name] for name in listed}, listed, removed, live)
