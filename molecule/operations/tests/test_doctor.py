"""The doctor finds each planted fault on the host where it was planted, and nothing on a healthy cluster.

Faults are planted together on different hosts as long as none hides another; the second round needs a network that is
broken between the brokers. The last test is the healthy cluster, so that it also shows that all faults were mended.
"""

from __future__ import annotations

import json

import pytest
from lab.hosts import wait_until

CONFIG = "/etc/celery/proj/celeryconfig.py"
ENVIRONMENT = "/etc/celery/proj/env"
# Containers share the clock of their machine; this lets every Python program of a host read another one.
FAST_CLOCK = "import time; time.time = lambda read=time.time: read() + 600"
SITE_CUSTOM = "$(python3 -c 'import sitecustomize; print(sitecustomize.__file__)')"
SECRETS = ("vault_environment_password", "vault_redis_admin_password", "vault_sentinel_client_password")


@pytest.fixture(name="doctor")
def _doctor(lab, tmp_path):
    """Run the doctor; its exit code and its report."""

    def run(**variables) -> tuple[int, dict]:
        path = tmp_path / "findings.json"
        path.unlink(missing_ok=True)
        done = lab.playbook("playbooks/ops/doctor.yml", check=False, doctor_json_path=str(path), **variables)
        assert path.exists(), done.stdout[-4000:] + done.stderr[-2000:]
        for secret in SECRETS:
            assert lab.secret(secret) not in done.stdout + path.read_text()
        return done.returncode, json.loads(path.read_text())

    return run


class Faults:
    """Faults with their remedies; all are mended at the end, the last one first."""

    def __init__(self, lab) -> None:
        self.lab = lab
        self.remedies: list[tuple[str, str]] = []

    def plant(self, host: str, command: str, remedy: str) -> None:
        # Noted first: a fault that was planted half-way is mended too.
        self.remedies.append((host, remedy))
        self.lab.run(host, command)

    def edit(self, host: str, path: str, expression: str) -> None:
        """Change a file; the remedy restores the very same file, with its time."""
        self.plant(host, f"cp -p {path} {path}.kept && sed -i '{expression}' {path}", f"test -e {path}.kept && mv {path}.kept {path}")

    def mend(self) -> None:
        while self.remedies:
            host, remedy = self.remedies.pop()
            self.lab.run(host, remedy, check=False)


@pytest.fixture(name="faults")
def _faults(lab):
    planted = Faults(lab)
    yield planted
    planted.mend()
    assert wait_until(lambda: healthy(lab), 90) is not None, "the brokers do not recover"


def healthy(lab) -> bool:
    master = lab.sentinel_master()
    others = [host for host in lab.group("brokers") if host != master]
    return bool(others) and all(lab.is_replica(host) and lab.host_at(lab.master_seen_by(host)) == master for host in others)


def found(report: dict, check: str, host: str = "", word: str = "") -> dict:
    """The finding of a check on a host whose message contains a word."""
    for finding in report["findings"]:
        if finding["check"] == check and (not host or host in finding["hosts"]) and word in finding["message"]:
            assert finding["remedy"], finding
            return finding
    raise AssertionError(f"no finding {check} on {host or 'any host'} with {word!r} in {json.dumps(report['findings'], indent=1)}")


def worker_process(lab, host: str) -> tuple[str, str]:
    """The first worker unit of a host, and its main process."""
    unit = lab.run(host, "systemctl list-units --plain --no-legend 'celery-worker-*.service'").split()[0]
    return unit, lab.run(host, f"systemctl show --property MainPID --value {unit}").strip()


def drop(addresses: list[str], port: int | None = None) -> str:
    """Drop what goes to addresses and, without a port, what comes from them."""
    peers = "{ " + ", ".join(addresses) + " }"
    rules = [f"chain out {{ type filter hook output priority -50; ip daddr {peers} {f'tcp dport {port} ' if port else ''}drop; }};"]
    if port is None:
        rules.append(f"chain in {{ type filter hook input priority -50; ip saddr {peers} drop; }};")
    return f"nft 'table inet doctor_test {{ {' '.join(rules)} }}'"


OPEN = "nft delete table inet doctor_test"


def test_faults_on_many_hosts_are_found_in_one_run(lab, doctor, faults):
    master = lab.sentinel_master()
    stopped, other = [host for host in lab.group("brokers") if host != master][:2]
    cpu, io, scheduler, monitor = lab.group("workers_cpu"), lab.group("workers_io")[0], lab.group("schedulers")[-1], lab.group("monitoring")[0]
    far = next(host for host in (other, master) if host != cpu[-1])
    pool = lab.hostvars[io]["celery_worker_pools"][0]
    node, queue = f"{pool['name']}@{io}", pool["queues"][0]
    hung_unit, hung = worker_process(lab, cpu[-1])
    low_unit, low = worker_process(lab, io)
    # Only its own user may change the limits of a process here, these hosts lack the capability.
    prlimit = f"runuser -u celery -- prlimit --pid {low} --nofile"
    limit = lab.run(io, f"{prlimit} --noheadings --output SOFT").strip()

    faults.plant(io, f"celery-proj control --destination {node} cancel_consumer {queue}", f"celery-proj control --destination {node} add_consumer {queue}")
    faults.plant(io, f"{prlimit}=256:", f"{prlimit}={limit}:")
    faults.plant(cpu[-1], f"kill -STOP {hung}", f"kill -CONT {hung}")
    # The port of Sentinel: where brokers and workers share hosts, the other one would cut off a replica.
    faults.plant(cpu[-1], drop([lab.address(far)], 26379), OPEN)
    faults.plant(stopped, "systemctl stop redis-broker.service", "systemctl start redis-broker.service")
    faults.plant(scheduler, "mount -t tmpfs -o size=1m full /srv && ! dd if=/dev/zero of=/srv/full bs=64k 2>/dev/null", "umount /srv")
    faults.plant(io, "nft delete table inet multinode_celery", "systemctl restart multinode-firewall.service")
    faults.plant(scheduler, "nft insert rule inet multinode_celery input accept", "systemctl reload multinode-firewall.service")
    faults.edit(scheduler, CONFIG, "s/^_VHOST = .*/_VHOST = 9/")
    faults.edit(cpu[0], ENVIRONMENT, "s/^MULTINODE_REDIS_PASSWORD=.*/MULTINODE_REDIS_PASSWORD=not-the-password/")
    faults.plant(
        monitor, f'file="{SITE_CUSTOM}" && cp -p "$file" "$file.kept" && echo "{FAST_CLOCK}" >>"$file"',
        f'file="{SITE_CUSTOM}" && mv "$file.kept" "$file"',
    )

    code, report = doctor(doctor_disk_paths=["/", "/srv", "/var/log"])

    assert code != 0
    found(report, "service", stopped, "redis-broker.service is inactive")
    found(report, "credentials", cpu[0], "refuses the user or password")
    found(report, "network", cpu[-1], f"Sentinel of {far}")
    found(report, "nofile", io, f"{low_unit} may open 256 files")
    found(report, "disk", scheduler, "/srv")
    found(report, "clock", monitor, "ahead")
    found(report, "hung", cpu[-1], hung_unit)
    found(report, "queue", io, queue)
    found(report, "environment", scheduler, "vhost 9")
    found(report, "firewall", io, "not loaded")
    found(report, "firewall", scheduler, "not those that were deployed")
    # What follows from a fault is reported as well: files that differ from the inventory.
    found(report, "drift", scheduler, CONFIG)


def test_two_masters_and_a_dead_host_are_found(lab, doctor, faults):
    master = lab.sentinel_master()
    others = [host for host in lab.group("brokers") if host != master]
    busy = {host for group in ("brokers", "workers", "schedulers") for host in lab.group(group)}
    dead = [host for host in lab.group("monitoring") if host not in busy][-1:]
    faults.plant(master, drop([lab.address(host) for host in others]), OPEN)
    assert wait_until(lambda: all(lab.master_seen_by(host) not in ("", lab.address(master)) for host in others), 90) is not None

    try:
        for host in dead:
            lab.docker("pause", lab.container(host))
        code, report = doctor(doctor_host_timeout_seconds=40)
    finally:
        for host in dead:
            lab.docker("unpause", lab.container(host))

    assert code != 0
    assert lab.address(master) in found(report, "masters", master, "2 masters are believed")["message"]
    found(report, "quorum", master)
    for host in dead:
        assert any(host in finding["hosts"] for finding in report["findings"] if finding["check"] in ("unreachable", "no_report"))


def test_healthy_cluster_has_no_findings(lab, doctor):
    code, report = doctor()
    assert report["findings"] == []
    assert code == 0
    assert report["hosts"] == len(lab.group("all"))
    assert report["environments"]["prod"]["queues"], "no queue was looked at"
