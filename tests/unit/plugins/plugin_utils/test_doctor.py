# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor's findings from what hosts reported: nothing on a healthy cluster, and one finding for each fault."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.plugin_utils import doctor, doctor_brokers, doctor_hosts, doctor_workers

HOST_CHECKS = (*doctor_hosts.CHECKS, *doctor_brokers.CHECKS)
THRESHOLDS = {
    "disk_free_percent_min": 10, "disk_free_mb_enough": 5120, "memory_available_percent_min": 5, "clock_offset_seconds_max": 2,
    "queue_length_max": 100, "queue_age_seconds_max": 3600, "unacked_age_seconds_max": 7200, "complete": True,
}  # fmt: skip
NAMES = ("b-1", "b-2", "b-3")
NODES = [{"host": name, "address": f"192.0.2.{number}"} for number, name in enumerate(NAMES, 1)]
BROKERS = {"nodes": NODES, "sentinel_nodes": NODES, "port": 6379, "sentinel_port": 26379, "master_name": "celery", "quorum": 2}
MASTER = "192.0.2.1:6379"


def service(name: str, nofile: int = 65536) -> dict[str, t.Any]:
    process = {"pid": 7, "state": "S", "nofile": nofile, "opened": 20, "newer": None}
    return {
        "name": name, "known": True, "active": "active", "detail": "running", "oneshot": False, "enabled": True, "pid": 7,
        "wanted_nofile": 65536, "process": process,
    }  # fmt: skip


def connection(kind: str, node: dict[str, str], status: str = "ok", message: str = "") -> dict[str, t.Any]:
    port = BROKERS["port" if kind == "redis" else "sentinel_port"]
    return {"kind": kind, **node, "port": port, "status": status, "message": message, "master": ""}


def report(*services: dict[str, t.Any]) -> dict[str, t.Any]:
    return {
        "errors": {}, "ceiling": 65536, "services": list(services), "memory": {"MemTotal": 4000, "MemAvailable": 3000},
        "disks": [{"path": "/", "size_mb": 90000, "free_mb": 50000, "free_percent": 55.0, "free_inodes_percent": 90.0}],
        "sysctl": {"vm.overcommit_memory": "1"}, "firewall": {"loaded": True, "as_kept": True},
        "connections": [connection(kind, node) for kind in ("redis", "sentinel") for node in NODES],
    }  # fmt: skip


def broker(number: int) -> dict[str, t.Any]:
    node = NODES[number]
    own = {**node, "status": "ok", "message": ""}
    redis = {**own, "role": "replica", "master": MASTER, "link_up": True, "offset": 5, "replicas": 0, "has_keys": True}
    if number == 0:
        redis.update(role="master", master="", replicas=2)
    sentinel = {
        **own, "master": MASTER, "flags": ("master",), "quorum": 2, "known_sentinels": 3, "known_replicas": 2,
        "quorum_reached": True, "quorum_message": "OK 3 usable Sentinels",
    }  # fmt: skip
    reported = report(service("redis-broker.service"), service("redis-broker-sentinel.service"))
    reported["redis"] = {"view": redis, "info": {"used_memory": "1000", "maxmemory": "100000", "connected_clients": "9", "maxclients": "1000"}}
    others = [f"{other['address']}:26379" for other in NODES if other is not node]
    reported["sentinel"] = {"view": sentinel, "sentinels": others, "replicas": ["192.0.2.2:6379", "192.0.2.3:6379"]}
    expected = {"roles": ["limits", "firewall", "redis", "redis_sentinel"], "brokers": BROKERS, "sysctl": {"vm.overcommit_memory": 1}}
    return {"status": "ok", "expected": expected, "report": reported}


def worker(name: str) -> dict[str, t.Any]:
    reported = report(service("celery-worker-video.service"))
    environment = {"name": "prod", "vhost": "0", "key_prefix": "prod:", "user": "prod"}
    reported["program"] = {"credentials": True, "configured": dict(environment), "release": "1", "python": True, "nodes": ["celery-worker-video"]}
    node = {"name": "video", "node": f"video@{name}", "service": "celery-worker-video", "queues": ["video"], "log_file": "/srv/log/video.log"}
    expected = {
        "roles": ["limits", "firewall", "celery_app", "celery_worker"], "brokers": BROKERS, "nodes": [node], "queues": ["video"], "release": "1",
        "environment": environment, "app": {"name": "proj"}, "sysctl": {},
    }  # fmt: skip
    return {"status": "ok", "expected": expected, "report": reported, "nodes": [node["node"]], "logged_in": True}


class Case:
    """A healthy cluster of three brokers and two workers that a test breaks."""

    def __init__(self) -> None:
        self.hosts = {**{name: broker(number) for number, name in enumerate(NAMES)}, "w-1": worker("w-1"), "w-2": worker("w-2")}
        answer = {"ping": {"ok": "pong"}, "active_queues": [{"name": "video"}]}
        self.nodes: dict[str, t.Any] = {"nodes": {"video@w-1": dict(answer), "video@w-2": dict(answer)}, "missing": []}
        self.queues: dict[str, t.Any] = {
            "queues": {"video": {"length": 3, "oldest_seconds": 2.0, "tasks": {"proj.encode": 3}}},
            "unacked": {"count": 1, "unacked_seconds": 20.0},
        }
        self.query_host = "w-1"

    def reported(self, name: str) -> dict[str, t.Any]:
        return self.hosts[name]["report"]

    def findings(self) -> list[doctor.Finding]:
        hosts = [doctor.make_host(name, result) for name, result in self.hosts.items()]
        environments = [
            doctor.Environment(members, self.query_host if name == "prod" else "", self.nodes, self.queues, THRESHOLDS)
            for name, members in doctor.environments(hosts).items()
        ]
        return doctor.evaluate(doctor.Cluster(hosts, THRESHOLDS), environments, HOST_CHECKS, doctor_workers.CHECKS)

    def only(self) -> doctor.Finding:
        found = self.findings()
        assert len(found) == 1, found
        return found[0]


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_healthy_cluster_has_no_findings(case: Case) -> None:
    assert case.findings() == []


def test_unreachable_host(case: Case) -> None:
    case.hosts["w-2"] = {"unreachable": True, "msg": "Connection timed out"}
    finding = case.only()
    assert (finding.check, finding.hosts) == ("unreachable", ("w-2",))
    assert "Connection timed out" in finding.message


def test_host_without_report(case: Case) -> None:
    case.hosts["w-2"] = {"failed": True, "msg": "Timed out after 60 second(s)."}
    assert case.only().check == "no_report"


def test_unreadable_inventory(case: Case) -> None:
    case.hosts["w-2"]["expected"]["problems"] = {"cluster_environment": "'vault_environment_password' is undefined"}
    case.hosts["w-2"]["expected"]["environment"] = {"vhost": "", "key_prefix": "", "user": ""}
    assert case.only().check == "inventory"


def test_stopped_redis_is_reported_once(case: Case) -> None:
    reported = case.reported("b-3")
    reported["services"][0].update(active="inactive", detail="dead", process=None)
    reported["redis"] = {"view": {**reported["redis"]["view"], "status": "refused", "message": "nothing listens there"}, "info": {}}
    for name in ("w-1", "w-2", "b-1"):
        case.reported(name)["connections"][2] = connection("redis", NODES[2], "refused")
    finding = case.only()
    assert (finding.check, finding.hosts) == ("service", ("b-3",))
    assert "redis-broker.service is inactive (dead)" in finding.message


def test_hung_redis(case: Case) -> None:
    case.reported("b-2")["redis"]["view"].update(status="timeout", message="192.0.2.2:6379: timed out")
    finding = case.only()
    assert (finding.check, finding.hosts) == ("redis", ("b-2",))


def test_wrong_password(case: Case) -> None:
    case.reported("w-2")["connections"][:3] = [connection("redis", node, "denied", "WRONGPASS") for node in NODES]
    finding = case.only()
    assert (finding.check, finding.hosts) == ("credentials", ("w-2",))
    assert "b-1, b-2, b-3" in finding.message


def test_closed_firewall(case: Case) -> None:
    case.reported("w-2")["connections"][1] = connection("redis", NODES[1], "timeout", "timed out")
    finding = case.only()
    assert (finding.check, finding.hosts) == ("network", ("w-2",))
    assert "b-2" in finding.message and "6379" in finding.message


def test_several_hosts_with_one_fault_are_reported_together(case: Case) -> None:
    for name in ("w-1", "w-2"):
        case.reported(name)["connections"][4] = connection("sentinel", NODES[1], "timeout", "timed out")
    assert case.only().hosts == ("w-1", "w-2")


def test_low_descriptor_limit(case: Case) -> None:
    case.reported("w-1")["services"][0]["process"]["nofile"] = 256
    finding = case.only()
    assert finding.check == "nofile" and "256" in finding.message


def test_limit_above_the_ceiling_is_no_finding(case: Case) -> None:
    case.reported("w-1")["ceiling"] = 20000
    case.reported("w-1")["services"][0]["process"]["nofile"] = 20000
    assert case.findings() == []


def test_two_masters(case: Case) -> None:
    case.reported("b-1")["sentinel"]["view"]["master"] = "192.0.2.3:6379"
    case.reported("b-3")["redis"]["view"].update(role="master", master="")
    messages = [finding.message for finding in case.findings() if finding.check == "masters"]
    assert any(message.startswith("2 masters are believed") for message in messages)
    assert "2 brokers act as masters: b-1, b-3" in messages


def test_lost_quorum(case: Case) -> None:
    case.reported("b-2")["sentinel"]["view"].update(quorum_reached=False, quorum_message="NOQUORUM 1 usable Sentinels")
    assert case.only().check == "quorum"


def test_unknown_sentinel(case: Case) -> None:
    case.reported("b-2")["sentinel"]["sentinels"].append("192.0.2.9:26379")
    finding = case.only()
    assert finding.check == "ghosts" and "192.0.2.9:26379" in finding.message


def test_replica_without_link(case: Case) -> None:
    case.reported("b-2")["redis"]["view"]["link_up"] = False
    assert case.only().check == "replication"


def test_full_memory_of_redis(case: Case) -> None:
    case.reported("b-1")["redis"]["info"]["used_memory"] = "99000"
    assert (case.only().check, case.only().severity) == ("memory", doctor.ERROR)


@pytest.mark.parametrize(("reported", "severity"), [((False, False), doctor.ERROR), ((True, False), doctor.WARNING)])
def test_rules_that_are_not_those_deployed(case: Case, reported: tuple[bool, bool], severity: str) -> None:
    case.reported("b-2")["firewall"] = dict(zip(("loaded", "as_kept"), reported))
    finding = case.only()
    assert (finding.check, finding.severity, finding.hosts) == ("firewall", severity, ("b-2",))


def test_a_firewall_that_is_switched_off(case: Case) -> None:
    case.reported("b-2")["firewall"] = {}
    assert case.findings() == []


def test_full_disk(case: Case) -> None:
    case.reported("w-1")["disks"].append({"path": "/var/log", "size_mb": 100, "free_mb": 0, "free_percent": 0.0, "free_inodes_percent": 90.0})
    finding = case.only()
    assert (finding.check, finding.severity) == ("disk", doctor.ERROR)


def test_a_small_share_of_a_huge_disk_is_enough(case: Case) -> None:
    case.reported("w-1")["disks"][0].update(free_percent=5.0, free_mb=900000)
    assert case.findings() == []


def test_hanging_disk(case: Case) -> None:
    case.reported("w-1")["disks"] = [{"path": "/var/log", "hangs": True}]
    assert case.only().check == "disk"


@pytest.mark.parametrize("offset", [600.0, -600.0])
def test_clock(case: Case, offset: float) -> None:
    case.hosts["w-1"]["clock_offset_seconds"] = offset
    assert case.only().check == "clock"


def test_stopped_worker_is_reported_once(case: Case) -> None:
    case.reported("w-1")["services"][0]["process"]["state"] = "T"
    case.nodes["missing"], _answer = ["video@w-1"], case.nodes["nodes"].pop("video@w-1")
    finding = case.only()
    assert (finding.check, finding.hosts) == ("hung", ("w-1",))


def test_unreachable_worker(case: Case) -> None:
    case.nodes["missing"], _answer = ["video@w-1"], case.nodes["nodes"].pop("video@w-1")
    finding = case.only()
    assert (finding.check, finding.hosts) == ("workers", ("w-1",))
    assert "/srv/log/video.log" in finding.remedy


def test_queue_without_consumer(case: Case) -> None:
    for answer in case.nodes["nodes"].values():
        answer["active_queues"] = []
    finding = case.only()
    assert (finding.check, finding.severity, finding.hosts) == ("queue", doctor.ERROR, ("w-1", "w-2"))


def test_one_node_that_does_not_consume(case: Case) -> None:
    case.nodes["nodes"]["video@w-2"]["active_queues"] = []
    assert (case.only().severity, case.only().hosts) == (doctor.WARNING, ("w-2",))


def test_queue_that_no_pool_names(case: Case) -> None:
    case.hosts["w-1"]["expected"]["queues"] = ["video", "forgotten"]
    assert "forgotten" in case.only().message


def test_wrong_vhost(case: Case) -> None:
    case.reported("w-1")["program"]["configured"]["vhost"] = "5"
    finding = case.only()
    assert finding.check == "environment" and "vhost 5, the inventory sets 0" in finding.message


def test_old_messages(case: Case) -> None:
    case.queues["queues"]["video"]["oldest_seconds"] = 4000.0
    assert "the oldest for 4000 s" in case.only().message


def test_messages_unacked_too_long(case: Case) -> None:
    case.queues["unacked"]["unacked_seconds"] = 9000.0
    assert case.only().check == "unacked"


def test_drift(case: Case) -> None:
    case.hosts["w-1"]["differences"] = {"/etc/systemd/system/celery-worker-video.service": "has another content"}
    assert case.only().check == "drift"


def test_other_release_is_not_reported_as_drift(case: Case) -> None:
    case.hosts["w-1"]["differences"] = {"/opt/celery/proj/current": "points to releases/2, not to releases/1"}
    case.reported("w-1")["program"]["release"] = "2"
    assert case.only().message == "Release 2 is deployed, the inventory sets 1"


def test_node_that_the_inventory_does_not_name(case: Case) -> None:
    case.reported("w-1")["program"]["nodes"].append("celery-worker-old")
    assert "celery-worker-old" in case.only().message


def test_process_older_than_its_files(case: Case) -> None:
    case.reported("w-1")["services"][0]["process"]["newer"] = "/etc/celery/proj/celeryconfig.py"
    assert case.only().check == "stale"


def test_kernel_parameter(case: Case) -> None:
    case.reported("b-1")["sysctl"]["vm.overcommit_memory"] = "0"
    assert case.only().check == "kernel"


def test_drained_host_is_a_note(case: Case) -> None:
    case.reported("w-2")["program"]["drained"] = True
    case.reported("w-2")["services"][0].update(active="inactive", process=None)
    case.nodes["nodes"].pop("video@w-2")
    assert (case.only().severity, case.only().check) == (doctor.INFO, "drained")


def test_no_query_host(case: Case) -> None:
    case.query_host, case.nodes, case.queues = "", {}, {}
    assert case.only().check == "workers"


def test_each_environment_is_evaluated_by_the_answers_of_its_own_workers(case: Case) -> None:
    case.hosts["w-3"] = worker("w-3")
    case.hosts["w-3"]["expected"]["environment"]["name"] = "sensitive"
    (finding,) = case.findings()
    # The queue has the name of one that another environment consumes.
    assert finding.check == "workers" and "could not be asked" in finding.message


def test_a_check_that_breaks_does_not_hide_the_others(case: Case) -> None:
    case.reported("w-1")["services"][0]["process"] = {"pid": 7}
    case.hosts["w-2"]["clock_offset_seconds"] = 60.0
    assert {finding.check for finding in case.findings()} >= {"doctor", "clock"}


def test_table_is_aligned_and_names_everything(case: Case) -> None:
    case.hosts["w-1"]["clock_offset_seconds"] = 60.0
    lines = doctor.table(case.findings())
    assert lines[0].split() == ["SEVERITY", "HOST", "FINDING", "REMEDY"]
    assert lines[1].startswith("error     w-1   The clock is 60 s ahead")
    assert all(len(line) <= 140 for line in lines)


def test_exit_code_follows_the_severity_asked_for(case: Case) -> None:
    case.nodes["nodes"]["video@w-2"]["active_queues"] = []
    found = case.findings()
    assert [doctor.fails(found, least) for least in ("error", "warning", "info", "never")] == [False, True, True, False]
