# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the locks of the tools that roles install, and of the example, from what they ask for: versions and hashes of every package."""

from __future__ import annotations

import pathlib
import subprocess

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
# The lock serves every supported Python from this one on.
COMMAND = ["uv", "pip", "compile", "--quiet", "--upgrade", "--python-version", "3.11", "--universal", "--generate-hashes"]
COMMAND += ["--no-header", "--no-annotate", "-"]


def locked(requirements: list[str], *arguments: str) -> str:
    """The lines that pin requirements and what they depend on."""
    done = subprocess.run([*COMMAND, *arguments], input="\n".join(requirements), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def defaults(role: str) -> dict[str, str | list[str]]:
    """The inputs of a role as they are shipped."""
    return dict(yaml.safe_load((CHECKOUT / "roles" / role / "defaults/main.yml").read_text()))


def main() -> None:
    """Write all locks."""
    flower, exporter, app = defaults("flower"), defaults("celery_exporter"), defaults("celery_app")
    example = CHECKOUT / "inventories/prod/group_vars/all/celery_app.yml"
    extra = yaml.safe_load(example.read_text()).get("celery_app_extra_requirements", [])
    # flit_core builds the example.
    locks = {
        CHECKOUT / "roles/flower/files" / str(flower["flower_lock"]): locked([f"flower=={flower['flower_version']}", *flower["flower_requirements"]]),
        # Its own bounds are passed over, as the role does when it installs it.
        CHECKOUT / "roles/celery_exporter/files" / str(exporter["celery_exporter_lock"]): locked([*exporter["celery_exporter_requirements"]])
        + locked([f"prometheus-exporter-celery=={exporter['celery_exporter_version']}"], "--no-deps"),
        CHECKOUT / "examples/proj.lock": locked([*app["celery_app_requirements"], *extra, "flit_core>=3.9,<4"]),
    }
    for path, text in locks.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
