# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import tarfile
import zipfile

import pytest
from ansible_collections.multinode.celery.plugins.modules import python_release
from ansible_collections.multinode.celery.plugins.modules.python_release import (
    MARKER,
    SBOM,
    Release,
    package_requirement,
    project_kind,
    surplus,
    unpack,
    valid_version,
)


class Failed(Exception):
    """The module ended with a failure."""


class Module:
    """Replaces AnsibleModule and makes virtual environments out of empty directories."""

    def __init__(self, root, **params):
        self.params = {
            "root": str(root),
            "version": "1.0.0",
            "source_type": "archive",
            "source": "",
            "requirements": ["celery[redis]"],
            "bare_requirements": [],
            "index_url": "",
            "pip_arguments": [],
            "lock": "",
            "wheel_folder": "",
            "python": "/usr/bin/python3",
            "keep": 2,
            **params,
        }
        self.commands, self.environments, self.warnings, self.broken_step = [], [], [], ""
        self.errors = []

    def run_command(self, command, environ_update=None, cwd=None):
        self.commands.append(command)
        self.environments.append(environ_update or {})
        if "--report" in command:
            metadata = {"name": "celery", "version": "5.7.0"}
            pathlib.Path(command[command.index("--report") + 1]).write_text(json.dumps({"install": [{"metadata": metadata, "requested": True}]}))
        if self.errors and "install" in command:
            return (1, "", self.errors.pop(0))
        return (1, "", "no such package") if self.broken_step and self.broken_step in command else (0, "", "")

    def fail_json(self, **result):
        raise Failed(result)

    def warn(self, message):
        self.warnings.append(message)


def archive(path, files):
    """Make a tar archive of files that are given by name and content."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
    return str(path)


@pytest.mark.parametrize("version", ["1.0.0", "2026.11.22+abc", "v1_2-rc.1"])
def test_versions_that_name_a_directory(version):
    assert valid_version(version)


@pytest.mark.parametrize("version", ["", ".", "..", "a/b", "-rf", "1 0", "1;0"])
def test_versions_that_do_not(version):
    assert not valid_version(version)


def test_a_package_without_a_version_gets_that_of_the_release():
    assert package_requirement("proj", "1.2") == "proj==1.2"
    assert package_requirement("proj[extra]", "1.2") == "proj[extra]==1.2"
    assert package_requirement("proj>=1", "1.2") == "proj>=1"


def test_the_oldest_releases_go_but_none_that_is_needed():
    installed = {"1": 10.0, "2": 20.0, "3": 30.0, "4": 40.0}
    assert surplus(installed, 2, {"4"}) == ["1", "2"]
    assert surplus(installed, 2, {"1", "4"}) == ["2", "3"]
    assert surplus(installed, 0, {"4"}) == ["1", "2", "3"]
    assert surplus(installed, 9, set()) == []


def test_a_project_is_a_package_when_it_can_be_built():
    assert project_kind(["pyproject.toml", "src"]) == "package"
    assert project_kind(["app.py", "requirements.txt"]) == "source"


def test_the_single_directory_of_an_sdist_is_left_out(tmp_path):
    target = tmp_path / "src"
    target.mkdir()
    unpack(archive(tmp_path / "a.tar.gz", {"proj-1.0/pyproject.toml": "", "proj-1.0/proj/__init__.py": ""}), str(target))
    assert sorted(os.listdir(target)) == ["proj", "pyproject.toml"]


def test_the_single_package_of_plain_sources_stays(tmp_path):
    target = tmp_path / "src"
    target.mkdir()
    unpack(archive(tmp_path / "a.tar.gz", {"proj/__init__.py": ""}), str(target))
    assert os.listdir(target) == ["proj"]


def test_a_zip_file_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("app.py", "")
        packed.writestr("tasks.py", "")
    target = tmp_path / "src"
    target.mkdir()
    unpack(str(tmp_path / "a.zip"), str(target))
    assert sorted(os.listdir(target)) == ["app.py", "tasks.py"]


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd"])
def test_a_member_outside_of_the_target_is_refused(tmp_path, name):
    target = tmp_path / "src"
    target.mkdir()
    with pytest.raises(ValueError, match="outside"):
        unpack(archive(tmp_path / "a.tar.gz", {name: ""}), str(target))


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.tar.gz").write_text("no archive")
    with pytest.raises(ValueError, match="neither"):
        unpack(str(tmp_path / "a.tar.gz"), str(tmp_path))


def test_a_release_of_a_package_is_complete_with_its_marker(tmp_path):
    module = Module(tmp_path, source=archive(tmp_path / "p.tar.gz", {"pyproject.toml": "", "proj.py": ""}))
    release = Release(module)
    assert not release.complete()
    assert release.install() == "package"
    assert release.complete()
    assert json.loads((tmp_path / "releases/1.0.0" / MARKER).read_text())["requirements"] == ["celery[redis]"]
    pip = next(command for command in module.commands if "install" in command)
    assert pip[-2:] == ["celery[redis]", str(tmp_path / "releases/1.0.0/src")]
    assert os.listdir(tmp_path / "releases/1.0.0/src") == []


def test_plain_sources_stay_on_the_path_with_their_requirements(tmp_path):
    files = {"app.py": "", "requirements.txt": "requests"}
    module = Module(tmp_path, source=archive(tmp_path / "p.tar.gz", files))
    assert Release(module).install() == "source"
    pip = next(command for command in module.commands if "install" in command)
    assert pip[-2:] == ["--requirement", str(tmp_path / "releases/1.0.0/src/requirements.txt")]
    assert sorted(os.listdir(tmp_path / "releases/1.0.0/src")) == ["app.py", "requirements.txt"]


def test_a_failed_installation_is_not_complete_and_begins_from_scratch(tmp_path):
    module = Module(tmp_path, source=archive(tmp_path / "p.tar.gz", {"app.py": ""}))
    module.broken_step = "install"
    with pytest.raises(Failed, match="pip install failed"):
        Release(module).install()
    assert not Release(module).complete()
    (tmp_path / "releases/1.0.0/leftover").write_text("")
    module.broken_step = ""
    Release(module).install()
    assert Release(module).complete()
    assert not (tmp_path / "releases/1.0.0/leftover").exists()


@pytest.mark.parametrize(
    ("errors", "tries", "works"),
    [
        (["ReadTimeoutError: HTTPSConnectionPool(host='index.example', port=443): Read timed out."] * 2, 3, True),
        (["WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'"] * 3, 3, False),
        (["503 Server Error: Service Unavailable for url: https://index.example/simple/celery/"], 2, True),
        (["No matching distribution found for celery==5.5.503"], 1, False),
    ],
)
def test_trouble_with_the_network_is_tried_again_and_nothing_else(tmp_path, monkeypatch, errors, tries, works):
    monkeypatch.setattr(python_release, "WAIT_SECONDS", 0)
    module = Module(tmp_path, source_type="package", source="proj")
    module.errors = list(errors)
    with contextlib.nullcontext() if works else pytest.raises(Failed, match="pip install failed"):
        Release(module).install()
    assert sum("install" in command for command in module.commands) == tries
    assert Release(module).complete() is works


def test_the_credentials_of_an_index_are_not_on_the_command_line(tmp_path):
    module = Module(tmp_path, source_type="package", source="proj", index_url="https://user:secret@index.example/simple")
    Release(module).install()
    assert not any("secret" in word for command in module.commands for word in command)
    assert any(environment.get("PIP_INDEX_URL", "").endswith("/simple") for environment in module.environments)


def test_other_requirements_of_an_installed_release_are_pointed_out(tmp_path):
    module = Module(tmp_path, source_type="package", source="proj")
    Release(module).install()
    Release(module).warn_of_other_requirements()
    assert module.warnings == []
    module.params["requirements"] = ["celery[redis]", "gevent"]
    Release(module).warn_of_other_requirements()
    assert "with a new version" in module.warnings[0]


def test_the_running_release_is_never_pruned(tmp_path):
    for number in range(1, 5):
        place = tmp_path / "releases" / f"{number}.0.0"
        place.mkdir(parents=True)
        (place / MARKER).write_text("{}")
        os.utime(place / MARKER, (number, number))
    (tmp_path / "releases" / "broken").mkdir()
    (tmp_path / "current").symlink_to("releases/1.0.0")
    assert Release(Module(tmp_path, version="4.0.0")).prune() == ["2.0.0", "3.0.0"]
    assert sorted(os.listdir(tmp_path / "releases")) == ["1.0.0", "4.0.0", "broken"]


def test_a_tool_is_installed_without_its_own_bounds_on_versions(tmp_path):
    source = archive(tmp_path / "p.tar.gz", {"tasks.py": ""})
    module = Module(tmp_path / "root", source=source, bare_requirements=["tool==1.0"])
    Release(module).install()
    installs = [command for command in module.commands if "install" in command]
    assert installs[-1][-3:] == ["--no-deps", "--ignore-requires-python", "tool==1.0"]
    assert "tool==1.0" not in installs[0]


def locked(tmp_path, **params):
    """A module whose release is installed from a lock."""
    (tmp_path / "proj.lock").write_text("celery==5.7.0 --hash=sha256:00")
    return Module(tmp_path / "root", lock=str(tmp_path / "proj.lock"), **params)


def installs(module):
    """The calls of pip that install, from the word on, without the report."""
    found = [command[command.index("install"):] for command in module.commands if "install" in command]
    return [[word for word in command if not word.startswith(("--report", "--quiet")) and "report-" not in word] for command in found]


def test_with_a_lock_pip_gets_nothing_else_to_solve(tmp_path):
    module = locked(tmp_path, source=archive(tmp_path / "p.tar.gz", {"pyproject.toml": "", "proj.py": ""}))
    Release(module).install()
    lock, project = installs(module)
    assert lock == ["install", "--require-hashes", "--requirement", str(tmp_path / "proj.lock")]
    assert project[:-1] == ["install", "--no-index", "--no-deps", "--no-build-isolation"]
    assert module.commands[-2][-1] == "check"


def test_a_package_and_plain_sources_come_from_the_lock_alone(tmp_path):
    for params in ({"source_type": "package", "source": "proj"}, {"source": archive(tmp_path / "p.tar.gz", {"app.py": "", "requirements.txt": "x"})}):
        module = locked(tmp_path, **params)
        Release(module).install()
        assert [command[1] for command in installs(module)] == ["--require-hashes"]


def test_a_locked_tool_passes_over_its_own_bounds(tmp_path):
    module = locked(tmp_path, source_type="package", source="celery", bare_requirements=["tool==1.0"])
    Release(module).install()
    assert installs(module) == [["install", "--no-deps", "--ignore-requires-python", "--require-hashes", "--requirement", str(tmp_path / "proj.lock")]]
    assert not any(command[-1] == "check" for command in module.commands)


def test_a_folder_of_the_host_takes_the_place_of_every_index(tmp_path):
    (tmp_path / "wheels").mkdir()
    module = Module(tmp_path / "root", source_type="package", source="proj", wheel_folder=str(tmp_path / "wheels"))
    Release(module).install()
    assert installs(module)[0][1:4] == ["--no-index", "--find-links", str(tmp_path / "wheels")]
    module.params["wheel_folder"] = "/nowhere"
    with pytest.raises(Failed, match="no folder /nowhere"):
        Release(module).install()


def test_wheels_of_the_controller_do_not_stay(tmp_path):
    wheels = archive(tmp_path / "wheels.tar", {"celery-5.7.0-py3-none-any.whl": "wheel"})
    module = Module(tmp_path / "root", source_type="package", source="proj", wheel_folder=wheels)
    Release(module).install()
    folder = str(tmp_path / "root/releases/1.0.0/wheels")
    assert installs(module)[0][1:4] == ["--no-index", "--find-links", folder]
    assert not os.path.exists(folder)


def test_a_release_lists_what_it_is_made_of_and_from_which_lock(tmp_path):
    module = locked(tmp_path, source_type="package", source="proj")
    Release(module).install()
    reported = json.loads((tmp_path / "root/releases/1.0.0" / SBOM).read_text())
    assert [entry["purl"] for entry in reported["components"]] == ["pkg:pypi/celery@5.7.0"]
    assert sorted(os.listdir(tmp_path / "root/releases/1.0.0")) == [MARKER, SBOM, "src"]
    assert len(Release(module).marker()["lock"]) == 64
