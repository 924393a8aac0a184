# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask a worker's host through testinfra: processes, command lines, limits, results of tasks."""

from __future__ import annotations

import json
import shlex
import typing as t

import pytest

PYTHON = "/opt/celery/proj/current/venv/bin/python"
PRODUCER = """
import json, sys, time
sys.path.insert(0, "/etc/celery/proj")
from celery import Celery
app = Celery("tests")
app.config_from_object("celeryconfig")
task, arguments, queue, count, timeout = json.loads(sys.argv[1])
sent = [app.send_task(task, args=arguments, queue=queue, ignore_result=False) for _number in range(count)]
answers = [result.get(timeout=timeout) for result in sent] if timeout else []
print(json.dumps({"ids": [result.id for result in sent], "answers": answers}))
"""


def send(host: t.Any, task: str, arguments: list[t.Any], queue: str, count: int = 1, timeout: int = 60) -> dict[str, t.Any]:
    """Send tasks as the application's user; wait for their results unless the timeout is 0."""
    request = json.dumps([task, arguments, queue, count, timeout])
    argv = ["sudo", "-u", "celery", PYTHON, "-P", "-c", PRODUCER, request]
    return json.loads(host.check_output(" ".join(shlex.quote(word) for word in argv)).splitlines()[-1])


def main_process(host: t.Any, node: str) -> int:
    """Return the main process of a node under systemd."""
    return int(host.check_output(f"systemctl show --property MainPID --value celery-worker-{node}.service"))


def supervised_process(host: t.Any, node: str) -> int:
    """Return the main process of a node under supervisor."""
    return int(host.check_output(f"sudo supervisorctl pid celery-worker-{node}"))


def arguments(host: t.Any, process: int) -> list[str]:
    """Return the command line of a process."""
    return host.check_output(f"sudo cat /proc/{process}/cmdline").rstrip("\0").split("\0")


def option(argv: list[str], name: str) -> str:
    """Return the value of one option of a command line."""
    return next(word.partition("=")[2] for word in argv if word.startswith(f"{name}="))


def assert_limits(host: t.Any, process: int, wanted: int) -> None:
    """Compare the live process with the wanted limit, or the ceiling of the machine where that is lower."""
    ceiling = int(host.check_output("sudo sh -c 'ulimit -H -n'"))
    line = host.check_output(f"sudo grep '^Max open files' /proc/{process}/limits").split()
    assert int(line[3]) == min(wanted, ceiling)


def only_on(host: t.Any, name: str) -> None:
    """Skip a test that is about another host."""
    if host.backend.get_hostname() != name:
        pytest.skip(f"about {name}")
