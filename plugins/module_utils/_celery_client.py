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
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.multinode.celery.plugins.module_utils import _celery_remote
from ansible_collections.multinode.celery.plugins.module_utils._redaction import redact

ARGUMENTS: dict[str, t.Any] = {
    "app_directory": {"type": "path", "required": True},
    "config_directory": {"type": "path", "required": True},
    "user": {"type": "str", "default": "celery"},
}
# Importing Celery takes seconds on a busy machine.
START_SECONDS = 30
ENVIRONMENT = ("PATH=/usr/bin:/bin", "LANG=C.UTF-8", "CELERY_CONFIG_MODULE=celeryconfig")


class ClientError(Exception):
    """The release's Python gave no answer."""


def ask(module: AnsibleModule, action: str, seconds: float, release: str = "current", **request: t.Any) -> dict[str, t.Any]:
    """Run one action of C(_celery_remote) with the interpreter of a release and return what it answers."""
    params = module.params
    directory = f"{params['app_directory']}/{release}"
    python = f"{directory}/venv/bin/python"
    if not os.path.exists(python):
        raise ClientError(f"{python} does not exist: deploy the application first, or set app_directory")
    argv = ["timeout", f"{seconds + START_SECONDS:g}"]
    if os.geteuid() == 0:
        argv += ["setpriv", "--reuid", params["user"], "--regid", _group(params["user"]), "--init-groups"]
    # -P: nothing is imported from the current directory.
    argv += ["env", "-i", *ENVIRONMENT, python, "-P", "-c", inspect.getsource(_celery_remote)]
    question = json.dumps({"action": action, "config": params["config_directory"], "source": f"{directory}/src", **request})
    code, out, err = module.run_command(argv, data=question, cwd="/", expand_user_and_vars=False)
    if code:
        raise ClientError(redact(f"{python} ended with {code}: {err.strip()[-2000:]}"))
    return json.loads(out.splitlines()[-1])


def _group(user: str) -> str:
    """Return the number of a user's own group."""
    try:
        return str(pwd.getpwnam(user).pw_gid)
    except KeyError as error:
        raise ClientError(f"user {user} does not exist") from error
