# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of a file set, one for each node."""

from __future__ import annotations

DOCUMENTATION = r"""
name: celery_node_files
short_description: Make the entries of a file set from worker nodes
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Gives each node its own definition file, rendered from one template with the node as the variable C(node).
positional: path, src
options:
  _input:
    description: Nodes as the filter P(multinode.celery.celery_nodes#filter) returns them.
    type: list
    elements: dict
    required: true
  path:
    description: Path of the definition on the target; C({service}) and C({name}) stand for those keys of the node.
    type: str
    required: true
  src:
    description: Template, relative to the role's templates.
    type: str
    required: true
seealso:
  - module: multinode.celery.file_set
"""

EXAMPLES = r"""
- name: Write one unit for each node
  multinode.celery.file_set:
    files: >-
      {{ celery_worker_nodes | multinode.celery.celery_node_files(
           '/etc/systemd/system/{service}.service', 'etc/systemd/system/celery-worker.service.j2') }}
"""

RETURN = r"""
_value:
  description: Entries for C(files) of M(multinode.celery.file_set).
  type: list
  elements: dict
"""

import typing as t


def celery_node_files(nodes: t.Sequence[t.Mapping[str, t.Any]], path: str, src: str) -> list[dict[str, t.Any]]:
    """Filter entry point."""
    return [
        {
            "path": str(path).format(service=node["service"], name=node["name"]),
            "src": src,
            "vars": {"node": node},
        }
        for node in nodes
    ]


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"celery_node_files": celery_node_files}
