# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The users of Redis that environments name."""

from __future__ import annotations

DOCUMENTATION = r"""
name: environment_users
short_description: List the users of Redis that environments name
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - An environment has a C(user) for its programs. It may name a C(monitoring_user) for the exporters and Flower, and a C(producer_user)
    for programs that only send tasks to it.
  - Reads C(<kind>_user), C(<kind>_password) and C(<kind>_previous_password) of each, for the programs without the kind.
options:
  _input:
    description: The environments, as in C(cluster_environments).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Report the users of the environments
  ansible.builtin.debug:
    msg: "{{ cluster_environments | multinode.celery.environment_users | map(attribute='user') }}"
"""

RETURN = r"""
_value:
  description: One dictionary for each user, in the order of the environments.
  type: list
  elements: dict
  contains:
    kind:
      description: What the user is for, C(programs), C(monitoring) or C(producer).
      type: str
    key:
      description: Key of the environment that holds the name, for example C(producer_user).
      type: str
    user:
      description: Name of the user.
      type: str
    password:
      description: Password of the user, empty where the environment has none.
      type: str
    previous_password:
      description: Password that the user had before and that is still valid, empty where there is none.
      type: str
    environment:
      description: Name of the environment.
      type: str
    vhost:
      description: Number of the environment's database.
      type: int
    key_prefix:
      description: What the environment's keys and channels begin with.
      type: str
"""

import collections.abc as c
import typing as t

# The keys of a kind begin with its name, those of the programs with nothing.
KINDS = {"programs": "", "monitoring": "monitoring_", "producer": "producer_"}


def environment_users(environments: c.Iterable[c.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Filter entry point."""
    return [
        {
            "kind": kind,
            "key": f"{begin}user",
            "user": str(environment[f"{begin}user"]),
            "password": environment.get(f"{begin}password") or "",
            "previous_password": environment.get(f"{begin}previous_password") or "",
            "environment": environment.get("name"),
            "vhost": environment.get("vhost"),
            "key_prefix": environment.get("key_prefix"),
        }
        for environment in environments
        for kind, begin in KINDS.items()
        if environment.get(f"{begin}user")
    ]


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"environment_users": environment_users}
