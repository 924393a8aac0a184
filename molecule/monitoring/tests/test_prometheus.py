# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics arrive from every host, an alert reaches a person once, and either monitoring host is enough."""

from __future__ import annotations

import base64
import collections.abc as c
import contextlib
import http.server
import json
import ssl
import threading
import time
import typing as t
import urllib.parse
import urllib.request

import pytest
from lab.hosts import Lab, wait_until

QUEUE = "data_export"
BACKLOG = 20


def opener(ca: str) -> urllib.request.OpenerDirector:
    """Connect directly, and trust one CA."""
    context = ssl.create_default_context(cadata=ca)
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


class Receiver:
    """A webhook on the control machine that keeps what Alertmanager posts."""

    def __init__(self, address: str) -> None:
        self.notifications: list[dict[str, t.Any]] = []
        kept = self.notifications

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kept.append({**body, "at": time.time(), "path": self.path, "from": self.client_address[0]})
                self.send_response(200)
                self.end_headers()

            def log_message(self, *unused: object) -> None:
                """Log nothing."""

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reported(self, alert: str, status: str, **labels: str) -> list[dict[str, t.Any]]:
        """Notifications of one alert with one status."""
        return [
            entry
            for entry in self.notifications
            for each in entry["alerts"]
            if each["labels"]["alertname"] == alert and each["status"] == status and labels.items() <= each["labels"].items()
        ]


class Monitor:
    """The pages of one monitoring host, as somebody with the password sees them from outside."""

    def __init__(self, lab: Lab, host: str) -> None:
        self.base = f"https://{lab.address(host)}"
        # The CA that the host itself trusts.
        self.opener = opener(lab.run(host, "cat /etc/multinode-tls/ca.pem"))
        self.credential = base64.b64encode(f"monitoring:{lab.secret('vault_monitoring_ui_password')}".encode()).decode()

    def get(self, path: str, body: t.Any = None) -> t.Any:
        headers = {"Authorization": f"Basic {self.credential}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, headers=headers)
        with self.opener.open(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")

    def query(self, expression: str) -> list[dict[str, t.Any]]:
        return self.get(f"/prometheus/api/v1/query?{urllib.parse.urlencode({'query': expression})}")["data"]["result"]

    def value(self, expression: str) -> float:
        """The single value of an expression, -1 without one."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else -1.0

    def targets(self) -> list[dict[str, t.Any]]:
        return self.get("/prometheus/api/v1/targets?state=active")["data"]["activeTargets"]

    def alertmanager(self, path: str, body: t.Any = None) -> t.Any:
        return self.get(f"/alertmanager/api/v2/{path}", body)


@pytest.fixture(scope="module")
def monitors(lab: Lab) -> dict[str, Monitor]:
    return {host: Monitor(lab, host) for host in lab.group("monitoring")}


@pytest.fixture(scope="module")
def receiver(lab: Lab) -> c.Iterator[Receiver]:
    """Alerts come quickly, and to this test; afterwards everything is as the inventory sets."""
    gateway = lab.address(lab.group("monitoring")[0]).rpartition(".")[0] + ".1"
    receiver = Receiver(gateway)
    fast = {
        "alertmanager_receivers": [{"name": "test", "webhook_urls": [f"{receiver.url}/people"]}],
        "alertmanager_dead_mans_switch_url": f"{receiver.url}/switch",
        "alertmanager_dead_mans_switch_seconds": 5,
        "alertmanager_group_wait_seconds": 2,
        "alertmanager_group_interval_seconds": 5,
        "alertmanager_peer_timeout_seconds": 5,
        "prometheus_scrape_interval_seconds": 5,
        "prometheus_evaluation_interval_seconds": 5,
        "prometheus_alert_queue_backlog_length": BACKLOG,
        "prometheus_alert_queue_backlog_minutes": 0,
    }
    tags = ("--tags", "alertmanager,prometheus")
    lab.playbook("playbooks/monitoring.yml", *tags, **fast)
    yield receiver
    lab.playbook("playbooks/monitoring.yml", *tags)
    receiver.server.shutdown()


def pools(lab: Lab, verb: str) -> None:
    """Start or stop every worker node, as a fault that no playbook knows of."""
    for host in lab.group("workers"):
        lab.run(host, f"systemctl {verb} $(systemctl list-unit-files --no-legend 'celery-worker-*.service' | cut -d' ' -f1)")


@contextlib.contextmanager
def backlog(lab: Lab) -> c.Iterator[None]:
    """Nobody consumes, and more waits in a queue than is allowed."""
    host = lab.group("workers")[0]
    pools(lab, "stop")
    try:
        lab.run(
            host,
            "cd /var/tmp && sudo -u celery env PYTHONPATH=/etc/celery/proj CELERY_CONFIG_MODULE=celeryconfig "
            "/opt/celery/proj/current/venv/bin/python -c 'from celery import Celery\n"
            'app = Celery("tests"); app.config_from_object("celeryconfig")\n'
            f'for number in range({BACKLOG * 2}): app.send_task("proj.tasks.noop", queue="{QUEUE}")\'',
        )
        yield
    finally:
        pools(lab, "start")


def test_every_target_is_up_on_both_hosts(lab: Lab, monitors: dict[str, Monitor]) -> None:
    for host, monitor in monitors.items():
        down = wait_until(lambda monitor=monitor: all(entry["health"] == "up" for entry in monitor.targets()), 60)
        assert down is not None, [(e["labels"], e["lastError"]) for e in monitor.targets() if e["health"] != "up"]
        found = {(entry["labels"]["job"], entry["labels"].get("host", "")) for entry in monitor.targets()}
        assert {name for job, name in found if job == "node"} == set(lab.group("all"))
        assert {name for job, name in found if job == "redis"} == set(lab.group("brokers")), host
        assert {job for job, _name in found} == {"prometheus", "alertmanager", "node", "redis", "sentinel", "celery", "queues"}


def test_redis_and_sentinels_answer(lab: Lab, monitors: dict[str, Monitor]) -> None:
    for monitor in monitors.values():
        assert monitor.value('sum(redis_up{job="redis"})') == len(lab.group("brokers"))
        assert monitor.value("count(redis_sentinel_master_status{master_status='ok'})") == len(lab.group("brokers"))
        assert monitor.value('count(redis_instance_info{role="master"})') == 1


def test_metrics_of_a_host_need_the_password(lab: Lab) -> None:
    for host in (lab.group("workers")[0], lab.group("brokers")[0]):
        # Only the monitoring hosts get so far as to be asked for it.
        code = (
            "import ssl, urllib.request as request; context = ssl.create_default_context(cafile='/etc/multinode-tls/ca.pem'); "
            f"request.urlopen('https://{lab.address(host)}:9100/metrics', timeout=10, context=context)"
        )
        answer = lab.run(lab.group("monitoring")[0], f'python3 -c "{code}" 2>&1', check=False)
        assert "HTTP Error 401" in answer, answer


def test_nothing_of_monitoring_listens_beyond_its_host_without_a_password(lab: Lab) -> None:
    for host in lab.group("monitoring"):
        lines = lab.run(host, "ss -Hltn").splitlines()
        outside = {line.split()[3].rpartition(":")[2] for line in lines if not line.split()[3].startswith(("127.", "[::1]"))}
        assert "443" in outside, lines
        assert not outside & {"9090", "9093", "9121", "9122", "9808", "9809", "5555"}
        shown = lab.run(host, "cat /proc/[0-9]*/cmdline /etc/systemd/system/monitoring-*.service | tr '\\0' ' '")
        secrets = ("vault_monitoring_ui_password", "vault_node_exporter_password", "vault_redis_exporter_password")
        assert not [name for name in secrets if lab.secret(name) in shown]


def test_a_backlog_is_notified_once_and_its_end_too(lab: Lab, monitors: dict[str, Monitor], receiver: Receiver) -> None:
    with backlog(lab):
        assert wait_until(lambda: receiver.reported("HighQueueBacklog", "firing", queue=QUEUE), 90) is not None
        # Time enough for the other host to notify as well, if it would.
        time.sleep(15)
        assert len(receiver.reported("HighQueueBacklog", "firing", queue=QUEUE)) == 1
    assert wait_until(lambda: receiver.reported("HighQueueBacklog", "resolved", queue=QUEUE), 120) is not None
    assert receiver.reported("HighQueueBacklog", "firing", queue=QUEUE)[0]["path"] == "/people"


def test_the_dead_mans_switch_is_held(receiver: Receiver) -> None:
    # Prometheus repeats an alert that goes on once a minute only, to an Alertmanager that has just started too.
    assert wait_until(lambda: len(receiver.reported("DeadMansSwitch", "firing")) >= 2, 180) is not None
    assert not receiver.reported("DeadMansSwitch", "resolved")
    assert all(entry["path"] == "/switch" for entry in receiver.reported("DeadMansSwitch", "firing"))


def test_what_a_broker_refuses_is_reported(lab: Lab, monitors: dict[str, Monitor]) -> None:
    host = lab.group("brokers")[-1]
    attempts = {"RedisAuthFailures": ("not-the-password", "ping"), "RedisAclDenials": (lab.secret("vault_environment_password"), "config get dir")}
    for alert, (password, command) in attempts.items():
        refused = lab.run(host, f"REDISCLI_AUTH='{password}' redis-cli --no-auth-warning --user prod {lab.cli_options(host)} {command} 2>&1", check=False)
        assert "WRONGPASS" in refused or "NOPERM" in refused, refused
        for monitor in monitors.values():
            # A person is notified, with the host.
            fires = f'count(ALERTS{{alertname="{alert}", alertstate="firing", severity="warning", host="{host}"}})'
            assert wait_until(lambda monitor=monitor, fires=fires: monitor.value(fires) == 1, 60) is not None, alert


def test_silences_are_shared_and_survive(lab: Lab, monitors: dict[str, Monitor], receiver: Receiver) -> None:
    first, second = monitors.values()
    now = time.time()
    stamps = [time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment)) for moment in (now, now + 600)]
    silence = first.alertmanager("silences", {
        "matchers": [{"name": "alertname", "value": "Nothing", "isRegex": False, "isEqual": True}],
        "startsAt": stamps[0], "endsAt": stamps[1], "createdBy": "tests", "comment": "survives a restart",
    })["silenceID"]

    def known(monitor: Monitor) -> bool:
        with contextlib.suppress(OSError):
            return silence in [entry["id"] for entry in monitor.alertmanager("silences")]
        return False

    assert wait_until(lambda: known(second), 30) is not None
    for host in monitors:
        lab.run(host, "systemctl restart monitoring-alertmanager.service")
    assert wait_until(lambda: known(first) and known(second), 30) is not None


def test_one_monitoring_host_is_enough(lab: Lab, monitors: dict[str, Monitor], receiver: Receiver) -> None:
    victim, survivor = list(monitors)
    before = len(receiver.reported("HighQueueBacklog", "firing", queue=QUEUE))
    lab.kill(victim)
    try:
        killed = time.time()
        assert wait_until(lambda: monitors[survivor].value("time() - max(timestamp(multinode_queue_length))") < 15, 30) is not None
        with backlog(lab):
            assert wait_until(lambda: len(receiver.reported("HighQueueBacklog", "firing", queue=QUEUE)) > before, 120) is not None
            print(f"\nnotified {time.time() - killed:.0f} s after a monitoring host was killed")
            time.sleep(15)
            assert len(receiver.reported("HighQueueBacklog", "firing", queue=QUEUE)) == before + 1
    finally:
        lab.start(victim)

    def complete() -> bool:
        with contextlib.suppress(OSError):
            targets = [monitor.targets() for monitor in monitors.values()]
            return all(targets) and all(entry["health"] == "up" for some in targets for entry in some)
        return False

    assert wait_until(complete, 120) is not None


def test_metrics_return_after_a_failover(lab: Lab, monitors: dict[str, Monitor]) -> None:
    if len(lab.group("brokers")) < 3:
        pytest.skip("one broker has no replica to switch over to")
    monitor = next(iter(monitors.values()))
    old = lab.sentinel_master()
    lab.kill(old)
    try:
        moved = wait_until(lambda: lab.sentinel_master() != old, 60)
        assert moved is not None
        back = wait_until(lambda: fresh(monitor), 60)
        assert back is not None
        print(f"\nqueue metrics of the new master {back:.1f} s after it was elected")
    finally:
        lab.start(old)
    assert wait_until(lambda: lab.is_replica(old), 60) is not None


def fresh(monitor: Monitor) -> bool:
    """Whether the last reading of the queues reached a master, and is a new one."""
    return monitor.value("multinode_queues_up") == 1 and monitor.value("time() - max(timestamp(multinode_queue_length))") < 10


def test_a_second_run_changes_nothing(lab: Lab, receiver: Receiver) -> None:
    lab.playbook("playbooks/monitoring.yml", "--tags", "alertmanager,prometheus")
    again = lab.playbook("playbooks/monitoring.yml", "--skip-tags", "grafana_dashboards")
    changed = [line for line in again.stdout.splitlines() if "changed=" in line]
    assert changed and all("changed=0" in line for line in changed), again.stdout
