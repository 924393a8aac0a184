# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import getpass
import grp
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.multinode.celery.plugins.action.file_set import ActionModule

CHECKOUT = Path(__file__).parents[4]


@pytest.fixture
def play(tmp_path):
    """Return a function that runs one file_set task through ansible-playbook on this machine."""
    (tmp_path / "templates" / "srv").mkdir(parents=True)

    def _play(*options, **args):
        args = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getegid()).gr_name, **args}
        task = {"name": "Place", "multinode.celery.file_set": args}
        tasks = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": {"colour": "green"}, "tasks": [task]}
        (tmp_path / "play.yml").write_text(yaml.safe_dump([tasks]))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}"]
        return subprocess.run(
            [*command, *options, f"{tmp_path}/play.yml"],
            env={**os.environ, "ANSIBLE_CONFIG": f"{CHECKOUT}/ansible.cfg"},
            capture_output=True,
            text=True,
            check=False,
        )

    return _play


def test_template_is_rendered_with_play_and_entry_variables(play, tmp_path):
    (tmp_path / "templates" / "a.j2").write_text("{% if true %}\n{{ colour }} {{ shape }}\n{% endif %}\n")
    done = play("-v", files=[{"path": f"{tmp_path}/a", "src": "a.j2", "vars": {"shape": "round"}}])
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "a").read_text() == "green round\n"


def test_diff_shows_what_may_be_shown(play, tmp_path):
    done = play(
        "--diff",
        "-vvv",
        files=[
            {"path": f"{tmp_path}/open", "content": "plain words\n"},
            {"path": f"{tmp_path}/closed", "content": "hidden words\n", "sensitive": True},
        ],
    )
    assert done.returncode == 0, done.stdout
    assert "+plain words" in done.stdout
    assert f"{tmp_path}/closed: content or attributes differ, not shown" in done.stdout
    assert done.stdout.count("hidden words") == 0


def test_template_of_the_target_path_is_the_default(play, tmp_path):
    done = play(files=[{"path": "/srv/no-such-template"}])
    assert done.returncode != 0
    assert "srv/no-such-template.j2" in done.stdout + done.stderr


def test_two_sources_are_refused(play, tmp_path):
    done = play(files=[{"path": f"{tmp_path}/a", "src": "a.j2", "content": "x"}])
    assert done.returncode != 0
    assert "give either src or content" in done.stdout + done.stderr
    assert not (tmp_path / "a").exists()


def test_diff_of_links_and_directories_names_them():
    before = {"/a": base64.b64encode(b"old\n").decode()}
    diff = ActionModule._diff({"files": [{"path": "/a", "content": "new\n"}]}, ["/a", "/b"], before)
    assert diff[0]["before"] == "old\n" and diff[0]["after"] == "new\n"
    assert diff[1]["prepared"] == "/b: would differ\n"
