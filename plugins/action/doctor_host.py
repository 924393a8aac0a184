# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import re
import time
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.multinode.celery.plugins.module_utils._celery_managers import SERVICE_PREFIX
from ansible_collections.multinode.celery.plugins.plugin_utils.deployment import NO_FACTS, Deployment, brief, differences
from ansible_collections.multinode.celery.plugins.plugin_utils.role_files import RoleFiles, Use, uses_by_host

MODULE = "multinode.celery.doctor_host"
# A drop-in belongs to a service of somebody else, who decides whether it runs.
UNIT = re.compile(r"^/etc/systemd/system/([^/]+\.(?:service|timer))$")


class ActionModule(ActionBase):
    """Computes what the inventory sets for a host, lets the module collect what it has, and compares the two."""

    _requires_connection = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Collect; a host that cannot be reached or asked is a result like any other.

        :param task_vars: variables of the task.
        :returns: what is expected of the host, what it reported, and where the two differ.
        """
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        given = dict(self._task.args)
        host = self._vars["inventory_hostname"]
        groups = {name: list(hosts) for name, hosts in self._vars["groups"].items()}
        self._files = RoleFiles(self._loader)
        uses = uses_by_host(self._files.uses(given.pop("playbook", "")), groups)
        roles = uses.get(host, [])
        plan = self._deployment(host, roles, NO_FACTS)
        entries = plan.entries()
        expected, args = self._wanted(plan, entries, groups)
        result: dict[str, t.Any] = {"changed": False, "status": "ok", "message": "", "expected": expected}
        before = time.time()
        try:
            answer = self._execute_module(module_name=MODULE, module_args={**given, **args}, task_vars=self._vars)
        except AnsibleConnectionFailure as exc:
            return {**result, "status": "unreachable", "message": brief(exc)}
        after = time.time()
        if "report" not in answer:
            message = str(answer.get("msg") or answer.get("module_stderr") or "it gave no report")
            return {**result, "status": "unreachable" if answer.get("unreachable") else "failed", "message": message.strip()[:500]}
        report = answer["report"]
        late = max(before - report["time"], report["time"] - after, 0.0)
        result.update(report=report, clock_offset_seconds=round(late if report["time"] > after else -late, 1))
        # A host that is cut off together with an old master must not be the one that asks the workers.
        tried = [one["status"] == "ok" for one in report.get("connections", []) if one["kind"] == "redis"]
        result["logged_in"] = 2 * sum(tried) > len(tried)
        result.update(self._compare(host, roles, report))
        return result

    def _deployment(self, host: str, roles: list[Use], facts: dict[str, t.Any]) -> Deployment:
        hostvars = self._vars["hostvars"]
        return Deployment(self._files, self._templar, hostvars.raw_get(host), hostvars, roles, facts).read_tasks()

    def _compare(self, host: str, roles: list[Use], report: dict[str, t.Any]) -> dict[str, t.Any]:
        """Render what the host should have, now that its facts are known; contents never leave this method."""
        real = self._deployment(host, roles, report.get("facts") or NO_FACTS)
        unknown: dict[str, str] = {}
        wanted = real.entries()
        for path, entry in wanted.items():
            if entry["kind"] == "file" and entry["force"]:
                try:
                    entry["sha256"] = hashlib.sha256(real.content(path, entry).encode()).hexdigest()
                except (AnsibleError, OSError) as exc:
                    unknown[path] = brief(exc)
        drained = report.get("program", {}).get("drained")
        # What is drained for maintenance is not expected to answer.
        nodes = [node["node"] for node in real.value("celery_worker_nodes") or [] if isinstance(node, dict)]
        return {"differences": differences(wanted, report.get("paths") or {}), "not_compared": {**unknown, **real.unknown}, "nodes": [] if drained else nodes}

    def _wanted(
        self, plan: Deployment, entries: dict[str, dict[str, t.Any]], groups: dict[str, list[str]]
    ) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        """Return what is expected of the host, and the arguments that make the module look at it."""
        services = self._services(plan, entries)
        brokers = self._brokers(plan, groups)
        expected: dict[str, t.Any] = {"roles": plan.roles, "brokers": brokers, "nodes": [], "queues": [], "sysctl": {}}
        args: dict[str, t.Any] = {"services": services, "paths": list(entries), "brokers": brokers}
        if "limits" in plan.roles:
            expected["sysctl"] = plan.value("limits_sysctl") or {}
            args["sysctl"] = list(expected["sysctl"])
        if "celery_app" in plan.roles:
            args["program"] = self._program(plan, expected)
        if "celery_worker" in plan.roles:
            expected["nodes"] = [
                {key: node[key] for key in ("name", "node", "service", "queues", "log_file")} for node in plan.value("celery_worker_nodes") or []
            ]
        if "redis" in plan.roles:
            args["redis"] = self._server(plan, "cluster_address", "cluster_redis_port", "redis_admin_user", "redis_admin_password")
        if "redis_sentinel" in plan.roles:
            names = ("cluster_address", "cluster_sentinel_port", "redis_sentinel_admin_user", "redis_sentinel_admin_password")
            args["sentinel"] = self._server(plan, *names)
        for server in (args.get("redis"), args.get("sentinel")):
            if server:
                server["tls"] = brokers.get("tls", {})
        if "firewall" in plan.roles and plan.value("firewall_enabled"):
            args["firewall"] = {"table": plan.value("firewall_table_name"), "path": plan.value("firewall_rules_path")}
        expected["problems"] = dict(plan.problems)
        return expected, args

    def _server(self, plan: Deployment, *names: str) -> dict[str, t.Any]:
        values = [plan.value(name) for name in names]
        if None in values:
            return {}
        return {"host": self._vars["inventory_hostname"], **dict(zip(("address", "port", "user", "password"), values))}

    @staticmethod
    def _services(plan: Deployment, entries: dict[str, dict[str, t.Any]]) -> list[dict[str, t.Any]]:
        """Return the services that the roles name, and those whose definition they place."""
        found: dict[str, dict[str, t.Any]] = {}
        for role in plan.roles:
            restart = list(plan.value(f"{role}_restart_paths") or [])
            for process in plan.value(f"{role}_limited_units") or []:
                unit, program = process.get("unit"), process.get("program")
                definition = f"/etc/systemd/system/{unit}" if unit else f"/etc/supervisor/conf.d/{program}.conf"
                found[unit or program] = {**process, "paths": [definition, *restart]}
            for path, entry in entries.items():
                unit_file = UNIT.match(path)
                if unit_file and entry["kind"] == "file" and entry["role"] == role:
                    found.setdefault(unit_file[1], {"unit": unit_file[1], "paths": [path, *restart]})
        return list(found.values())

    def _brokers(self, plan: Deployment, groups: dict[str, list[str]]) -> dict[str, t.Any]:
        """Return where every Redis and Sentinel is that this host depends on."""
        hosts = groups.get((plan.value("cluster_groups") or {}).get("brokers", ""), [])
        connection = plan.value("cluster_connection")
        if not hosts or not connection:
            return {}
        hostvars = self._vars["hostvars"]
        first = Deployment(self._files, self._templar, hostvars.raw_get(hosts[0]), hostvars, ["redis_sentinel"], NO_FACTS)
        try:
            return {
                "nodes": connection["nodes"], "sentinel_nodes": connection["nodes"],
                "port": int(connection["redis_port"]), "sentinel_port": int(connection["sentinel_port"]),
                "master_name": connection["master_name"], "quorum": first.value("redis_sentinel_quorum"), "tls": connection["tls"],
            }  # fmt: skip
        except (TypeError, ValueError) as exc:
            plan.problems["brokers"] = brief(exc)
            return {}

    @staticmethod
    def _program(plan: Deployment, expected: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return where the application's programs find their configuration, and who they are."""
        environment = plan.value("cluster_environment") or {}
        expected["environment"] = {key: str(environment.get(key, "")) for key in ("name", "vhost", "key_prefix", "user")}
        expected["queues"] = plan.value("celery_app_queues") or []
        # A host that only talks to the cluster has no release.
        expected["release"] = (plan.value("celery_app_version") or "") if "celery_app" in plan.whole else ""
        paths = plan.value("cluster_paths") or {}
        expected["app"] = {
            "name": plan.value("cluster_app_name"), "user": plan.value("cluster_app_user"),
            "directory": paths.get("app_directory", ""), "config_directory": paths.get("config_directory", ""),
        }  # fmt: skip
        return {
            "environment_file": paths.get("environment_file", ""),
            "config_file": paths.get("settings_file", ""),
            "current": paths.get("current_release", ""),
            "user": expected["environment"]["user"],
            "vhost": expected["environment"]["vhost"],
            "sentinel_user": plan.value("cluster_sentinel_client_user") or "",
            "drain_marker": paths.get("drain_marker", ""),
            "node_globs": [f"/etc/systemd/system/{SERVICE_PREFIX}*.service", f"/etc/supervisor/conf.d/{SERVICE_PREFIX}*.conf"],
        }
