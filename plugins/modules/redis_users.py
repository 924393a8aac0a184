#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_users
short_description: Apply the ACL users of a file to a running Redis or Sentinel, and nothing else
version_added: "1.0.0"
description:
  - Compares the users of a running server with the content of its ACL file and changes what differs with C(ACL SETUSER), which
    disconnects nobody. A user may have several passwords.
  - Leaves settings and replication alone, so that a new password can be known to every server before any of them uses it.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.server
options:
  port:
    description: Port of the server.
    type: int
    required: true
attributes:
  diff_mode:
    support: full
    details: Shows rules, never passwords or their hashes.
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Apply the ACL file to the running Redis
  multinode.celery.redis_users:
    address: "{{ cluster_address }}"
    port: "{{ cluster_redis_port }}"
    password: "{{ redis_admin_password }}"
    acl: "{{ lookup('ansible.builtin.template', 'etc/redis-broker/users.acl.j2') }}"
"""

RETURN = r"""
users:
  description: Names of the ACL users set or deleted.
  type: list
  elements: str
  returned: success
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_acl
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm


def apply(client: rc.RedisClient, acl: str, check_mode: bool) -> dict[str, t.Any]:
    """Compare, change unless in check mode, and return the module's result."""
    change = _redis_acl.compare(client, acl)
    if not check_mode:
        change.apply(client)
    return {"changed": bool(change.users), "users": change.users, "diff": {"before": change.before, "after": change.after}}


def main() -> None:
    """Run the module."""
    options = rm.server_options(0)
    options["port"] = {"type": "int", "required": True}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    try:
        with rm.open_server(module.params) as client:
            result = apply(client, module.params["acl"], module.check_mode)
    except rc.Unavailable as exc:
        module.fail_json(msg=f"The server cannot be asked for its users: {exc}")
    except rc.ReplyError as exc:
        module.fail_json(msg=f"The server refuses a user: {exc}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
