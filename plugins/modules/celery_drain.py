#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_drain
short_description: Stop the Celery nodes of a host without losing a task, and start them again
version_added: "1.0.0"
description:
  - Stops every worker node of a host, of either service manager, and the scheduler. The nodes stay stopped over a reboot
    and over further runs of M(multinode.celery.celery_nodes), until O(state=active).
  - A node that is stopped takes no new tasks and lets running ones finish within a bound; then tasks that are
    acknowledged late go back to their queue. What becomes of each task is returned.
  - A node that does not notice, because it hangs, is killed after O(answer_timeout_seconds), and the tasks that it held
    according to its log are given back to their queues at once. Those that the broker does not have were acknowledged
    before they ran; they are lost.
  - The manager kills whatever still runs after O(stop_timeout_seconds), with the same report.
extends_documentation_fragment:
  - multinode.celery.attributes
  - multinode.celery.celery.nodes
options:
  state:
    description: Whether the nodes of the host are stopped and stay so, or run.
    type: str
    choices: [drained, active]
    required: true
  reason:
    description: Why the host is drained; kept on the host for whoever wonders.
    type: str
    default: ""
  units:
    description: Further systemd services that stop and start with the nodes, those that the host does not have are passed over.
    type: list
    elements: str
    default: [celery-beat.service]
  timeout_seconds:
    description: Seconds that running tasks get, where that is less than what the nodes were started with; 0 for just that.
    type: int
    default: 0
author:
  - multinode.celery contributors (@multinode)
seealso:
  - module: multinode.celery.celery_nodes
"""

EXAMPLES = r"""
- name: Stop all nodes before the host is rebooted
  multinode.celery.celery_drain:
    state: drained
    reason: new kernel
    app_directory: /opt/celery/proj
    config_directory: /etc/celery/proj
    marker: /etc/celery/drained
    report_directory: /var/lib/celery/drain
  register: drain

- name: Start the nodes again
  multinode.celery.celery_drain:
    state: active
"""

RETURN = r"""
nodes:
  description: What became of each node that was stopped.
  returned: success
  type: list
  elements: dict
  contains:
    node:
      description: Name of the node on its host.
      type: str
    outcome:
      description:
        - C(stopped) when all running tasks finished in time, C(timed out) when some were given back, C(killed) when the node
          did not answer, C(no report) when it had not begun to work.
      type: str
    seconds:
      description: How long it took to stop, in seconds.
      type: float
    finished:
      description: Tasks that ended during the drain.
      type: list
      elements: str
    given_back:
      description: Tasks that went back to their queue.
      type: list
      elements: str
    lost:
      description: Tasks that were acknowledged before they ran and did not end.
      type: list
      elements: str
    unsettled:
      description: Tasks of a killed node where the broker was not asked; they come back after the visibility timeout.
      type: list
      elements: str
table:
  description: The same as lines of text, with each task that was given back or lost.
  returned: success
  type: list
  elements: str
started:
  description: Nodes that were started.
  returned: success
  type: list
  elements: str
drained:
  description: Whether the host is drained afterwards.
  returned: success
  type: bool
seconds:
  description: How long it took, in seconds.
  returned: success
  type: float
"""

import os
import shlex
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils._celery_drain import ARGUMENTS, Drain, leavers, service_managers, table
from ansible_collections.multinode.celery.plugins.module_utils._celery_managers import Manager, ManagerError
from ansible_collections.multinode.celery.plugins.module_utils._celery_ready import (
    defined_node,
    last_log_lines,
    log_sizes,
    wait_until_ready,
)
from ansible_collections.multinode.celery.plugins.module_utils._redaction import redact

UNIT_SECONDS = 90


def marker_text(reason: str, now: float) -> str:
    """Return the marker's content, which supervisor's unit reads as environment."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    plain = "".join(letter if letter.isprintable() else " " for letter in reason)
    return (
        "# Celery of this host stays stopped until the playbook multinode.celery.ops.undrain removes this file.\n"
        "MULTINODE_AUTOSTART=false\n"
        f"MULTINODE_DRAINED_AT={moment}\n"
        f"MULTINODE_DRAINED_REASON={shlex.quote(plain)}\n"
    )


def write_marker(module: AnsibleModule, path: str, text: str) -> None:
    """Put the marker in place as a whole."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    part = os.path.join(module.tmpdir, "drained")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(part, 0o644)
    module.atomic_move(part, path)


def systemctl(module: AnsibleModule, *argv: str) -> str:
    """Run systemctl and return its output."""
    command = ["timeout", str(UNIT_SECONDS), "systemctl", *argv]
    return module.run_command(command, expand_user_and_vars=False)[1]


def units_that(module: AnsibleModule, active: bool) -> list[str]:
    """Return the further services that are there, enabled, and run or not."""
    found = []
    for unit in module.params["units"]:
        shown = systemctl(module, "show", unit, "--property=LoadState,ActiveState,UnitFileState")
        properties = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        runs = properties.get("ActiveState") in ("active", "activating", "reloading")
        if properties.get("LoadState") == "loaded" and (runs if active else not runs and properties.get("UnitFileState") == "enabled"):
            found.append(unit)
    return found


def drain(module: AnsibleModule, managers: t.Sequence[Manager]) -> dict[str, t.Any]:
    """Stop everything and keep it stopped."""
    params = module.params
    running = {manager: sorted(manager.processes()) for manager in managers}
    names = [name for found in running.values() for name in found]
    units = units_that(module, active=True)
    new = not os.path.lexists(params["marker"])
    result: dict[str, t.Any] = {"changed": bool(new or names or units), "nodes": [], "table": [], "started": [], "drained": True}
    if module.check_mode or not result["changed"]:
        return result
    if new:
        # First: a host that goes down meanwhile comes up drained.
        write_marker(module, params["marker"], marker_text(params["reason"], time.time()))
    worker = Drain(module)
    leaving = [leaver for manager in managers for leaver in leavers(manager, running[manager])]
    if params["timeout_seconds"]:
        worker.shorten(names, params["timeout_seconds"])
    for manager in managers:
        manager.begin_stop(running[manager])
    # Another scheduler takes over, or nobody does: either way nothing is sent twice.
    for unit in units:
        systemctl(module, "stop", unit)
    result["nodes"] = worker.watch(leaving)
    for manager in managers:
        manager.end_stop(running[manager])
    result["table"] = table(result["nodes"]) if result["nodes"] else []
    return result


def activate(module: AnsibleModule, managers: t.Sequence[Manager]) -> dict[str, t.Any]:
    """Start everything that is defined."""
    params = module.params
    marked = os.path.lexists(params["marker"])
    missing = {manager: [name for name in manager.definitions() if name not in manager.processes()] for manager in managers}
    names = [name for found in missing.values() for name in found]
    units = units_that(module, active=False)
    result: dict[str, t.Any] = {"changed": bool(marked or names or units), "nodes": [], "table": [], "started": names, "drained": False}
    if module.check_mode or not result["changed"]:
        return result
    if marked:
        os.unlink(params["marker"])
    systemctl(module, "daemon-reload")
    for manager in managers:
        nodes = {name: defined_node(manager, name) for name in missing[manager]}
        offsets = log_sizes(nodes, nodes)
        if nodes:
            manager.prepare(True)
            manager.reload()
            manager.start([name for name in nodes if name not in manager.processes()])
        failed = wait_until_ready(manager, nodes, offsets, params["start_timeout_seconds"])
        if failed:
            module.fail_json(msg=last_log_lines(manager, nodes, failed), failed_nodes=sorted(failed))
    for unit in units:
        systemctl(module, "start", unit)
    return result


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "state": {"type": "str", "choices": ["drained", "active"], "required": True},
            "reason": {"type": "str", "default": ""},
            "units": {"type": "list", "elements": "str", "default": ["celery-beat.service"]},
            "timeout_seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params = module.params
    act = drain if params["state"] == "drained" else activate
    begin = time.monotonic()
    try:
        result = act(module, service_managers(module))
    except ManagerError as error:
        module.fail_json(msg=redact(str(error)))
    module.exit_json(**result, seconds=round(time.monotonic() - begin, 1))


if __name__ == "__main__":
    main()
