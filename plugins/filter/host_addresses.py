# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import socket
import typing as t
import zlib

from ansible.errors import AnsibleFilterError


@functools.lru_cache(maxsize=1024)
def resolve(name: str) -> str:
    """Return the IPv4 address of a name as the controller sees it; an address is returned as it is.

    :raises OSError: when the name has no IPv4 address.
    """
    return str(socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])


def rotation(count: int, seed: str) -> int:
    """Return where a host begins in a list of ``count`` entries; the same host always begins at the same place."""
    return zlib.crc32(seed.encode()) % count if count and seed else 0


def literal(value: t.Any) -> str:
    """Return a value that is ready to use, and nothing for a template or a value that is not a string."""
    return value if isinstance(value, str) and "{{" not in value and "{%" not in value else ""


def _own_address(hostvars: t.Any, host: str, variable: str) -> str:
    """Return the address that the inventory states for a host, without templating a role's default."""
    # A default may itself call this filter, so only the raw value may be looked at.
    raw = hostvars.raw_get(host) if hasattr(hostvars, "raw_get") else hostvars[host]
    stated = literal(raw.get(variable))
    if stated:
        return stated
    address = raw.get("ansible_host")
    if address and not literal(address):
        address = hostvars[host]["ansible_host"]
    return str(address or host)


def host_addresses(hosts: t.Any, hostvars: t.Any, address_variable: str = "cluster_address", seed: str = "") -> list[dict[str, str]]:
    """List the brokers with the addresses at which programs reach them."""
    if not isinstance(hosts, (list, tuple)):
        raise AnsibleFilterError("multinode.celery.host_addresses wants the list of a group's hosts, for example groups['brokers']")
    nodes = []
    for host in hosts:
        try:
            name = _own_address(hostvars, host, address_variable)
            nodes.append({"host": str(host), "address": resolve(name)})
        except (KeyError, OSError) as exc:
            raise AnsibleFilterError(
                f"the address of broker {host} cannot be found ({exc}): set ansible_host or {address_variable} of {host} to its IPv4 address"
            ) from exc
    start = rotation(len(nodes), seed)
    return nodes[start:] + nodes[:start]


class FilterModule:
    """Addresses of the brokers of an inventory."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file by name."""
        return {"host_addresses": host_addresses}
