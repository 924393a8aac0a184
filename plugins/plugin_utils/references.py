# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables a value depends on, found without templating it."""

from __future__ import annotations

import collections.abc as c
import functools
import typing as t

import jinja2
from jinja2 import nodes

# What Ansible provides holds no templates of this host, but possibly those of all others.
MAGIC = frozenset({"ansible_facts", "groups", "hostvars", "vars"})


@functools.cache
def names_in_template(text: str) -> frozenset[str]:
    """The variables that a template reads."""
    if "{{" not in text and "{%" not in text:
        return frozenset()
    try:
        tree = jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"]).parse(text)
    except jinja2.TemplateError:
        return frozenset()
    found = list(tree.find_all(nodes.Name))
    return frozenset(n.name for n in found if n.ctx == "load") - {n.name for n in found if n.ctx != "load"}


def names_in(value: t.Any) -> frozenset[str]:
    """The variables that the templates anywhere inside a value read."""
    if isinstance(value, str):
        return names_in_template(str(value))
    if isinstance(value, c.Mapping):
        return frozenset().union(*(names_in(entry) for entry in value.values()))
    if isinstance(value, (list, tuple)):
        return frozenset().union(*(names_in(entry) for entry in value))
    return frozenset()


def reachable(value: t.Any, variables: t.Mapping[str, t.Any]) -> set[str]:
    """Every variable of the host that a value depends on, also through other variables."""
    found: set[str] = set()
    waiting = set(names_in(value))
    while waiting:
        name = waiting.pop()
        found.add(name)
        if name in variables and name not in MAGIC:
            waiting |= names_in(variables[name]) - found
    return found
