# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run playbooks of the checkout as an operator would, and count what they did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import ROOT

if TYPE_CHECKING:
    from lab.hosts import Lab


def program(name: str) -> str:
    """The path of one of Ansible's programs, of the environment that this runs in."""
    return str(Path(sys.executable).with_name(name))


def environment(**settings: str) -> dict[str, str]:
    """The environment of a run. Molecule, which may be above it, has a search path for roles of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "ANSIBLE_ROLES_PATH"}
    return {**inherited, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **settings}


def command(path: str | Path, *arguments: str, **variables: Any) -> list[str]:
    """The command line of a run."""
    return [program("ansible-playbook"), str(ROOT / path), *arguments, *(["--extra-vars", json.dumps(variables)] if variables else [])]


def run_playbook(
    path: str | Path, *arguments: str, check: bool = True, inventories: list[str] | None = None, **variables: Any
) -> subprocess.CompletedProcess[str]:
    """Run a playbook; ANSIBLE_INVENTORY names the inventories where none are given.

    :raises RuntimeError: when it fails, unless check is false.
    """
    settings = {} if inventories is None else {"ANSIBLE_INVENTORY": ",".join(str(ROOT / inventory) for inventory in inventories)}
    done = subprocess.run(
        command(path, *arguments, **variables), cwd=ROOT, env=environment(**settings), capture_output=True, text=True, check=False,
    )
    if check and done.returncode:
        raise RuntimeError(f"{path} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    return done


def output(lab: Lab, path: str, *arguments: str, fails: bool = False, **variables: Any) -> str:
    """The output of a run on the lab, in one line.

    :raises RuntimeError: when it fails, or when it does not fail although it is expected to.
    """
    done = lab.playbook(path, *arguments, check=not fails, **variables)
    if fails and not done.returncode:
        raise RuntimeError(f"{path} was expected to fail")
    return " ".join((done.stdout + done.stderr).split())


def deploy(lab: Lab, playbook: str = "site.yml", arguments: list[str] | None = None) -> dict[str, Any]:
    """Run a playbook on the lab and count what it did; its output is kept when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "runs.json"
        settings = {
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).with_name("callback")),
            "ANSIBLE_CALLBACKS_ENABLED": "module_runs",
            "MODULE_RUNS_FILE": str(report),
        }
        started = time.time()
        done = subprocess.run(
            command(playbook, *lab.inventories, *(arguments or [])), cwd=ROOT, env=environment(**settings), capture_output=True, text=True, check=False,
        )
        result: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
        result["seconds"] = round(time.time() - started, 1)
        result["exit_code"] = done.returncode
        if done.returncode:
            result["output"] = (done.stdout + done.stderr)[-6000:]
    recap = result.get("recap", {})
    result["hosts"] = len(recap)
    result["changed"] = sum(host["changed"] for host in recap.values())
    result["failed"] = sum(host["failures"] + host["unreachable"] for host in recap.values())
    return result
