# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: celery_previous_release
short_description: Find the release that was installed before the newest one in use
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Hosts may use different releases after an update that was stopped. The newest of them by the order of installation is the one
    to leave, and the release before it is the one to go back to.
options:
  _input:
    description: Results of the module M(multinode.celery.python_release), one for each host.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Report the previous release
  ansible.builtin.debug:
    msg: "{{ [{'current': '2.0.0', 'releases': ['1.0.0', '2.0.0']}] | multinode.celery.celery_previous_release }}"
"""

RETURN = r"""
_value:
  description: The version, empty when there is none.
  type: str
"""

import typing as t


def previous_release(states: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Return the version to go back to."""
    if not states:
        return ""
    # A host that joined later lacks old releases and knows the order worse.
    order = max((state["releases"] for state in states), key=len)
    used = [order.index(state["current"]) for state in states if state["current"] in order]
    newest = max(used, default=0)
    return order[newest - 1] if newest > 0 else ""


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"celery_previous_release": previous_release}
