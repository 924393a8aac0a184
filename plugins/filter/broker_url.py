# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from urllib.parse import quote

from ansible.errors import AnsibleFilterError


def broker_url(nodes: t.Any, vhost: t.Any, user: str = "", password: str = "", port: int = 26379, scheme: str = "sentinel") -> str:
    """Build the URL of a broker out of the addresses of its nodes."""
    addresses = [node["address"] if isinstance(node, dict) else str(node) for node in nodes]
    if not addresses:
        raise AnsibleFilterError("multinode.celery.broker_url was given no broker: is the broker group empty?")
    if not str(vhost).isdecimal():
        raise AnsibleFilterError(f"multinode.celery.broker_url: the vhost of a Redis broker is a database number, not {vhost!r}")
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    # Each URL carries the credentials: on a reconnect kombu reads the next one alone.
    return ";".join(f"{scheme}://{credentials}{address}:{port}/{vhost}" for address in addresses)


class FilterModule:
    """URL of a broker for Celery programs."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file by name."""
        return {"broker_url": broker_url}
