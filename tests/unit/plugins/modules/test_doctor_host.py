# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells the doctor: files and processes are real, the brokers and the programs that it asks are fakes."""

from __future__ import annotations

import collections.abc as c
import hashlib
import os
import pathlib
import resource
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.modules import doctor_host
from fake_redis import FakeRedis
from module_run import FAKE_NFT, FAKE_SYSTEMCTL, FAKE_UNSHARE, FakePrograms, ModuleRun

SHOWN = """Id=a.service
LoadState=loaded
ActiveState=active
SubState=running
Result=success
MainPID={pid}
Type=simple
UnitFileState=enabled

Id=b.service
LoadState=loaded
ActiveState=failed
SubState=failed
Result=exit-code
MainPID=0
Type=oneshot
UnitFileState=disabled
"""


@pytest.fixture(name="programs")
def _programs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    (tmp_path / "bin").mkdir()
    programs = FakePrograms(tmp_path / "bin", monkeypatch)
    programs.state.with_name("state.shown").write_text(SHOWN.format(pid=os.getpid()))
    for name, script in (("systemctl", FAKE_SYSTEMCTL), ("nft", FAKE_NFT), ("unshare", FAKE_UNSHARE)):
        programs.add(name, script)
    programs.add("supervisorctl", f"echo 'celery:video   RUNNING   pid {os.getpid()}, uptime 0:00:01'; echo 'io   FATAL   Exited too quickly'; exit 3")
    return programs


@pytest.fixture(name="run")
def _run(programs: FakePrograms, capsys: pytest.CaptureFixture[str]) -> c.Callable[..., dict[str, t.Any]]:
    run = ModuleRun(doctor_host, capsys)

    def report(**options: t.Any) -> dict[str, t.Any]:
        result = run(**{"timeout_seconds": 1, **options})
        assert result["changed"] is False
        return result["report"]

    return report


def test_every_section_is_reported_and_none_fails(run) -> None:
    report = run()
    assert report["errors"] == {}
    empty = {name: value for name, value in report.items() if not value}
    assert empty.keys() == {"errors", "services", "sysctl", "paths", "program", "connections", "redis", "firewall", "sentinel"}
    assert report["facts"]["processor_nproc"] == len(os.sched_getaffinity(0)) and report["memory"]["MemTotal"] > 100


def test_services_are_reported_with_their_processes(run, tmp_path: pathlib.Path) -> None:
    new, old = tmp_path / "new.service", tmp_path / "old.service"
    new.touch()
    old.touch()
    os.utime(new, (os.stat(new).st_mtime + 60,) * 2)
    os.utime(old, (1, 1))
    names = [{"unit": "a.service", "nofile": 7, "paths": [str(old), str(new)]}, {"unit": "b.service"}, {"unit": "gone.service"}]
    a, b, gone = run(services=names)["services"]
    assert (a["known"], a["active"], a["enabled"], a["oneshot"], a["detail"], a["wanted_nofile"]) == (True, "active", True, False, "running", 7)
    assert (a["process"]["pid"], a["process"]["newer"]) == (os.getpid(), str(new))
    assert a["process"]["nofile"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0] and a["process"]["opened"] > 2
    assert (b["active"], b["detail"], b["oneshot"], b["enabled"], b["process"]) == ("failed", "failed/exit-code", True, False, None)
    assert (gone["known"], gone["active"]) == (False, "")


def test_programs_of_supervisor_are_reported(run) -> None:
    video, io, gone = run(services=[{"program": name} for name in ("video", "io", "gone")])["services"]
    assert (video["known"], video["active"], video["process"]["pid"]) == (True, "active", os.getpid())
    assert (io["known"], io["active"], io["detail"], io["process"]) == (True, "inactive", "fatal", None)
    assert not gone["known"]


def test_a_service_manager_that_hangs_is_given_a_time(run, programs: FakePrograms) -> None:
    programs.add("timeout", 'exit 124\n')
    assert [entry["known"] for entry in run(services=[{"unit": "a.service"}])["services"]] == [False]
    assert programs.calls("timeout")[0].startswith(f"timeout {doctor_host.COMMAND_SECONDS} systemctl show")


def test_paths_are_described_and_contents_only_digested(run, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_text("secret")
    file.chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    paths = run(paths=[str(file), f"{tmp_path}/link", str(tmp_path), f"{tmp_path}/gone"])["paths"]
    reported = paths[str(file)]
    assert (reported["kind"], reported["mode"], reported["sha256"]) == ("file", "0640", hashlib.sha256(b"secret").hexdigest())
    assert paths[f"{tmp_path}/link"] == {"kind": "link", "target": "file"}
    assert paths[str(tmp_path)]["kind"] == "directory" and paths[f"{tmp_path}/gone"] is None
    assert "'secret'" not in str(paths)


def test_parameters_of_the_kernel_and_disks_are_reported(run, tmp_path: pathlib.Path) -> None:
    report = run(sysctl=["kernel.ostype", "no.such.parameter"], disk_paths=["/", f"{tmp_path}/not/there/yet", "/"])
    assert report["sysctl"] == {"kernel.ostype": "Linux", "no.such.parameter": ""}
    assert report["disks"] and all(disk["size_mb"] > 0 for disk in report["disks"])
    assert len({disk["device"] for disk in report["disks"]}) == len(report["disks"])


@pytest.mark.parametrize(("live", "loaded", "as_kept"), [("table inet t { new; }", True, True), ("table inet t { by_hand; }", True, False), ("", False, False)])
def test_the_firewall_is_compared_with_its_file(run, programs: FakePrograms, tmp_path: pathlib.Path, live: str, loaded: bool, as_kept: bool) -> None:
    if live:
        programs.state.with_name("state.table").write_text(f"{live}\n")
    (tmp_path / "rules.nft").write_text("# kept\ntable inet t { new; }\n")
    assert run(firewall={"table": "t", "path": f"{tmp_path}/rules.nft"})["firewall"] == {"loaded": loaded, "as_kept": as_kept}


def test_a_section_that_fails_is_reported_and_keeps_none_of_the_others(run, programs: FakePrograms, tmp_path: pathlib.Path) -> None:
    programs.state.with_name("state.table").write_text("table inet t { new; }\n")
    (tmp_path / "rules.nft").write_text("wrong\n")
    report = run(firewall={"table": "t", "path": f"{tmp_path}/rules.nft"}, sysctl=["kernel.ostype"])
    assert "firewall" not in report and report["errors"].keys() == {"firewall"}
    assert "nft refuses the rules" in report["errors"]["firewall"] and report["sysctl"] == {"kernel.ostype": "Linux"}


def program(folder: pathlib.Path) -> dict[str, t.Any]:
    """A deployed application."""
    (folder / "environment").write_text("MULTINODE_REDIS_PASSWORD='redis password'\nMULTINODE_SENTINEL_PASSWORD=sentinel-password\n")
    (folder / "celeryconfig.py").write_text("_VHOST = 3\n_KEY_PREFIX = 'prod:'\n_USER = 'prod'\n")
    (folder / "releases/7/venv/bin").mkdir(parents=True)
    (folder / "releases/7/venv/bin/python").touch()
    (folder / "current").symlink_to("releases/7")
    (folder / "celery-worker-video.service").touch()
    return {
        "environment_file": f"{folder}/environment", "config_file": f"{folder}/celeryconfig.py", "current": f"{folder}/current",
        "user": "prod", "vhost": "3", "sentinel_user": "client", "drain_marker": f"{folder}/drained", "node_globs": [f"{folder}/celery-worker-*.service"],
    }  # fmt: skip


def test_the_application_is_reported_without_its_secrets(run, tmp_path: pathlib.Path) -> None:
    deployed = program(tmp_path)
    reported = run(program=deployed)["program"]
    assert reported == {
        "drained": False, "credentials": True, "configured": {"vhost": "3", "key_prefix": "prod:", "user": "prod"}, "release": "7", "python": True,
        "nodes": ["celery-worker-video"],
    }  # fmt: skip
    # A marker that leads nowhere is one.
    (tmp_path / "drained").symlink_to("nowhere")
    (tmp_path / "environment").unlink()
    (tmp_path / "current").unlink()
    reported = run(program=deployed)["program"]
    assert (reported["drained"], reported["credentials"], reported["release"], reported["python"]) == (True, False, "", False)


@pytest.fixture(name="redis")
def _redis() -> c.Iterator[FakeRedis]:
    with FakeRedis({"prod": "redis password", "admin": "secret"}) as redis:
        redis.info["server"].update(redis_version="7.4.0", uptime_in_seconds="5")
        yield redis


@pytest.fixture(name="sentinel")
def _sentinel() -> c.Iterator[FakeRedis]:
    with FakeRedis({"client": "sentinel-password", "admin": "secret"}) as sentinel:
        sentinel.masters = {"celery": {"ip": "192.0.2.1", "port": "6379", "quorum": "2", "flags": "master"}}
        yield sentinel


def brokers(redis: FakeRedis, sentinel: FakeRedis) -> dict[str, t.Any]:
    node = {"host": "broker-1", "address": "127.0.0.1"}
    return {"nodes": [node], "sentinel_nodes": [node], "port": redis.port, "sentinel_port": sentinel.port, "master_name": "celery", "quorum": 1, "tls": {}}


def test_brokers_are_tried_as_the_application_does(run, redis, sentinel, tmp_path: pathlib.Path) -> None:
    first, second = run(brokers=brokers(redis, sentinel), program=program(tmp_path))["connections"]
    assert (first["kind"], first["host"], first["port"], first["status"]) == ("redis", "broker-1", redis.port, "ok")
    assert (second["kind"], second["status"], second["master"]) == ("sentinel", "ok", "192.0.2.1:6379")
    assert [argv for argv in redis.commands if argv[0] in ("AUTH", "SELECT")] == [["AUTH", "prod", "redis password"], ["SELECT", "3"]]
    assert sentinel.sent("AUTH") == [["AUTH", "client", "sentinel-password"]]


def test_a_refused_password_is_distinguished_from_a_server_that_is_gone(run, redis, sentinel, tmp_path: pathlib.Path) -> None:
    redis.passwords = {"prod": "another one"}
    deployed, asked = program(tmp_path), brokers(redis, sentinel)
    with FakeRedis() as gone:
        asked["sentinel_port"] = gone.port
    connections = run(brokers=asked, program=deployed)["connections"]
    assert [one["status"] for one in connections] == ["denied", "refused"]
    assert "redis password" not in str(connections)


def test_without_credentials_a_host_only_connects(run, redis, sentinel, tmp_path: pathlib.Path) -> None:
    deployed = program(tmp_path)
    (tmp_path / "environment").unlink()
    for given in ({}, deployed):
        assert [one["status"] for one in run(brokers=brokers(redis, sentinel), program=given)["connections"]] == ["ok", "ok"]
    assert redis.commands == sentinel.commands == []


def test_a_broker_reports_its_own_servers(run, redis, sentinel) -> None:
    own = {"host": "broker-1", "address": "127.0.0.1", "user": "admin", "password": "secret"}
    report = run(redis={**own, "port": redis.port}, sentinel={**own, "port": sentinel.port}, brokers=brokers(redis, sentinel))
    assert report["errors"] == {}
    assert (report["redis"]["view"]["role"], report["redis"]["info"]["redis_version"]) == ("master", "7.4.0")
    assert "process_id" not in report["redis"]["info"]
    assert (report["sentinel"]["view"]["master"], report["sentinel"]["sentinels"]) == ("192.0.2.1:6379", [])
    denied = run(redis={**own, "password": "other", "port": redis.port})["redis"]
    assert (denied["view"]["status"], denied["info"]) == ("denied", {})
