# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import grp
import json
import os
import pwd
import stat

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.multinode.celery.plugins.modules import file_set


@pytest.fixture
def run(capsys):
    """Return a function that runs the module as the current user and gives its result."""

    def _run(check=False, diff=False, fails=False, **args):
        me = {"owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name}
        internal = {"_ansible_check_mode": check, "_ansible_diff": diff}
        with patch_module_args({**me, **args, **internal}), pytest.raises(SystemExit) as stop:
            file_set.main()
        assert bool(stop.value.code) is fails
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return _run


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_everything_is_made_and_a_second_run_changes_nothing(run, tmp_path):
    (tmp_path / "old").write_text("gone soon")
    wanted = {
        "directories": [{"path": f"{tmp_path}/etc", "mode": "0750"}],
        "files": [{"path": f"{tmp_path}/etc/app.conf", "content": "key = value\n", "mode": "0640"}],
        "links": [{"path": f"{tmp_path}/current", "target": "releases/1"}],
        "absent": [f"{tmp_path}/old"],
    }
    result = run(**wanted)
    assert result["changed_paths"] == [f"{tmp_path}/etc", f"{tmp_path}/etc/app.conf", f"{tmp_path}/current", f"{tmp_path}/old"]
    assert (tmp_path / "etc/app.conf").read_text() == "key = value\n"
    assert (mode(tmp_path / "etc"), mode(tmp_path / "etc/app.conf")) == (0o750, 0o640)
    assert os.readlink(tmp_path / "current") == "releases/1"
    assert not (tmp_path / "old").exists()

    before = os.stat(tmp_path / "etc/app.conf").st_mtime_ns
    result = run(**wanted)
    assert result["changed"] is False and result["changed_paths"] == []
    assert os.stat(tmp_path / "etc/app.conf").st_mtime_ns == before


def test_check_mode_reports_and_touches_nothing(run, tmp_path):
    result = run(
        check=True,
        directories=[{"path": f"{tmp_path}/etc", "owner": "nobody-yet"}],
        files=[{"path": f"{tmp_path}/etc/app.conf", "content": "x\n", "owner": "nobody-yet"}],
        links=[{"path": f"{tmp_path}/none/link", "target": "x"}],
    )
    assert len(result["changed_paths"]) == 3
    assert list(tmp_path.iterdir()) == []


def test_state_of_the_software_is_left_alone(run, tmp_path):
    state = tmp_path / "state.conf"
    state.write_text("rewritten by its software\n")
    result = run(files=[{"path": str(state), "content": "bootstrap\n", "force": False, "mode": "0644"}])
    assert state.read_text() == "rewritten by its software\n"
    assert str(state) not in result["changed_paths"] or mode(state) == 0o644


def test_mode_alone_is_a_change(run, tmp_path):
    path = tmp_path / "a"
    path.write_text("x\n")
    path.chmod(0o644)
    assert run(files=[{"path": str(path), "content": "x\n", "mode": "0600"}])["changed_paths"] == [str(path)]
    assert mode(path) == 0o600


def test_refused_content_leaves_the_old_file(run, tmp_path):
    path = tmp_path / "a"
    path.write_text("good\n")
    result = run(fails=True, files=[{"path": str(path), "content": "bad\n", "validate": "/bin/grep -q good %s"}])
    assert "was left as it is" in result["msg"]
    assert path.read_text() == "good\n"


def test_link_becomes_a_file_without_touching_its_target(run, tmp_path):
    target, path = tmp_path / "target", tmp_path / "unit"
    target.write_text("untouched\n")
    path.symlink_to(target)
    run(files=[{"path": str(path), "content": "own\n"}])
    assert not path.is_symlink() and path.read_text() == "own\n"
    assert target.read_text() == "untouched\n"


def test_link_is_moved(run, tmp_path):
    link = tmp_path / "current"
    link.symlink_to("releases/1")
    assert run(links=[{"path": str(link), "target": "releases/2"}])["changed"] is True
    assert os.readlink(link) == "releases/2"
    assert [entry.name for entry in tmp_path.iterdir()] == ["current"]


def test_missing_parent_is_named(run, tmp_path):
    result = run(fails=True, files=[{"path": f"{tmp_path}/none/a", "content": "x\n"}])
    assert f"{tmp_path}/none does not exist" in result["msg"]


@pytest.mark.parametrize("kind", ["files", "links"])
def test_directory_in_the_way_is_kept(run, tmp_path, kind):
    (tmp_path / "a" / "b").mkdir(parents=True)
    entry = {"path": f"{tmp_path}/a", **({"content": "x\n"} if kind == "files" else {"target": "x"})}
    assert "is a directory" in run(fails=True, **{kind: [entry]})["msg"]
    assert (tmp_path / "a" / "b").is_dir()


def test_previous_content_is_returned_only_where_it_may_be_shown(run, tmp_path):
    for name in ("open", "closed"):
        (tmp_path / name).write_text("previous\n")
    result = run(
        diff=True,
        files=[
            {"path": f"{tmp_path}/open", "content": "new content\n"},
            {"path": f"{tmp_path}/closed", "content": "new secret\n", "sensitive": True},
        ],
    )
    assert {path: base64.b64decode(text) for path, text in result["before"].items()} == {f"{tmp_path}/open": b"previous\n"}
    assert "new secret" not in json.dumps(result)


def test_the_journal_gets_no_content(run, tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr(file_set.AnsibleModule, "_log_to_syslog", lambda self, message: logged.append(message))
    run(files=[{"path": f"{tmp_path}/passwords", "content": "first_word\nsecond_word\n", "mode": "0600"}])
    assert logged and "_word" not in "".join(logged)
