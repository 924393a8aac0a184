# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a question to a Celery cluster in the virtual environment of the deployed release.

The modules themselves run with the system's Python, where Celery is not installed. The source of C(_celery_remote)
is handed to the release's interpreter, as the application's user: root runs nothing that belongs to the application.
"""

from __future__ import annotations

import inspect
import json
import os
import pwd
import subprocess
import typing as t

from ansible_collections.multinode.celery.plugins.module_utils import _celery_remote
from ansible_collections.multinode.celery.plugins.module_utils._processes import redact

ARGUMENTS: dict[str, t.Any] = {
    "app_name": {"type": "str", "required": True},
    "app_root": {"type": "path", "default": "/opt/celery"},
    "user": {"type": "str", "default": "celery"},
}
# Importing Celery takes seconds on a busy machine.
START_SECONDS = 30


class ClientError(Exception):
    """The release's Python gave no answer."""


def ask(params: t.Mapping[str, t.Any], action: str, seconds: float, **request: t.Any) -> dict[str, t.Any]:
    """Run one action of C(_celery_remote) and return what it answers."""
    python = f"{params['app_root']}/{params['app_name']}/current/venv/bin/python"
    if not os.path.exists(python):
        raise ClientError(f"{python} does not exist: deploy the application first, or set app_name and app_root")
    config = f"/etc/celery/{params['app_name']}"
    identity: dict[str, t.Any] = {}
    if os.geteuid() == 0:
        try:
            entry = pwd.getpwnam(params["user"])
        except KeyError as error:
            raise ClientError(f"user {params['user']} does not exist") from error
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    try:
        done = subprocess.run(
            # -P: nothing is imported from the current directory.
            [python, "-P", "-c", inspect.getsource(_celery_remote)],
            input=json.dumps({"action": action, "config": config, **request}),
            capture_output=True,
            text=True,
            timeout=seconds + START_SECONDS,
            check=False,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "CELERY_CONFIG_MODULE": "celeryconfig"},
            **identity,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClientError(f"{python}: {error}") from error
    if done.returncode:
        raise ClientError(redact(f"{python} ended with {done.returncode}: {done.stderr.strip()[-2000:]}"))
    return json.loads(done.stdout.splitlines()[-1])
