# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells about itself, read without changing anything and in bounded time."""

from __future__ import annotations

import concurrent.futures
import functools
import grp
import hashlib
import os
import pwd
import re
import stat
import threading
import typing as t

from ansible_collections.multinode.celery.plugins.module_utils import _environment_file
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt
from ansible_collections.multinode.celery.plugins.module_utils._limits import nofile_of
from ansible_collections.multinode.celery.plugins.module_utils._processes import newer_path, stat_fields

UNIT_PROPERTIES = "Id,LoadState,ActiveState,SubState,Result,MainPID,Type,UnitFileState"
REDIS_FIELDS = (
    "redis_version", "loading", "used_memory", "maxmemory", "connected_clients", "maxclients", "aof_last_write_status",
    "aof_last_bgrewrite_status", "rdb_last_bgsave_status", "min_slaves_good_slaves", "connected_slaves", "uptime_in_seconds",
)  # fmt: skip
CONFIG_NAMES = {"_VHOST": "vhost", "_KEY_PREFIX": "key_prefix", "_USER": "user"}


def read(path: str) -> str:
    """Return the text of a file, nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def bounded(function: t.Callable[[], t.Any], seconds: float) -> t.Any:
    """Return what a function returns, None where it takes too long, as on a file system that hangs."""
    answer: list[t.Any] = []
    thread = threading.Thread(target=lambda: answer.append(function()), daemon=True)
    thread.start()
    thread.join(seconds)
    return answer[0] if answer else None


def meminfo(text: str) -> dict[str, int]:
    """Return the fields of C(/proc/meminfo) in MiB."""
    return {name: int(amount) // 1024 for name, amount in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


def release_facts(text: str) -> dict[str, str]:
    """Return Ansible's facts on the distribution from the text of C(/etc/os-release)."""
    fields = _environment_file.parse(text)
    version = fields.get("VERSION_ID", "")
    return {
        "distribution": fields.get("ID", "").capitalize(),
        "distribution_version": version,
        "distribution_major_version": version.partition(".")[0],
        "distribution_release": fields.get("VERSION_CODENAME", ""),
    }


def facts() -> dict[str, t.Any]:
    """Return the few facts that the roles' templates need, under Ansible's names."""
    return {
        **release_facts(read("/etc/os-release")),
        "processor_nproc": len(os.sched_getaffinity(0)),
        "memtotal_mb": meminfo(read("/proc/meminfo")).get("MemTotal", 0),
        "hostname": os.uname().nodename.partition(".")[0],
        "nodename": os.uname().nodename,
        "architecture": os.uname().machine,
        "os_family": "Debian",
        "service_mgr": "systemd",
    }


def disk(path: str) -> dict[str, t.Any] | None:
    """Return size and free share of the file system that holds a path, or its nearest existing parent."""
    while not os.path.exists(path) and path != "/":
        path = os.path.dirname(path)
    try:
        size, device = os.statvfs(path), os.stat(path).st_dev
    except OSError:
        return None
    return {
        "path": path,
        "device": device,
        "size_mb": size.f_blocks * size.f_frsize >> 20,
        "free_mb": size.f_bavail * size.f_frsize >> 20,
        "free_percent": round(100 * size.f_bavail / size.f_blocks, 1) if size.f_blocks else 100.0,
        "free_inodes_percent": round(100 * size.f_favail / size.f_files, 1) if size.f_files else 100.0,
    }


def disks(paths: t.Iterable[str], seconds: float) -> list[dict[str, t.Any]]:
    """Return each file system once; one that does not answer is listed by its path alone."""
    found: dict[t.Any, dict[str, t.Any]] = {}
    for path in paths:
        answer = bounded(functools.partial(disk, path), seconds)
        if answer:
            found.setdefault(answer["device"], answer)
        else:
            found[path] = {"path": path, "hangs": True}
    return list(found.values())


def process(pid: int, paths: t.Iterable[str]) -> dict[str, t.Any]:
    """Return the state of a process, its limit of open files, how many it has, and what is newer than it."""
    limits = nofile_of(read(f"/proc/{pid}/limits"))
    try:
        opened = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        opened = 0
    return {
        "pid": pid,
        "state": "".join(stat_fields(pid)[:1]),
        "nofile": limits[0] if limits else 0,
        "opened": opened,
        "newer": newer_path(pid, paths),
    }


def describe(path: str) -> dict[str, t.Any] | None:
    """Return what is at a path, None for nothing; of a file's content only its digest."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return {"kind": "link", "target": os.readlink(path)}
        found: dict[str, t.Any] = {"mode": f"{stat.S_IMODE(status.st_mode):04o}", "owner": _owner(status.st_uid), "group": _group(status.st_gid)}
        if not stat.S_ISREG(status.st_mode):
            return {**found, "kind": "directory" if stat.S_ISDIR(status.st_mode) else "special file"}
        with open(path, "rb") as stream:
            return {**found, "kind": "file", "sha256": hashlib.sha256(stream.read()).hexdigest()}
    except OSError:
        return None


def _owner(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def configured(text: str) -> dict[str, str]:
    """Return the environment that a deployed configuration module names."""
    found = dict(re.findall(r"^(_VHOST|_KEY_PREFIX|_USER) = (.+)$", text, re.MULTILINE))
    return {name: found[variable].strip().strip("\"'") for variable, name in CONFIG_NAMES.items() if variable in found}


def passwords(text: str) -> dict[str, str]:
    """Return the variables of an environment file."""
    try:
        return _environment_file.parse(text)
    except ValueError:
        return {}


def try_redis(node: dict[str, str], port: int, user: str, password: str, vhost: str, timeout: float, tls: rc.TlsFiles = None) -> None:
    """Do what a program does first: log in and choose its database; without a user only connect.

    :raises Unavailable: when it is refused.
    """
    with rc.RedisClient(node["address"], port, timeout, tls) as client:
        if user:
            client.login(user, [password])
            client.command("SELECT", vhost or "0")
            client.command("PING")


def try_sentinel(node: dict[str, str], port: int, user: str, password: str, name: str, timeout: float, tls: rc.TlsFiles = None) -> str:
    """Ask a Sentinel for the master as a program does; without a user only connect.

    :raises Unavailable: when it is refused.
    """
    with rc.RedisClient(node["address"], port, timeout, tls) as client:
        if not user:
            return ""
        client.login(user, [password])
        address = client.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
        return ":".join(address) if address else ""


def attempt(kind: str, node: dict[str, str], port: int, function: t.Callable[[], t.Any]) -> dict[str, t.Any]:
    """Return how one connection went."""
    result = {"kind": kind, "host": node["host"], "address": node["address"], "port": port, "status": rt.OK, "message": "", "master": ""}
    try:
        result["master"] = function() or ""
    except (rc.ReplyError, rc.Unavailable) as exc:
        result.update(status=rc.failure(exc), message=str(exc))
    return result


def connections(brokers: dict[str, t.Any], program: dict[str, t.Any], secrets: dict[str, str], timeout: float) -> list[dict[str, t.Any]]:
    """Try every Redis and Sentinel at the same time, with the credentials that are deployed on this host."""
    user, sentinel_user = program.get("user", ""), program.get("sentinel_user", "")
    if not secrets:
        user = sentinel_user = ""
    password, sentinel_password = (secrets.get(f"MULTINODE_{name}_PASSWORD", "") for name in ("REDIS", "SENTINEL"))
    jobs: list[tuple[str, dict[str, str], int, t.Callable[[], t.Any]]] = []
    tls = brokers.get("tls")
    for node in brokers["nodes"]:
        port = brokers["port"]
        jobs.append(("redis", node, port, functools.partial(try_redis, node, port, user, password, program.get("vhost", ""), timeout, tls)))
    for node in brokers["sentinel_nodes"]:
        port, name = brokers["sentinel_port"], brokers["master_name"]
        jobs.append(("sentinel", node, port, functools.partial(try_sentinel, node, port, sentinel_user, sentinel_password, name, timeout, tls)))
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, min(32, len(jobs)))) as pool:
        return list(pool.map(lambda job: attempt(*job), jobs))


def redis_state(own: dict[str, t.Any], timeout: float) -> dict[str, t.Any]:
    """Return what this host's Redis reports about itself."""
    login = rt.Service([], own["port"], own["user"], [own["password"]], own.get("tls") or {})
    view = rt.ask_redis(own, login, timeout)
    state: dict[str, t.Any] = {"view": view.__dict__, "info": {}}
    if view.status == rt.OK:
        try:
            with login.open(own["address"], timeout) as client:
                info = rc.parse_info(client.command("INFO"))
                state["info"] = {name: info[name] for name in REDIS_FIELDS if name in info}
        except (rc.ReplyError, rc.Unavailable) as exc:
            view.status, view.message = rc.failure(exc), str(exc)
    return state


def sentinel_state(own: dict[str, t.Any], name: str, timeout: float) -> dict[str, t.Any]:
    """Return what this host's Sentinel reports, with the addresses that it knows."""
    login = rt.Service([], own["port"], own["user"], [own["password"]], own.get("tls") or {})
    view = rt.ask_sentinel(own, login, name, timeout)
    state: dict[str, t.Any] = {"view": view.__dict__, "sentinels": [], "replicas": []}
    if view.status == rt.OK:
        try:
            with login.open(own["address"], timeout) as client:
                for key, word in (("sentinels", "SENTINELS"), ("replicas", "REPLICAS")):
                    rows = [rc.pairs(row) for row in client.command("SENTINEL", word, name)]
                    state[key] = sorted(f"{row['ip']}:{row['port']}" for row in rows)
        except (rc.ReplyError, rc.Unavailable) as exc:
            view.status, view.message = rc.failure(exc), str(exc)
    return state
