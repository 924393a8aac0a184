# Copyright (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may reach which ports of a host, worked out from the groups of an inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: firewall_port_rules
short_description: List the ports of a host with the addresses that may reach them
version_added: "1.0.0"
author:
  - multinode.celery contributors (@multinode)
description:
  - Picks the port rules that a host has, and turns the groups that may use each into addresses.
  - The addresses of a host are its variables C(firewall_address) and C(cluster_address) where the inventory sets them to plain values,
    and its C(ansible_host), or its name where it has none. Names are resolved on the controller, to IPv4 and IPv6 addresses.
  - An address that a network of the same port rule covers is left out.
positional: group_names, groups, hostvars
options:
  _input:
    description: The port rules of all hosts.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the port rule, in lower case.
        type: str
        required: true
      ports:
        description: Its TCP and UDP ports.
        type: list
        elements: int
        required: true
      hosts:
        description: Groups whose hosts have this port rule; all hosts where it is missing.
        type: list
        elements: str
      groups:
        description: Groups whose hosts may use it. One that does not exist is passed over.
        type: list
        elements: str
      allowed:
        description: Further names, addresses and networks that may use it.
        type: list
        elements: str
  group_names:
    description: The variable C(group_names) of the host.
    type: list
    elements: str
    required: true
  groups:
    description: The variable C(groups).
    type: dict
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Report the hosts that may reach the node exporter
  ansible.builtin.debug:
    msg: "{{ port_rules | multinode.celery.firewall_port_rules(group_names, groups, hostvars) }}"
  vars:
    port_rules:
      - name: node
        ports: [9100]
        groups: [monitoring]
"""

RETURN = r"""
_value:
  description: Each port rule that the host has, with C(name), C(ports), and the addresses C(ipv4) and C(ipv6) that may use it.
  type: list
  elements: dict
"""

import collections.abc as c
import functools
import ipaddress
import re
import socket
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.multinode.celery.plugins.filter.host_addresses import literal

NAME = re.compile(r"^[a-z][a-z0-9_]{0,40}$")
STATED = ("firewall_address", "cluster_address")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@functools.lru_cache(maxsize=4096)
def networks_of(text: str) -> tuple[Network, ...]:
    """Return what a network, an address or a name stands for.

    :raises OSError: when the name is not known.
    :raises ValueError: when a network has bits of a host.
    """
    if "/" in text:
        return (ipaddress.ip_network(text),)
    try:
        return (ipaddress.ip_network(text),)
    except ValueError:
        found = socket.getaddrinfo(text, None, 0, socket.SOCK_STREAM)
        return tuple(sorted({ipaddress.ip_network(str(entry[4][0])) for entry in found if "%" not in str(entry[4][0])}, key=str))


def addresses_of(host: str, hostvars: t.Any) -> set[str]:
    """Return what the inventory sets as the address of a host, without templating the defaults of roles."""
    raw = hostvars.raw_get(host) if hasattr(hostvars, "raw_get") else hostvars[host]
    address = raw.get("ansible_host")
    if address and not literal(address):
        address = hostvars[host]["ansible_host"]
    return {str(address or host), *(literal(raw.get(name)) for name in STATED)} - {""}


def without_covered(networks: c.Iterable[t.Any]) -> list[str]:
    """Return single addresses and networks in order, none inside another; all are of one version of IP."""
    unique = set(networks)
    wide = [network for network in unique if network.prefixlen < network.max_prefixlen]
    # Adjacent hosts stay two entries, so that a reader finds each address; only networks are merged.
    merged = list(ipaddress.collapse_addresses(wide)) if wide else []
    single = [one for one in unique if one.prefixlen == one.max_prefixlen and not any(one.subnet_of(network) for network in merged)]
    ordered = sorted([*merged, *single], key=lambda network: (int(network.network_address), network.prefixlen))
    return [str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network) for network in ordered]


def _resolved(text: str, port_rule: str, variable: str) -> tuple[Network, ...]:
    try:
        return networks_of(text)
    except (OSError, ValueError) as exc:
        raise AnsibleFilterError(f"port rule {port_rule} of the firewall: {text} is no address, network or known name ({exc}): {variable}") from exc


def firewall_port_rules(port_rules: t.Any, group_names: t.Any, groups: t.Any, hostvars: t.Any) -> list[dict[str, t.Any]]:
    """List the port rules of a host with the addresses that may use them."""
    found: list[dict[str, t.Any]] = []
    known: dict[str, set[str]] = {}
    for rule in port_rules:
        name = str(rule["name"])
        if not NAME.match(name):
            raise AnsibleFilterError(f"port rule {name!r} of the firewall: a name is made of lower case letters, digits and underscores")
        if name in [other["name"] for other in found]:
            raise AnsibleFilterError(f"port rule {name} of the firewall is there twice: give each of firewall_extra_port_rules a name of its own")
        on = rule.get("hosts")
        if on is not None and not set(on) & set(group_names):
            continue
        networks: set[Network] = set()
        for host in dict.fromkeys(host for group in rule.get("groups") or [] for host in groups.get(group, [])):
            if host not in known:
                known[host] = addresses_of(host, hostvars)
            for address in known[host]:
                networks.update(_resolved(address, name, f"set ansible_host or firewall_address of {host} to its address"))
        for text in rule.get("allowed") or []:
            networks.update(_resolved(str(text), name, "correct the list of allowed addresses"))
        found.append(
            {
                "name": name,
                "ports": sorted({int(port) for port in rule["ports"]}),
                "ipv4": without_covered(network for network in networks if network.version == 4),
                "ipv6": without_covered(network for network in networks if network.version == 6),
            }
        )
    return found


class FilterModule:
    """Port rules of the firewall."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file by name."""
        return {"firewall_port_rules": firewall_port_rules}
