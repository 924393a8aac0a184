# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import textwrap

# An option of a server, and within the option that describes a group.
TLS = """\
  tls:
    description:
      - Files on the host that the module runs on, with which it verifies the servers and proves itself to them.
      - Connections are plain where it is empty.
    type: dict
    default: {}
    suboptions:
      ca_path:
        description: The CAs that are trusted.
        type: path
        default: ""
      certificate_path:
        description: Certificate of this host.
        type: path
        default: ""
      key_path:
        description: Key of the certificate.
        type: path
        default: ""
"""


class ModuleDocFragment:
    """Options that the modules for Redis and Sentinel share."""

    # With a type, since yamllint of ansible-test breaks on a plain assignment of more than one text.
    GROUP: str = (
        r"""
options:
  brokers:
    description:
      - How to reach every Redis and every Sentinel of the group, whether this run touches its host or not.
      - The role C(redis) offers all of it as the variable C(redis_connection).
    type: dict
    required: true
    suboptions:
      nodes:
        description: Every Redis of the group.
        type: list
        elements: dict
        required: true
        suboptions: &node
          host:
            description: Inventory name of the host.
            type: str
            required: true
          address:
            description: IPv4 address at which the server listens and which it announces.
            type: str
            required: true
      port:
        description: Port of Redis.
        type: int
        default: 6379
      user:
        description: ACL user of Redis who asks.
        type: str
        default: admin
      password:
        description: Password of O(brokers.user).
        type: str
        required: true
      previous_password:
        description: Password that O(brokers.user) had before, tried where the new one is not yet known.
        type: str
        default: ""
      sentinel_nodes:
        description: Every Sentinel. The same hosts as O(brokers.nodes) when it is not given.
        type: list
        elements: dict
        suboptions: *node
      sentinel_port:
        description: Port of the Sentinels.
        type: int
        default: 26379
      sentinel_user:
        description: ACL user of the Sentinels who asks.
        type: str
        default: admin
      sentinel_password:
        description: Password of O(brokers.sentinel_user).
        type: str
        required: true
      sentinel_previous_password:
        description: Password that O(brokers.sentinel_user) had before, tried where the new one is not yet known.
        type: str
        default: ""
      master_name:
        description: Name under which the Sentinels watch the master.
        type: str
        default: celery
"""
        + textwrap.indent(TLS, "    ")
        + """\
  timeout_seconds:
    description: How long one server may take to accept a connection or to reply.
    type: float
    default: 2.0
  wait_seconds:
    description: How long to wait for the wanted state.
    type: float
    default: 30.0
attributes:
  action_group:
    description: Use C(group/multinode.celery.brokers) in C(module_defaults) to set once how the brokers are reached.
    support: full
    membership: [multinode.celery.brokers]
"""
    )

    SERVER: str = (
        r"""
options:
  address:
    description: Address of the server.
    type: str
    default: 127.0.0.1
  user:
    description: ACL user who asks.
    type: str
    default: admin
  password:
    description: Password of O(user).
    type: str
    required: true
  previous_password:
    description: Password that O(user) had before, tried where the new one is not yet known.
    type: str
    default: ""
"""
        + TLS
        + """\
  acl:
    description:
      - Content of the server's ACL file. Users that differ are set, and users that it does not name are deleted.
      - No user is touched when it is empty. C(ACL LOAD) is never used, because Redis 7.0 then disconnects every client.
    type: str
    default: ""
  wait_seconds:
    description: How long the server may take to answer.
    type: float
    default: 30.0
"""
    )

    PROCESS = r"""
options:
  definition_paths:
    description: Files on this host that the server reads only when it starts, such as its unit. A restart is required when one is newer than the process.
    type: list
    elements: path
    default: []
"""
