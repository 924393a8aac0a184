#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_restore
short_description: Restore the pending messages of a dump into running brokers
version_added: "1.0.0"
description:
  - Checks a dump, loads it into a Redis of its own that nobody else can reach, and copies from there to the master.
    No broker is stopped, and the replicas follow as they do with any write.
  - Waiting messages and bindings are added; of everything else only what the master lacks is copied. Replies to remote control are left out.
  - Refuses where messages wait or are unacknowledged, unless O(overwrite=true).
  - A message that was executed after the dump was made is executed again.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.group
options:
  path:
    description: Dump on this host.
    type: path
    required: true
  sha256:
    description: Checksum of the dump. Read from the file beside it, with C(.sha256) added, when it is empty.
    type: str
    default: ""
  key_prefixes:
    description: Beginnings of the keys that are restored, such as the key prefix of one environment. All keys when it is empty.
    type: list
    elements: str
    default: []
  overwrite:
    description: Whether messages that wait now, with those unacknowledged, are deleted first.
    type: bool
    default: false
  work_directory:
    description: Directory below which the dump is loaded.
    type: path
    default: /var/lib/redis-broker
  user:
    description: System user as whom the dump is loaded.
    type: str
    default: redis
attributes:
  check_mode:
    details: Checks the dump and the queues, and reports that it would restore.
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Restore pending messages of one environment
  multinode.celery.redis_restore:
    brokers: "{{ redis_connection }}"
    path: /var/backups/redis-broker/celery-20261122T180000Z.rdb
    key_prefixes: ["prod:"]
"""

RETURN = r"""
messages:
  description: Number of waiting messages restored.
  type: int
  returned: success
queues:
  description: Number of messages restored by database and queue.
  type: dict
  returned: success
  sample: {"0/prod:default": 120}
unacked:
  description: Number of unacknowledged messages of the dump. Workers get them once the visibility timeout is over.
  type: int
  returned: success
restored_keys:
  description: Number of keys restored.
  type: int
  returned: success
kept_keys:
  description: Number of keys of the dump that exist already and were left as they are.
  type: int
  returned: success
overwritten:
  description: Queues that were deleted first, with their lengths.
  type: dict
  returned: success
seconds:
  description: How long it took, in seconds.
  type: float
  returned: success
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_copy as cp
from ansible_collections.multinode.celery.plugins.module_utils import _redis_group as rg
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt


class RestoreError(Exception):
    """A dump that cannot be restored."""


def checksum_of(path: str) -> str:
    """Return the checksum of a file."""
    checksum = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            checksum.update(block)
    return checksum.hexdigest()


def check_dump(module: AnsibleModule, path: str, sha256: str) -> None:
    """Check that a file is the dump that was made, and that Redis can read it."""
    if not os.path.isfile(path):
        raise RestoreError(f"{path} does not exist on this host")
    if not sha256:
        try:
            with open(f"{path}.sha256", encoding="utf-8") as handle:
                sha256 = handle.read().split()[0]
        except (OSError, IndexError) as exc:
            raise RestoreError(f"the checksum of {path} is not known: give it, or put it into {path}.sha256") from exc
    found = checksum_of(path)
    if found != sha256.lower():
        raise RestoreError(f"{path} is not what was saved: its checksum is {found}, it should be {sha256}")
    code, out, err = module.run_command(["redis-check-rdb", path])
    if code:
        raise RestoreError(f"redis-check-rdb finds {path} to be no good: {(out + err)[-500:]}")


def describe(places: dict[tuple[int, bytes], int]) -> dict[str, int]:
    """Return queues and their lengths for a message."""
    return {f"{database}/{cp.text(key)}": length for (database, key), length in sorted(places.items())}


@contextlib.contextmanager
def loaded(module: AnsibleModule, databases: str) -> t.Iterator[rc.RedisClient]:
    """Load the dump into a Redis that listens on a socket of its own only, and remove every trace afterwards."""
    params = module.params
    work = tempfile.mkdtemp(prefix="restore-", dir=params["work_directory"])
    path = os.path.join(work, "redis.sock")
    try:
        shutil.copyfile(params["path"], os.path.join(work, "dump.rdb"))
        for name in (work, os.path.join(work, "dump.rdb")):
            shutil.chown(name, params["user"])
        options = {
            "port": "0", "unixsocket": path, "unixsocketperm": "700", "dir": work, "dbfilename": "dump.rdb", "appendonly": "no", "save": "",
            "databases": databases, "daemonize": "yes", "logfile": os.path.join(work, "log"), "pidfile": os.path.join(work, "pid"),
        }  # fmt: skip
        argv = [word for name, value in options.items() for word in (f"--{name}", value)]
        module.run_command(["runuser", "-u", params["user"], "--", "redis-server", *argv], check_rc=True, cwd="/")
        try:
            client = rc.open_client(path, 0, "default", [], timeout=60, wait=params["wait_seconds"])
        except rc.Unavailable as exc:
            with open(os.path.join(work, "log"), encoding="utf-8", errors="replace") as handle:
                raise RestoreError(f"the dump was not loaded in {params['wait_seconds']:g} s: {handle.read()[-500:]}") from exc
        with client:
            try:
                yield client
            finally:
                # It answers with the end of the connection.
                with contextlib.suppress(rc.Unavailable):
                    client.command("SHUTDOWN", "NOSAVE")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_room(source: rc.RedisClient, target: rc.RedisClient) -> None:
    """Check that the master has room for what is in the dump."""
    needed = int(rc.parse_info(source.command("INFO", "memory"))["used_memory_dataset"])
    memory = rc.parse_info(target.command("INFO", "memory"))
    most = int(memory["maxmemory"])
    if most and int(memory["used_memory"]) + needed > most:
        raise RestoreError(f"the dump takes {needed} bytes of memory, and the master has {most - int(memory['used_memory'])} left")


def restore(module: AnsibleModule) -> dict[str, t.Any]:
    """Check, load, copy, and return the module's result."""
    params, begin = module.params, time.monotonic()
    prefixes = params["key_prefixes"]
    # In check mode the dump may not have been sent yet.
    if not module.check_mode or os.path.exists(params["path"]):
        check_dump(module, params["path"], params["sha256"])
    group = rg.Group(params)
    decision, *unused = rt.find_master(group.redis, group.sentinel, group.name, group.timeout, params["wait_seconds"])
    if decision.state != "found":
        raise RestoreError(decision.message or "no broker runs")
    group.timeout = 60
    with group.open(decision.address.rsplit(":", 1)[0]) as master:
        databases = rc.pairs(master.command("CONFIG", "GET", "databases"))["databases"]
        waiting = cp.live_queues(master, prefixes)
        if waiting and not params["overwrite"]:
            sizes = ", ".join(f"{name} ({length})" for name, length in describe(waiting).items())
            raise RestoreError(f"messages wait in the brokers: {sizes}. Let them be consumed, or choose to overwrite them, which deletes them")
        result: dict[str, t.Any] = {"changed": True, "overwritten": describe(waiting)}
        if module.check_mode:
            return {**result, "messages": 0, "queues": {}, "unacked": 0, "restored_keys": 0, "kept_keys": 0, "seconds": 0.0}
        with loaded(module, databases) as source:
            master.raw = False
            check_room(source, master)
            cp.drop_queues(master, waiting)
            copied = cp.copy(source, master, prefixes)
        master.raw = False
        following = len(rc.replicas(rc.parse_info(master.command("INFO", "replication"))))
        if following and not master.command("WAIT", 1, 10000):
            raise RestoreError("everything was copied, but no replica confirmed it in 10 s")
    result.update(messages=copied.messages, queues=copied.queues, unacked=copied.unacked, restored_keys=copied.keys, kept_keys=copied.kept)
    result["seconds"] = round(time.monotonic() - begin, 2)
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **rm.group_options(),
            "path": {"type": "path", "required": True},
            "sha256": {"type": "str", "default": ""},
            "key_prefixes": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "overwrite": {"type": "bool", "default": False},
            "work_directory": {"type": "path", "default": "/var/lib/redis-broker"},
            "user": {"type": "str", "default": "redis"},
        },
        supports_check_mode=True,
    )
    try:
        result = restore(module)
    except (rc.ReplyError, rc.Unavailable, RestoreError, OSError) as exc:
        module.fail_json(msg=f"The dump is not restored: {exc}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
