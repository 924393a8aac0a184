"""Attempts to get in from six positions, each refused for the stated reason, and each with the one who may.

The table is in molecule/security/attack_cases.py. What was answered is written to reports/attack_cases.md.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest
from lab import ROOT
from lab.hosts import Lab
from security.attack_cases import ATTACK_CASES, PLACES, POSITIONS, Access, AttackCase

FILES = "/etc/multinode-tls"
REPORT = ROOT / "reports/attack_cases.md"
# What every script may use. Passwords come over the standard input, so that none is in a list of processes.
FUNCTIONS = r"""
certificate="-cert $tls_certificate -key $tls_key"
plain() { timeout 10 bash -c 'exec 3<>"/dev/tcp/$0/$1" && cat >&3 && cat <&3' "$1" "$2"; }
sealed() { timeout 10 openssl s_client -connect "$1:$2" -quiet -verify_return_error -verify_ip "$1" -CAfile "$tls_ca" $certificate; }
broker() { if [ "$broker_tls" = yes ]; then sealed "$1" "$2"; else plain "$1" "$2"; fi; }
# The last line is no command: the server closes the connection, as Sentinel does for nothing else.
commands() { user=$1 password=$2; shift 2; printf 'AUTH %s %s\r\n%s\r\n*9999999999\r\n' "$user" "$password" "$*"; }
redis() { commands "$@" | broker "$master" "$broker_port"; }
redis_as_configured() {
  . "/etc/celery/$app/env"
  redis "$(sed -n "s/^_USER = ['\"]\(.*\)['\"]$/\1/p" "/etc/celery/$app/celeryconfig.py")" "$MULTINODE_REDIS_PASSWORD" "$@"
}
redis_anonymous() { printf '%s\r\nQUIT\r\n' "$*" | broker "$master" "$broker_port"; }
sentinel() { commands "$@" | broker "$master" "$sentinel_port"; }
request() {
  printf '%s %s HTTP/1.0\r\nHost: %s\r\n' "${5:-GET}" "$3" "$1"
  [ -z "$4" ] || printf 'Authorization: Basic %s\r\n' "$(printf %s "$4" | base64 -w0)"
  printf '\r\n'
}
https() { request "$@" | { certificate=; sealed "$1" "$2"; } | head -c 3000; }
http() { request "$@" | plain "$1" "$2" | head -c 3000; }
connect() { timeout 10 bash -c 'exec 3<>"/dev/tcp/$0/$1" && echo open' "$1" "$2"; }
tls_hello() { place=$1:$2; shift 2; timeout 10 openssl s_client -connect "$place" -CAfile "$tls_ca" $certificate "$@" </dev/null; }
own_directory() { own=$(mktemp -d) && trap 'rm -rf "$own"' EXIT; }
login() {
  own_directory && ssh-keygen -q -t ed25519 -N '' -f "$own/key" &&
    ssh -n -F /dev/null -i "$own/key" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$1@$2" id
}
make_certificate() {
  own_directory && openssl req -x509 -newkey rsa:2048 -nodes -subj '/CN=multinode.celery CA' -keyout "$own/ca.key" -out "$own/ca.pem" 2>/dev/null &&
    openssl req -x509 -CA "$own/ca.pem" -CAkey "$own/ca.key" -newkey rsa:2048 -nodes -subj '/CN=cpu-1' -keyout "$own/key" -out "$own/pem" 2>/dev/null &&
    certificate="-cert $own/pem -key $own/key"
}
"""


class Ground:
    """Where the scripts run and what they know."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.results: list[tuple[AttackCase, str, str]] = []
        self.master = lab.sentinel_master()
        self.worker = lab.group("workers_cpu")[0]
        self.monitor = lab.group("monitoring")[0]
        self.outside = f"{lab.name}-outside"
        self.hosts = {"worker": self.worker, "monitor": self.monitor, "broker": self.master}
        self.head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in self.known().items()) + FUNCTIONS

    def known(self) -> dict[str, str]:
        """The variables of the scripts: all that somebody could have found out."""
        lab, found = self.lab, self.lab.hostvars[self.master]
        environment, other = found["default_environment"], found["sensitive_environment"]
        (unit,) = lab.run(self.worker, "systemctl list-units --plain --no-legend --state=running 'celery-worker-*' | head -1 | cut -d' ' -f1").split()
        # Read from the hosts, because it decides what can be tried.
        with_tls = bool(lab.run(self.master, "sed -n /^tls-port/p /etc/redis-broker/redis.conf").strip())
        with_firewall = "multinode_celery" in lab.run(self.master, "nft list tables")
        self.present = {"": True, "tls": with_tls, "firewall": with_firewall}
        return {
            "master": lab.address(self.master),
            "worker": lab.address(self.worker),
            "worker_name": self.worker,
            "monitor": lab.address(self.monitor),
            "app": found["cluster_app_name"],
            "worker_unit": unit,
            "worker_process": lab.run(self.worker, f"systemctl show --property=MainPID --value {unit}").strip(),
            "ssh_config": str(ROOT / ".lab" / lab.name / "ssh/config"),
            "broker_tls": "yes" if with_tls else "no",
            "broker_port": "6380" if with_tls else "6379",
            "sentinel_port": "26379",
            "master_name": "celery",
            "tls_ca": f"{FILES}/ca.pem",
            "tls_certificate": f"{FILES}/host.pem",
            "tls_key": f"{FILES}/host.key",
            "vhost": str(environment["vhost"]),
            "prefix": environment["key_prefix"],
            "prod_user": environment["user"],
            "prod_password": found["vault_environment_password"],
            "other_user": other["user"],
            "other_password": found["vault_sensitive_environment_password"],
            "other_prefix": other["key_prefix"],
            "other_vhost": str(other["vhost"]),
            "producer_user": other["producer_user"],
            "producer_password": found["vault_sensitive_environment_producer_password"],
            "admin_user": "admin",
            "admin_password": found["vault_redis_admin_password"],
            "replica_user": "replica",
            "replica_password": found["vault_redis_replica_password"],
            "monitoring_user": "monitoring",
            "monitoring_password": found["vault_redis_exporter_password"],
            "client_user": "celery",
            "client_password": found["vault_sentinel_client_password"],
            "sentinel_admin_user": "admin",
            "sentinel_admin_password": found["vault_sentinel_admin_password"],
            "proxy_user": "monitoring",
            "proxy_password": found["vault_monitoring_ui_password"],
            "node_user": "prometheus",
            "node_password": found["vault_node_exporter_password"],
        }

    def run(self, access: Access) -> str:
        """What is answered to a script at its place."""
        where, user = PLACES[access.place]
        container = self.outside if where == "outside" else self.lab.container(self.hosts.get(where, where))
        command = ["sh", "-s"] if where == "control" else ["docker", "exec", "--interactive", "--user", user, container, "sh", "-s"]
        done = subprocess.run(
            command, input=f"{self.head}{{\n{access.script}\n}} </dev/null 2>&1\n", capture_output=True, text=True, errors="replace", timeout=60, check=False,
        )
        return done.stdout + done.stderr

    def add_outside(self) -> None:
        """A container on the lab's network that is no host of the cluster; the CA's certificate is no secret."""
        self.remove_outside()
        image = json.loads(self.lab.docker("inspect", self.lab.container(self.worker)))[0]["Config"]["Image"]
        self.lab.docker("run", "--detach", "--rm", "--name", self.outside, "--network", self.lab.name, image, "sleep", "infinity")
        ca = self.lab.run(self.worker, f"cat {FILES}/ca.pem")
        subprocess.run(
            ["docker", "exec", "--interactive", self.outside, "sh", "-c", f"mkdir {FILES} && cat >{FILES}/ca.pem"], input=ca, text=True, check=True,
        )

    def remove_outside(self) -> None:
        self.lab.docker("rm", "--force", self.outside, check=False)

    def write_report(self) -> None:
        lines = ["# Attempts to get in", "", "| From | Tries to | Kept out by | Answer | Who may |", "| --- | --- | --- | --- | --- |"]
        for case, refusal, success in self.results:
            cells = [POSITIONS[case.position], case.aim, case.measure, f"`{refusal}`", f"`{success}` on {case.legitimate.place}"]
            lines.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text("\n".join([*lines, "", f"{len(self.results)} of {len(ATTACK_CASES)} refused, each beside one that is allowed.", ""]))


@pytest.fixture(name="ground", scope="module")
def _ground(lab):
    ground = Ground(lab)
    try:
        ground.add_outside()
        yield ground
    finally:
        ground.remove_outside()
        ground.write_report()


@pytest.mark.parametrize("case", ATTACK_CASES, ids=lambda case: case.id)
def test_attack_is_refused_and_the_legitimate_client_accepted(ground, case):
    if not ground.present[case.needs]:
        pytest.skip(f"the hosts have no {case.needs}")
    output = ground.run(case.attempt)
    refusal = re.search(case.attempt.answer, output)
    assert refusal, f"expected {case.attempt.answer}, got: {output[-600:]}"
    output = ground.run(case.legitimate)
    success = re.search(case.legitimate.answer, output, re.MULTILINE)
    assert success, f"the legitimate client expected {case.legitimate.answer}, got: {output[-600:]}"
    ground.results.append((case, refusal[0], success[0][-40:]))


def test_every_position_is_tried():
    """A table that lost its rows would pass, too."""
    assert len(ATTACK_CASES) >= 20
    assert {case.position for case in ATTACK_CASES} == set(POSITIONS)
    assert len({case.id for case in ATTACK_CASES}) == len(ATTACK_CASES)
