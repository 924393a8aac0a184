"""Releases from every kind of source, one after the other on one host that has no way out, and back to the first."""

from __future__ import annotations

import functools
import http.server
import ipaddress
import shutil
import subprocess
import sys
import threading

import pytest
from lab import ROOT, workers
from lab.playbooks import run_playbook
from packaging.utils import parse_wheel_filename

testinfra_hosts = ["ansible://workers"]
# No public index has a project of this name, so that nothing else can be installed in its place.
NAME = "multinode-celery-example"


def deploy(version: str, **variables: object) -> str:
    """Run the playbook of the workers with another release; ANSIBLE_INVENTORY names the inventories."""
    arguments = ("--tags", "celery_app,celery_worker")
    return run_playbook("playbooks/workers.yml", *arguments, celery_app_version=version, **variables).stdout


def assert_runs(host, version: str) -> None:
    """Expect a task of the application from a worker of this release."""
    assert host.check_output("readlink /opt/celery/proj/current") == f"releases/{version}"
    assert f"/releases/{version}/" in workers.arguments(host, workers.main_process(host, "general"))[0]
    assert workers.send(host, "proj.tasks.long", [0.5], "default")["answers"][0]["node"].startswith("general@")


@pytest.fixture(name="example", scope="module")
def _example(tmp_path_factory):
    """A copy of the example under a name of its own."""
    copy = tmp_path_factory.mktemp("example") / "source"
    shutil.copytree(ROOT / "examples" / "proj", copy, ignore=shutil.ignore_patterns("__pycache__"))
    description = (copy / "pyproject.toml").read_text()
    # Without a version of its own the source of kind package means the version of the release.
    for previous, wanted in (('name = "proj"', f'name = "{NAME}"'), ('version = "1.0.0"', 'version = "1.3.0"')):
        assert previous in description
        description = description.replace(previous, wanted, 1)
    (copy / "pyproject.toml").write_text(f'{description}\n[tool.flit.module]\nname = "proj"\n')
    return copy


@pytest.fixture(name="wheel", scope="module")
def _wheel(example):
    """The example as a wheel."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", example.parent / "wheels", example]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = (example.parent / "wheels").iterdir()
    return wheel


@pytest.fixture(name="index", scope="module")
def _index(wheel, tmp_path_factory):
    """A package index with the wheel and all that it needs, on the lab's own network."""
    root = tmp_path_factory.mktemp("index")
    for file in (wheel, *(ROOT / ".lab" / "single" / "wheels").iterdir()):
        project = root / parse_wheel_filename(file.name)[0]
        project.mkdir(exist_ok=True)
        shutil.copy(file, project)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=root)
    command = ["docker", "network", "inspect", "single", "--format", "{{(index .IPAM.Config 0).Subnet}}"]
    network = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    # The first address of a bridge network is this machine's own.
    address = str(ipaddress.ip_network(network)[1])
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{address}:{server.server_port}", address
        server.shutdown()


def test_a_wheel(host, wheel):
    deploy("1.1.0", celery_app_source_type="archive", celery_app_source=str(wheel))
    assert_runs(host, "1.1.0")


def test_a_git_repository(host, example):
    git = ["git", "-C", example, "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Release"], ["tag", "v1.2.0"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True)
    deploy("1.2.0", celery_app_source_type="git", celery_app_source=str(example), celery_app_source_revision="v1.2.0")
    assert_runs(host, "1.2.0")


def test_a_package_of_an_index(host, index):
    url, address = index
    deploy(
        "1.3.0",
        celery_app_source_type="package",
        celery_app_source=NAME,
        # No lock of the world's names this project.
        celery_app_lock="",
        celery_app_wheel_folder="",
        celery_app_pip_arguments=["--index-url", url, "--trusted-host", address],
    )
    assert_runs(host, "1.3.0")


def test_a_kept_release_comes_back_by_its_link(host):
    built = host.check_output("stat -c %Y /opt/celery/proj/releases/1.0.0/.complete")
    deploy("1.0.0")
    assert_runs(host, "1.0.0")
    assert host.check_output("stat -c %Y /opt/celery/proj/releases/1.0.0/.complete") == built
