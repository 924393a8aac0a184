#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: unit_running
short_description: Keep a systemd service running with what it is configured to run
version_added: "1.0.0"
description:
  - Enables and starts a service, and restarts it when its main process is older than any of the given paths.
  - A restart therefore depends on the state of the host alone. One that a previous run of the playbook owed, because it was
    interrupted after the files were written, is made up for.
  - systemd reads its units again where they changed.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  name:
    description: Name of the service.
    type: str
    required: true
  restart_paths:
    description:
      - Files and links that the service reads when it starts. Of a link the link itself counts, not what it points to.
      - A path that does not exist is passed over.
    type: list
    elements: str
    default: []
  reload_paths:
    description:
      - Files that the service reads when it is reloaded. The service is reloaded when one of them is newer than its last start
        or reload and nothing calls for a restart.
      - A path that does not exist is passed over.
    type: list
    elements: str
    default: []
  hold_path:
    description:
      - File that marks that the service has to stay as it is, such as the marker of a drained host.
      - While it exists the service is enabled, but neither started nor restarted.
    type: path
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Start the scheduler, or restart it if changed
  multinode.celery.unit_running:
    name: celery-beat.service
    restart_paths:
      - /etc/systemd/system/celery-beat.service
      - /opt/celery/proj/current

- name: Start the web server, or reload it if changed
  multinode.celery.unit_running:
    name: nginx.service
    reload_paths:
      - /etc/nginx/nginx.conf
"""

RETURN = r"""
action:
  description: What was done, V(started), V(restarted), V(reloaded), V(enabled) or V(none).
  returned: always
  type: str
newer_paths:
  description: The paths that were newer than the main process, or than its last reload.
  returned: always
  type: list
  elements: str
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils._processes import newer_paths, newer_than


def wall_clock(monotonic_microseconds: int, monotonic_now: float, now: float) -> float:
    """Return the time of day of a moment that systemd counts from boot."""
    return now - (monotonic_now - monotonic_microseconds / 1_000_000)


def decide(active: bool, enabled: bool, newer: list[str], newer_reload: list[str] | None = None) -> str:
    """Return what has to be done to a service."""
    if not active:
        return "started"
    if newer:
        return "restarted"
    if newer_reload:
        return "reloaded"
    return "none" if enabled else "enabled"


class Unit:
    """A service of systemd."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.name = module.params["name"]

    def systemctl(self, *arguments: str) -> str:
        """Run systemctl and fail with its output."""
        code, out, err = self.module.run_command(["systemctl", *arguments])
        if code:
            self.module.fail_json(msg=f"systemctl {' '.join(arguments)} failed: {err.strip() or out.strip()}")
        return out

    def properties(self) -> dict[str, str]:
        """Return what systemd knows of the service."""
        wanted = "LoadState,ActiveState,UnitFileState,MainPID,NeedDaemonReload,StateChangeTimestampMonotonic"
        return dict(line.split("=", 1) for line in self.systemctl("show", self.name, f"--property={wanted}").splitlines() if "=" in line)

    def newer_reload_paths(self, changed_state: int) -> list[str]:
        """Return the paths that changed after the last start or reload, which is when the state of the unit changed last."""
        return newer_than(self.module.params["reload_paths"], wall_clock(changed_state, time.monotonic(), time.time()))

    def apply(self, action: str, enabled: bool, reload: bool) -> None:
        """Do what was decided."""
        if reload:
            self.systemctl("daemon-reload")
        if not enabled:
            self.systemctl("enable", "--quiet", self.name)
        if action in ("started", "restarted"):
            # A failed unit keeps its counter of attempts, which would delay this one.
            self.module.run_command(["systemctl", "reset-failed", self.name])
            self.systemctl("restart", self.name)
        if action == "reloaded":
            self.systemctl("reload", self.name)


def main() -> None:
    """Start or restart the service where it is due."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "hold_path": {"type": "path"},
            "restart_paths": {"type": "list", "elements": "str", "default": []},
            "reload_paths": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    unit = Unit(module)
    found = unit.properties()
    active = found.get("ActiveState") in ("active", "activating", "reloading")
    enabled = found.get("UnitFileState") == "enabled"
    newer = newer_paths(int(found.get("MainPID") or 0), module.params["restart_paths"]) if active else []
    newer_reload = unit.newer_reload_paths(int(found.get("StateChangeTimestampMonotonic") or 0)) if active and not newer else []
    held = module.params["hold_path"]
    if held and os.path.lexists(held):
        # Whoever holds the service decides when it runs again.
        active, newer, newer_reload = True, [], []
    action = decide(active, enabled, newer, newer_reload)
    reload = found.get("NeedDaemonReload") == "yes" or found.get("LoadState") == "not-found"
    if not module.check_mode and (action != "none" or reload):
        unit.apply(action, enabled, reload)
    module.exit_json(changed=action != "none", action=action, newer_paths=newer or newer_reload)


if __name__ == "__main__":
    main()
