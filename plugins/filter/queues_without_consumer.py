# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queues that lose their last consumer."""

from __future__ import annotations

DOCUMENTATION = r"""
name: queues_without_consumer
short_description: Name the queues that nobody consumes when some hosts are away
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Compares the queues of the nodes that leave with those of the nodes that stay.
positional: hosts
options:
  _input:
    description: Nodes of all workers, as the filter P(multinode.celery.celery_nodes#filter) returns them.
    type: list
    elements: dict
    required: true
  hosts:
    description: Hosts that leave.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Report queues without a consumer if io-1 is gone
  ansible.builtin.debug:
    msg: "{{ nodes | multinode.celery.queues_without_consumer(['io-1']) }}"
"""

RETURN = r"""
_value:
  description: Names of queues, sorted.
  type: list
  elements: str
"""

import typing as t


def queues_without_consumer(nodes: t.Sequence[t.Mapping[str, t.Any]], hosts: t.Sequence[str]) -> list[str]:
    """Filter entry point."""
    leaving: set[tuple[str, str]] = set()
    staying: set[tuple[str, str]] = set()
    for node in nodes:
        (leaving if node["host"] in hosts else staying).update((node["environment_name"], queue) for queue in node["queues"])
    return sorted({queue for _environment, queue in leaving - staying})


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"queues_without_consumer": queues_without_consumer}
