# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _redis_client as rc
from ansible_collections.multinode.celery.plugins.module_utils import _redis_topology as rt


def tls_option() -> dict[str, t.Any]:
    """Return the option that names the files for TLS; without it connections are plain."""
    names = ("ca_path", "certificate_path", "key_path")
    # A path of a key is no secret.
    paths = {name: {"type": "path", "default": "", "no_log": False} for name in names}
    return {"type": "dict", "default": {}, "options": paths}


def group_options() -> dict[str, t.Any]:
    """Return the options by which a module gets the whole group of brokers."""
    nodes = {
        "type": "list",
        "elements": "dict",
        "options": {"host": {"type": "str", "required": True}, "address": {"type": "str", "required": True}},
    }
    brokers = {
        "nodes": {**nodes, "required": True},
        "port": {"type": "int", "default": 6379},
        "user": {"type": "str", "default": "admin"},
        "password": {"type": "str", "required": True, "no_log": True},
        "previous_password": {"type": "str", "default": "", "no_log": True},
        "sentinel_nodes": nodes,
        "sentinel_port": {"type": "int", "default": 26379},
        "sentinel_user": {"type": "str", "default": "admin"},
        "sentinel_password": {"type": "str", "required": True, "no_log": True},
        "sentinel_previous_password": {"type": "str", "default": "", "no_log": True},
        "master_name": {"type": "str", "default": "celery"},
        "tls": tls_option(),
    }
    return {
        "brokers": {"type": "dict", "required": True, "options": brokers},
        "timeout_seconds": {"type": "float", "default": 2.0},
        "wait_seconds": {"type": "float", "default": 30.0},
    }


def server_options(port: int) -> dict[str, t.Any]:
    """Return the options by which a module gets one server."""
    return {
        "address": {"type": "str", "default": "127.0.0.1"},
        "port": {"type": "int", "default": port},
        "user": {"type": "str", "default": "admin"},
        "password": {"type": "str", "required": True, "no_log": True},
        "previous_password": {"type": "str", "default": "", "no_log": True},
        "tls": tls_option(),
        "acl": {"type": "str", "default": "", "no_log": True},
        "wait_seconds": {"type": "float", "default": 30.0},
    }


def process_options() -> dict[str, t.Any]:
    """Return the option by which a module gets what a server reads only when it starts."""
    return {"definition_paths": {"type": "list", "elements": "path", "default": []}}


def services(brokers: dict[str, t.Any]) -> tuple[rt.Service, rt.Service]:
    """Return the two services that the option C(brokers) describes."""
    tls = tls_files(brokers["tls"])
    redis = rt.Service(brokers["nodes"], brokers["port"], brokers["user"], [brokers["password"], brokers["previous_password"]], tls)
    sentinel_nodes = brokers["nodes"] if brokers["sentinel_nodes"] is None else brokers["sentinel_nodes"]
    sentinel_passwords = [brokers["sentinel_password"], brokers["sentinel_previous_password"]]
    return redis, rt.Service(sentinel_nodes, brokers["sentinel_port"], brokers["sentinel_user"], sentinel_passwords, tls)


def tls_files(option: dict[str, str] | None) -> dict[str, str]:
    """Return the files that the option C(tls) names, nothing where connections are plain."""
    return dict(option) if option and option.get("ca_path") else {}


def open_server(params: dict[str, t.Any]) -> rc.RedisClient:
    """Open the server that :func:`server_options` describe, while it may still be starting."""
    passwords = [params["password"], params["previous_password"]]
    return rc.open_client(params["address"], params["port"], params["user"], passwords, wait=params["wait_seconds"], tls=tls_files(params["tls"]))


def configure(
    module: AnsibleModule, server: str, apply: t.Callable[[rc.RedisClient, dict[str, t.Any], bool], dict[str, t.Any]]
) -> dict[str, t.Any]:
    """Return what ``apply`` returns for one server; in check mode one that does not run yet counts as up to date.

    :param server: what messages call it.
    """
    params, check_mode = module.params, module.check_mode
    try:
        with open_server(params if not check_mode else {**params, "wait_seconds": 0}) as client:
            return apply(client, params, check_mode)
    except rc.Unavailable as exc:
        if not (check_mode and exc.reason == rc.REFUSED):
            module.fail_json(msg=f"{server} cannot be asked for its settings: {exc}")
    except rc.ReplyError as exc:
        module.fail_json(msg=f"{server} refuses a setting or a user: {exc}")
    message = f"{server} does not run yet, and will start with these settings"
    return {"changed": False, "settings": [], "users": [], "restart_paths": [], "restart_required": False, "msg": message}
