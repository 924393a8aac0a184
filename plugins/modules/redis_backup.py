#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_backup
short_description: Keep a consistent dump of the brokers on one of them
version_added: "1.0.0"
description:
  - Runs on one broker, best a replica. Waits until it holds everything that the master had acknowledged when the module started,
    has it save one consistent dump in the background, checks the dump, and keeps it with its checksum and a description.
  - Deletes the oldest dumps beyond O(keep), and only once the new one is complete.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.brokers.group
options:
  host:
    description: Which of O(brokers.nodes) this is.
    type: str
    required: true
  directory:
    description: Directory on this host that holds the dumps; only root may read it.
    type: path
    required: true
  keep:
    description: How many dumps are kept.
    type: int
    default: 7
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Create a dump
  multinode.celery.redis_backup:
    brokers: "{{ redis_connection }}"
    host: "{{ inventory_hostname }}"
    directory: /var/backups/redis-broker
"""

RETURN = r"""
path:
  description: The dump. Its checksum is beside it in a file with C(.sha256) added, its description with C(.json).
  type: str
  returned: success
sha256:
  description: Checksum of the dump, empty in check mode.
  type: str
  returned: success
bytes:
  description: Size of the dump.
  type: int
  returned: success
seconds:
  description: How long it took to save, copy and check the dump, in seconds.
  type: float
  returned: success
removed:
  description: Older dumps that were deleted.
  type: list
  elements: str
  returned: success
"""

import hashlib
import json
import os
import re
import shutil
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_group as rg
from ansible_collections.multinode.celery.plugins.module_utils import _redis_module as rm
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt

SIDECARS = (".sha256", ".json")


class BackupError(Exception):
    """A dump that could not be made."""


def dump_name(name: str, moment: float) -> str:
    """Return the file name of a dump; names sort by time."""
    return f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(moment))}.rdb"


def superfluous(names: t.Iterable[str], name: str, keep: int) -> list[str]:
    """Return the dumps beyond those to keep, oldest first."""
    ours = sorted(entry for entry in names if re.fullmatch(re.escape(name) + r"-\d{8}T\d{6}Z\.rdb", entry))
    return ours[: max(0, len(ours) - max(1, keep))]


def offset_of(client: rc.RedisClient) -> int:
    """Return up to where a server holds the replication stream."""
    info = rc.parse_info(client.command("INFO", "replication"))
    return int(info["master_repl_offset"] if info["role"] == "master" else info.get("slave_repl_offset", -1))


def saving(client: rc.RedisClient) -> dict[str, str]:
    """Return what a server reports about its dumps."""
    return rc.parse_info(client.command("INFO", "persistence"))


def unfinished(state: dict[str, str], before: int) -> str:
    """Return why a dump is not complete yet. Redis counts a dump when it begins it, so the count alone proves nothing."""
    if int(state["rdb_saves"]) <= before:
        return "not begun"
    return "in progress" if state["rdb_bgsave_in_progress"] != "0" else ""


def save(client: rc.RedisClient, wait: float) -> None:
    """Have a server save a dump, and wait until it is complete."""
    if rg.wait_for(lambda: unfinished(saving(client), -1), wait):
        raise BackupError(f"another dump of it was not complete after {wait:g} s")
    before = int(saving(client)["rdb_saves"])
    client.command("BGSAVE", "SCHEDULE")
    if rg.wait_for(lambda: unfinished(saving(client), before), wait):
        raise BackupError(f"the dump was not complete after {wait:g} s")
    if saving(client)["rdb_last_bgsave_status"] != "ok":
        raise BackupError("Redis could not save its dump, its log shows why (journalctl -u redis-broker)")


def keep_file(source: str, target: str) -> str:
    """Copy a dump to where it is kept, in one step and safe from a power loss; return its checksum."""
    checksum = hashlib.sha256()
    partial = f"{target}.partial"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(source, "rb") as reading, os.fdopen(descriptor, "wb") as writing:
        while block := reading.read(1 << 20):
            checksum.update(block)
            writing.write(block)
        writing.flush()
        os.fsync(writing.fileno())
    os.rename(partial, target)
    return checksum.hexdigest()


def write(path: str, content: str) -> None:
    """Write a small file that only root may read."""
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as handle:
        handle.write(content)


def backup(module: AnsibleModule) -> dict[str, t.Any]:
    """Make the dump, and return the module's result."""
    params, begin = module.params, time.time()
    directory, wait = params["directory"], params["wait_seconds"]
    group = rg.Group(params)
    decision, *unused = rt.find_master(group.redis, group.sentinel, group.name, group.timeout, wait)
    if decision.state != "found":
        raise BackupError(decision.message or "no broker runs")
    path = os.path.join(directory, dump_name(group.name, begin))
    result: dict[str, t.Any] = {"changed": True, "path": path, "sha256": "", "bytes": 0, "seconds": 0.0, "removed": []}
    if module.check_mode:
        return result
    with group.open(decision.address.rsplit(":", 1)[0]) as master:
        wanted = offset_of(master)
    with group.open(group.address(params["host"])) as client:
        if rg.wait_for(lambda: "" if offset_of(client) >= wanted else "behind", wait):
            raise BackupError(f"{params['host']} did not reach the master's offset {wanted} in {wait:g} s")
        settings = rc.pairs(client.command("CONFIG", "GET", "*"))
        os.makedirs(directory, mode=0o700, exist_ok=True)
        needed = int(rc.parse_info(client.command("INFO", "memory"))["used_memory"])
        for place in (settings["dir"], directory):
            if shutil.disk_usage(place).free < needed:
                raise BackupError(f"{place} has less space than the {needed} bytes that Redis holds")
        keys = rc.parse_info(client.command("INFO", "keyspace"))
        version = rc.parse_info(client.command("INFO", "server"))["redis_version"]
        save(client, wait)
    saved = os.path.join(settings["dir"], settings["dbfilename"])
    result["sha256"] = keep_file(saved, path)
    # With an append-only file nothing is ever loaded from it.
    if settings["appendonly"] == "yes":
        os.unlink(saved)
    result["bytes"] = os.path.getsize(path)
    code, out, err = module.run_command(["redis-check-rdb", path])
    if code:
        os.rename(path, f"{path}.broken")
        raise BackupError(f"redis-check-rdb finds {path}.broken to be no good: {(out + err)[-500:]}")
    write(path + SIDECARS[0], f"{result['sha256']}  {os.path.basename(path)}\n")
    about = {"host": params["host"], "master_offset": wanted, "redis_version": version, "databases": keys, "bytes": result["bytes"]}
    write(path + SIDECARS[1], json.dumps(about, indent=2) + "\n")
    for name in superfluous(os.listdir(directory), group.name, params["keep"]):
        old = os.path.join(directory, name)
        for ending in ("", *SIDECARS):
            if os.path.exists(old + ending):
                os.unlink(old + ending)
        result["removed"].append(old)
    result["seconds"] = round(time.time() - begin, 2)
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **rm.group_options(),
            "host": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "keep": {"type": "int", "default": 7},
        },
        supports_check_mode=True,
    )
    try:
        result = backup(module)
    except (rc.ReplyError, rc.Unavailable, BackupError, OSError) as exc:
        module.fail_json(msg=f"There is no new backup: {exc}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
