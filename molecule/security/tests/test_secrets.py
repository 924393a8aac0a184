"""Each known secret is looked for wherever somebody else could read it.

Every search must first find a secret that was planted in the same place: one that finds nothing at all proves nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from lab import ROOT
from lab.hosts import Lab
from lab.playbooks import run_playbook

PLANTED = "planted"
KEY = "/etc/multinode-tls/host.key"
TREES = "/etc /var /opt /run /tmp /usr/local /srv /home /root"
SEARCH = "grep -aosHF --null --devices=skip -f <(printf %s \"$patterns\")"
# What is searched on a host, as whom, and how; the patterns come over the standard input.
PLACES = {
    "process lists": ("root", f"{SEARCH} /proc/[0-9]*/cmdline"),
    "environments of others": ("root", f"find /proc -maxdepth 1 -name '[0-9]*' ! -user celery -exec printf '%s/environ\\n' {{}} + | xargs {SEARCH}"),
    "unit settings": ("root", f"systemctl show '*' --property=Environment,ExecStart,ExecStartPre,Description | {SEARCH}"),
    "journal": ("root", f"journalctl --quiet --no-pager --output=export | {SEARCH}"),
    "files for everybody": ("nobody", f"{SEARCH} -r {TREES}"),
    "temporary files and homes": ("root", f"{SEARCH} -r /tmp /var/tmp /home /root /dev/shm /var/log /var/crash /var/backups"),
}
# Where secrets belong. Nobody but root and the service may read these files.
HOMES = re.compile(
    r"^/etc/redis-broker/(users\.acl|sentinel-users\.acl|replication\.conf|boot-guard\.secret)$"
    r"|^/var/lib/redis-broker/(redis|sentinel)\.conf$"
    r"|^/etc/celery/[^/]+/env$"
    r"|^/etc/monitoring/redis-exporter-\w+\.json$"
    r"|^/etc/prometheus/secrets/[\w-]+$"
    r"|^/etc/multinode-tls/host\.key$"
)
# Secrets of one program that its own user finds in its processes.
OF_WORKERS = {"vault_environment_password", "vault_sentinel_client_password"}


def forms(secret: str) -> set[str]:
    """A secret as programs write it: plain, in a URL, hashed, and inside base64 at any offset."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), hashlib.sha256(raw).hexdigest(), hashlib.sha1(raw).hexdigest()}
    for offset in range(3):
        # The first letters hold what is before, the last ones what follows.
        found.add(base64.b64encode(b"\0" * offset + raw).decode()[-(-offset * 8 // 6):].rstrip("=")[:-1])
    return found


class Search:
    """The known secrets in all their forms, and what finds them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.names: dict[str, str] = {}
        for values in lab.hostvars.values():
            for name, value in values.items():
                # Beside the passwords the vault holds since when one is valid, and has no previous one where none changes.
                if name.startswith("vault_") and not name.endswith("_changed") and len(value) >= 16:
                    self.add(name, value)
        assert len(set(self.names.values())) >= 8, "the inventory has no secrets"
        for host in lab.group("all"):
            self.add(f"key of {host}", lab.run(host, f"sed -n 3p {KEY}").strip())
        self.planted = secrets.token_hex(16)
        self.add(PLANTED, self.planted)

    def add(self, name: str, secret: str) -> None:
        assert len(secret) >= 16, f"{name} is too short to be looked for"
        for form in forms(secret):
            self.names[form] = name

    def on(self, host: str, place: str) -> set[tuple[str, str]]:
        """The secrets found at a place of a host: where, and which."""
        user, script = PLACES[place]
        return self.found(host, user, script)

    def found(self, host: str, user: str, script: str) -> set[tuple[str, str]]:
        # Bash's own printf and a pipe, so that no process has the patterns among its arguments.
        done = subprocess.run(
            ["docker", "exec", "--interactive", "--user", user, self.lab.container(host), "bash", "-c", f"patterns=$(cat); {script}"],
            input="\n".join(self.names), capture_output=True, text=True, errors="replace", check=False,
        )
        assert "rror" not in done.stderr and "not found" not in done.stderr, done.stderr[-500:]
        pairs = (line.partition("\0") for line in done.stdout.splitlines())
        return {(path, self.names[match]) for path, _null, match in pairs if match in self.names}

    def everywhere(self, place: str) -> dict[str, set[tuple[str, str]]]:
        hosts = self.lab.group("all")
        with ThreadPoolExecutor(3) as pool:
            return {host: found for host, found in zip(hosts, pool.map(lambda host: self.on(host, place), hosts)) if found}

    def in_text(self, text: str) -> set[str]:
        return {name for form, name in self.names.items() if form in text}


@pytest.fixture(name="search", scope="module")
def _search(lab):
    return Search(lab)


@pytest.fixture(name="planted_on", scope="module")
def _planted_on(lab, search):
    """A worker host with a secret in each place that is searched."""
    host = lab.group("workers_cpu")[0]
    unit = "/run/systemd/system/planted.service"
    plant = f"""
read -r secret
printf '%s\\n' "$secret" >/var/tmp/planted && chmod 0644 /var/tmp/planted
printf '[Service]\\nEnvironment=PLANTED=%s\\nExecStart=/bin/sleep 600\\n' "$secret" >{unit} && systemctl daemon-reload && systemctl start planted.service
printf 'planted %s\\n' "$secret" | systemd-cat --identifier=planted
(exec -a "planted-$secret" sleep 600 >/dev/null 2>&1 </dev/null) & disown
"""
    try:
        subprocess.run(
            ["docker", "exec", "--interactive", lab.container(host), "bash", "-c", plant],
            input=search.planted + "\n", text=True, check=True, capture_output=True,
        )
        yield host
    finally:
        lab.run(host, f"pkill -f ^planted-; systemctl stop planted.service; rm -f /var/tmp/planted {unit}; systemctl daemon-reload", check=False)


@pytest.mark.parametrize("place", PLACES)
def test_only_the_planted_secret_is_found(search, planted_on, place):
    found = search.everywhere(place)
    assert PLANTED in {name for _path, name in found.get(planted_on, set())}, f"the search does not find what was planted: {place}"
    known = {host: others for host, pairs in found.items() if (others := {pair for pair in pairs if pair[1] != PLANTED})}
    assert known == {}


def test_a_worker_process_knows_the_secrets_of_its_environment_alone(search, lab):
    seen = set()
    for host in lab.group("workers"):
        pairs = search.found(host, "root", f"find /proc -maxdepth 1 -name '[0-9]*' -user celery -exec printf '%s/environ\\n' {{}} + | xargs {SEARCH}")
        seen |= {name for _path, name in pairs}
    assert seen == OF_WORKERS, seen


def test_secrets_are_only_in_files_of_the_service_that_needs_them(search, lab, planted_on):
    homes = 0
    for host in lab.group("all"):
        pairs = search.found(host, "root", f"{SEARCH} -r {TREES}")
        paths = {path for path, name in pairs if name != PLANTED}
        assert {path for path in paths if not HOMES.match(path)} == set(), host
        modes = lab.run(host, "stat -c '%a %n' " + " ".join(sorted(paths))).splitlines()
        assert [line for line in modes if not line.split()[0].endswith("0")] == [], host
        assert f"key of {host}" in {name for _path, name in pairs}
        homes += len(paths)
        if host == planted_on:
            assert ("/var/tmp/planted", PLANTED) in pairs
    assert homes > len(lab.group("all"))


def test_ansible_shows_no_secret_in_a_run_or_a_diff(search, lab, tmp_path):
    """Old and new values of every password, in a run that would write them, with all that Ansible can tell."""
    control = run_playbook("molecule/security/show.yml", "-vvvvv", inventories=lab.sources, text=search.planted)
    assert search.in_text(control.stdout) == {PLANTED}, "the search does not find what a run shows"
    hosts = [lab.sentinel_master(), lab.group("workers_cpu")[0], lab.group("monitoring")[0]]
    changed = {name: secrets.token_urlsafe(24) for name in set(search.names.values()) if name.startswith("vault_") and not name.endswith("_admin_password")}
    for name, value in changed.items():
        search.add(f"new {name}", value)
    # On a command line they would be shown with it.
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    done = lab.playbook("site.yml", "--check", "--diff", "-vvvvv", f"--limit={','.join(hosts)}", f"--extra-vars=@{tmp_path}/changed.json")
    assert search.in_text(done.stdout) | search.in_text(done.stderr) == set()
    recap = re.findall(r"^(\S+) +: ok=(\d+) +changed=(\d+)", done.stdout, re.MULTILINE)
    assert {host for host, ok, count in recap if int(ok) > 20 and int(count) > 0} == set(hosts), recap
    assert "content or attributes differ, not shown" in done.stdout, "nothing was there to be shown"


def test_a_support_bundle_holds_no_secret(search, lab, tmp_path):
    path = tmp_path / "bundle.tar.gz"
    hosts = [lab.sentinel_master(), lab.group("workers_cpu")[0], lab.group("monitoring")[0]]
    lab.playbook("playbooks/ops/support_bundle.yml", f"--limit={','.join(hosts)}", support_bundle_path=str(path))
    with tarfile.open(path) as archive:
        texts = {member.name: archive.extractfile(member).read().decode(errors="replace") for member in archive.getmembers() if member.isfile()}
    assert {name: found for name, text in texts.items() if (found := search.in_text(text) - {PLANTED})} == {}
    for host in hosts:
        assert any(name.startswith(f"bundle/{host}/files/") for name in texts), host


def test_the_control_machine_keeps_secrets_in_the_vault_alone(search, lab):
    leftover = ROOT / ".lab" / lab.name / "planted"
    leftover.write_text(search.planted)
    try:
        done = subprocess.run(
            [
                "grep", "-raosHF", "--null", "--devices=skip", "--exclude-dir=.git", "--exclude-dir=.venv", "--exclude-dir=.cache", "-f", "-",
                ROOT, Path.home() / ".ansible",
            ],
            input="\n".join(search.names), capture_output=True, text=True, errors="replace", check=False,
        )
    finally:
        leftover.unlink()
    pairs = {(path, search.names[match]) for path, _null, match in (line.partition("\0") for line in done.stdout.splitlines()) if match in search.names}
    vaults = {path for path, _name in pairs if re.search(r"/\.(lab|demo)/([^/]+/)?inventory/group_vars/all/vault\.yml$", path)}
    assert (str(leftover), PLANTED) in pairs and vaults, "the search does not find what was planted"
    assert {pair for pair in pairs if pair[0] not in vaults | {str(leftover)}} == set()
    assert {path for path in vaults if Path(path).stat().st_mode & 0o077} == set()


def test_the_containers_of_the_lab_were_given_no_secret(search, lab):
    for host in lab.group("all"):
        assert search.in_text(lab.docker("inspect", lab.container(host))) == set(), host
