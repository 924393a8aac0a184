#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_nodes
short_description: Manage the state of all Celery worker nodes of a host
version_added: "1.0.0"
description:
  - Starts missing nodes, restarts nodes that run something else than what is deployed, and drains, stops
    and removes nodes that are no longer wanted, of either service manager, in one module run.
  - A node is restarted when its main process is older than its definition or than one of O(restart_paths).
    The state of the host decides, so a run that was interrupted is finished by the next one.
  - Nodes are stopped and started side by side. A started node counts as ready when its log shows it.
  - New nodes come first. Only when all of them are ready, nodes are restarted and removed, so that a new node can work
    instead of one that is restarted; when a new node does not come up, the others are left alone.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.celery.nodes
options:
  manager:
    description: Service manager that runs the nodes.
    type: str
    choices: [systemd, supervisor]
    required: true
  nodes:
    description:
      - Wanted nodes, as the filter P(multinode.celery.celery_nodes#filter) returns them.
      - The keys C(name), C(log_file) and C(log_level) are used.
    type: list
    elements: dict
    required: true
  restart_paths:
    description: Files and links besides the definition that a node reads when it starts; missing ones are ignored.
    type: list
    elements: path
    default: []
  changed_paths:
    description: Paths that earlier tasks changed; in check mode they are not newer than the processes yet.
    type: list
    elements: path
    default: []
attributes:
  diff_mode:
    support: full
author:
  - multinode.celery contributors (@multinode)
seealso:
  - module: multinode.celery.celery_drain
  - plugin: multinode.celery.celery_nodes
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Start, restart, drain and remove nodes
  multinode.celery.celery_nodes:
    manager: systemd
    nodes: "{{ celery_worker_pools | multinode.celery.celery_nodes(inventory_hostname, 4) }}"
    restart_paths:
      - /etc/celery/proj/celeryconfig.py
      - /opt/celery/proj/current
"""

RETURN = r"""
started:
  description: Nodes that did not run and were started.
  returned: always
  type: list
  elements: str
restarted:
  description: Nodes that ran something else than what is deployed.
  returned: always
  type: list
  elements: str
removed:
  description: Nodes that were drained, stopped and removed.
  returned: always
  type: list
  elements: str
unchanged:
  description: Nodes that were left alone.
  returned: always
  type: list
  elements: str
reasons:
  description: For each restarted node the path that is newer than its process.
  returned: always
  type: dict
drained:
  description: Whether the host is drained, so that its nodes stay stopped.
  returned: always
  type: bool
stopped:
  description: What became of the tasks of each node that was stopped, as M(multinode.celery.celery_drain) returns it.
  returned: always
  type: list
  elements: dict
table:
  description: The same as lines of text, empty when no node was stopped.
  returned: always
  type: list
  elements: str
seconds:
  description: How long stopping and starting took, in seconds.
  returned: always
  type: float
"""

import os
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils._celery_drain import ARGUMENTS, Drain, leavers, service_managers, table
from ansible_collections.multinode.celery.plugins.module_utils._celery_managers import Manager, ManagerError
from ansible_collections.multinode.celery.plugins.module_utils._celery_ready import last_log_lines, log_sizes, wait_until_ready
from ansible_collections.multinode.celery.plugins.module_utils._processes import newer_path
from ansible_collections.multinode.celery.plugins.module_utils._redaction import redact


class Plan(t.NamedTuple):
    """What has to be done to the nodes of a host."""

    start: list[str]
    restart: list[str]
    remove: list[str]
    move: list[str]
    unchanged: list[str]
    reasons: dict[str, str]


def make_plan(
    wanted: t.Sequence[str],
    own: t.Mapping[str, int | None],
    other: t.Mapping[str, int | None],
    stale: t.Callable[[str, int | None], str | None],
) -> Plan:
    """Compare the wanted nodes with those that the chosen and the other manager have (name to main process)."""
    plan = Plan([], [], [name for name in sorted({*own, *other}) if name not in wanted], [], [], {})
    for name in wanted:
        if name in other:
            plan.move.append(name)
        process = own.get(name)
        reason = stale(name, process) if process else None
        if not process:
            plan.start.append(name)
        elif reason:
            plan.restart.append(name)
            plan.reasons[name] = reason
        else:
            plan.unchanged.append(name)
    return plan


def ready_or_fail(
    manager: Manager, nodes: t.Mapping[str, t.Mapping[str, t.Any]], offsets: t.Mapping[str, int], module: AnsibleModule
) -> None:
    """Wait until nodes are ready, and fail with the last words of those that do not come up."""
    failed = wait_until_ready(manager, nodes, offsets, module.params["start_timeout_seconds"])
    if failed:
        module.fail_json(msg=last_log_lines(manager, nodes, failed), failed_nodes=sorted(failed))


def apply(
    manager: Manager,
    other: Manager,
    plan: Plan,
    stale: t.Callable[[str, int | None], str | None],
    module: AnsibleModule,
    drain: Drain,
) -> list[dict[str, t.Any]]:
    """Carry the plan out, new nodes first, so that they can replace others meanwhile; return what became of stopped ones."""
    nodes = {node["name"]: node for node in module.params["nodes"]}
    others = other.definitions()
    # Two processes of one node name would answer for each other: the old manager's goes first.
    moving = [name for name in plan.move if name in others]
    leaving = leavers(other, moving)
    other.begin_remove(moving)
    rows = drain.watch(leaving)
    other.end_remove(moving)

    offsets = log_sizes(nodes, [*plan.start, *plan.restart])
    manager.prepare(bool(nodes))
    # What restarting the manager itself has started already needs no second restart.
    running = manager.processes()
    restart = [name for name in plan.restart if stale(name, running.get(name))]
    if plan.start or restart:
        manager.reload()
    manager.start([name for name in plan.start if name not in running])
    ready_or_fail(manager, nodes, {name: size for name, size in offsets.items() if name not in restart}, module)

    # All may take as long as a drain, so removals and restarts run side by side.
    mine = [name for name in plan.remove if name in {*manager.definitions(), *running}]
    foreign = [name for name in plan.remove if name in others]
    leaving = [*leavers(manager, [*mine, *restart]), *leavers(other, foreign)]
    manager.begin_remove(mine)
    other.begin_remove(foreign)
    manager.begin_restart(restart)
    rows += drain.watch(leaving, lambda name: manager.end_restart(name) if name in restart else None)
    ready_or_fail(manager, nodes, {name: offsets[name] for name in restart}, module)
    manager.end_remove(mine)
    other.end_remove(foreign)
    return rows


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "manager": {"type": "str", "choices": ["systemd", "supervisor"], "required": True},
            "nodes": {"type": "list", "elements": "dict", "required": True},
            "restart_paths": {"type": "list", "elements": "path", "default": []},
            "changed_paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    systemd, supervisor = service_managers(module)
    manager, other = (systemd, supervisor) if params["manager"] == "systemd" else (supervisor, systemd)
    wanted = [node["name"] for node in params["nodes"]]
    begin = time.monotonic()
    stopped: list[dict[str, t.Any]] = []

    def stale(name: str, process: int | None) -> str | None:
        if not process:
            return "does not run"
        paths = [manager.definition(name), *manager.own_paths(), *params["restart_paths"]]
        changed = [path for path in paths if path in params["changed_paths"]]
        if module.check_mode and changed:
            return changed[0]
        return newer_path(process, paths)

    try:
        running = manager.processes()
        own = {name: running.get(name) for name in {*manager.definitions(), *running}}
        outdated = {name: other.processes().get(name) for name in other.definitions()}
        plan = make_plan(wanted, own, outdated, stale)
        drained = os.path.lexists(params["marker"])
        if drained:
            # Whoever drained the host decides when its nodes run again.
            plan = plan._replace(start=[], restart=[], reasons={}, unchanged=wanted)
        disabled = manager.not_enabled(wanted)
        changed = any([plan.start, plan.restart, plan.remove, plan.move, disabled])
        if changed and not module.check_mode:
            # First, so that a node is enabled even where it does not come up now.
            manager.enable(disabled)
            stopped = apply(manager, other, plan, stale, module, Drain(module))
    except ManagerError as error:
        module.fail_json(msg=redact(str(error)))

    result: dict[str, t.Any] = {
        "changed": changed,
        "started": plan.start,
        "restarted": plan.restart,
        "removed": plan.remove,
        "unchanged": plan.unchanged,
        "reasons": plan.reasons,
        "drained": drained,
        "stopped": stopped,
        "table": table(stopped) if stopped else [],
        "seconds": round(time.monotonic() - begin, 1),
    }
    if module._diff:
        before = {**outdated, **own}
        result["diff"] = {
            "before": "".join(f"{name}: {'running' if before[name] else 'stopped'}\n" for name in sorted(before)),
            "after": "".join(
                f"{name}: {'stopped' if drained else 'running'}{' (restarted)' if name in plan.restart else ''}\n"
                for name in sorted(wanted)
            ),
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
