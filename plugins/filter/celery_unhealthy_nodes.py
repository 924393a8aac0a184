# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: celery_unhealthy_nodes
short_description: List the nodes that do not answer, do not consume their queues, or execute nothing
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Compares the nodes that a host should have with what the modules that asked them found.
positional: info, canaries
options:
  _input:
    description: Nodes of the host, as the filter P(multinode.celery.celery_nodes#filter) returns them.
    type: list
    elements: dict
    required: true
  info:
    description: Result of M(multinode.celery.celery_info) with the command C(active_queues).
    type: dict
    required: true
  canaries:
    description: Result of M(multinode.celery.celery_canary).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Report the unhealthy nodes of this host
  ansible.builtin.debug:
    msg: "{{ nodes | multinode.celery.celery_unhealthy_nodes(info, canaries) }}"
"""

RETURN = r"""
_value:
  description: One sentence for each node that is not well.
  type: list
  elements: str
  sample: ["video@cpu-1 does not answer"]
"""

import typing as t


def unhealthy_nodes(
    nodes: t.Sequence[t.Mapping[str, t.Any]], info: t.Mapping[str, t.Any], canaries: t.Mapping[str, t.Any]
) -> list[str]:
    """Return what is wrong with the nodes."""
    # A module that could not ask anything is one reason, not one for each node.
    unasked = [str(result.get("msg")) for result, key in ((info, "nodes"), (canaries, "rows")) if key not in result]
    if unasked:
        return unasked
    executed = {row["node"]: row["ok"] for row in canaries["rows"]}
    failures = canaries.get("failures", [])
    found = []
    for node in nodes:
        name = node["node"]
        answer = info["nodes"].get(name)
        if not answer:
            found.append(f"{name} does not answer")
            continue
        consumed = {queue["name"] for queue in answer.get("active_queues") or []}
        missing = [queue for queue in node["queues"] if queue not in consumed]
        if missing:
            found.append(f"{name} does not consume {', '.join(missing)}")
        if not executed.get(name):
            reason = next((text.partition(": ")[2] for text in failures if text.startswith(f"{name}: ")), "it was not sent")
            found.append(f"{name} did not execute its canary: {reason}")
    return found


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"celery_unhealthy_nodes": unhealthy_nodes}
