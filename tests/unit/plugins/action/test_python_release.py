# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.multinode.celery.plugins.action.python_release import Source, pack_folder, verify_checksum


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "proj" / "__pycache__").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name in ("pyproject.toml", "proj/tasks.py", "proj/__pycache__/tasks.pyc", ".git/config"):
        (folder / name).write_text(name)
    return folder


def test_only_the_project_is_packed_and_belongs_to_root(project, tmp_path):
    pack_folder(str(project), str(tmp_path / "p.tar.gz"))
    with tarfile.open(tmp_path / "p.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["proj", "proj/tasks.py", "pyproject.toml"]
        assert {member.uid for member in tar} == {0}


def test_a_folder_is_packed_once_a_run(project, tmp_path):
    args = {"version": "1", "source_type": "folder", "source": str(project)}
    first = Source(args).archive(str(tmp_path))
    moment = os.stat(first).st_mtime_ns
    assert Source(args).archive(str(tmp_path)) == first
    assert os.stat(first).st_mtime_ns == moment


def test_a_local_archive_is_taken_as_it_is(tmp_path):
    (tmp_path / "proj-1-py3-none-any.whl").write_text("")
    path = str(tmp_path / "proj-1-py3-none-any.whl")
    assert Source({"version": "1", "source_type": "archive", "source": path}).archive(str(tmp_path)) == path


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_missing_source_is_named(kind, tmp_path):
    with pytest.raises(AnsibleActionFail, match=f"no {kind} /nowhere"):
        Source({"version": "1", "source_type": kind, "source": "/nowhere"}).archive(str(tmp_path))


def test_a_fetched_archive_keeps_its_name_and_is_verified(tmp_path):
    (tmp_path / "p.whl").write_text("wheel")
    args = {"version": "1", "source_type": "archive", "source": f"file://{tmp_path}/p.whl"}
    assert Source(args).archive(str(tmp_path)).endswith("/p.whl")
    with pytest.raises(AnsibleActionFail, match="sha256 checksum is"):
        verify_checksum(str(tmp_path / "p.whl"), "sha256:00")
    with pytest.raises(AnsibleActionFail, match="algorithm:digest"):
        verify_checksum(str(tmp_path / "p.whl"), "00")


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_a_repository_is_fetched_at_its_revision(tmp_path):
    repository = tmp_path / "repository"
    repository.mkdir()

    def git(*arguments):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]
        subprocess.run(["git", "-C", str(repository), *identity, *arguments], check=True, capture_output=True)

    git("init", "--quiet")
    for number in ("1", "2"):
        (repository / "app.py").write_text(number)
        git("add", "app.py")
        git("commit", "--quiet", "-m", number)
        git("tag", f"v{number}")
    args = {"version": "v1", "source_type": "git", "source": str(repository), "source_revision": ""}
    with tarfile.open(Source(args).archive(str(tmp_path))) as tar:
        assert tar.getnames() == ["app.py"]
        assert tar.extractfile("app.py").read() == b"1"
    with pytest.raises(AnsibleActionFail, match="revision v9 cannot be fetched"):
        Source({**args, "version": "v9"}).archive(str(tmp_path))
