# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's ports are open to the hosts that need them and to nobody else, and no rule locks the operator out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest
from lab.hosts import Lab, wait_until

TABLE = "inet multinode_celery"
RULES = "/etc/multinode-firewall/rules.nft"
SENTINEL, EXPORTER, ALERTMANAGER, PROXY, SSH = 26379, 9100, 9094, 443, 22
RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
# The role alone, without preflight.
ALONE = ("--tags", "firewall", "--skip-tags", "always")
# Standard library only; prints what became of each [address, port].
CONNECT = """
import json, socket, sys
def connect(address, port):
    try:
        socket.create_connection((address, port), 3).close()
        return "open"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return type(error).__name__
print(json.dumps([connect(address, port) for address, port in json.loads(sys.argv[1])]))
"""
# Waits for one connection after the other on an address and a port.
LISTEN = "import socket, sys; server = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6)\nwhile True: server.accept()[0].close()"


def connected(lab: Lab, host: str, places: list[tuple[str, int]], prefix: str = "") -> dict[tuple[str, int], str]:
    """What happens to connections from a host."""
    answer = lab.docker("exec", lab.container(host), *prefix.split(), "python3", "-c", CONNECT, json.dumps(places))
    return dict(zip(places, json.loads(answer), strict=True))


def connected_from_outside(places: list[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """The same from the control machine, which is on the network and in no group."""
    done = subprocess.run([sys.executable, "-c", CONNECT, json.dumps(places)], capture_output=True, text=True, check=True)
    return dict(zip(places, json.loads(done.stdout), strict=True))


def live(lab: Lab, host: str) -> str:
    return lab.run(host, f"nft -s list table {TABLE}")


def changes(output: str) -> dict[str, int]:
    found = {host: int(changed) for host, changed, unreachable, failed in RECAP.findall(output) if unreachable == failed == "0"}
    assert found, output[-2000:]
    return found


def apart(lab: Lab, group: str, *others: str) -> str:
    """A host of a group that is in none of the others."""
    taken = {host for other in others for host in lab.group(other)}
    free = [host for host in lab.group(group) if host not in taken]
    assert free, f"no host is in {group} alone"
    return free[0]


@pytest.fixture(name="broker_port", scope="module")
def _redis_port(lab: Lab) -> int:
    """The port on which Redis listens; the other one of the two is closed as well."""
    listening = lab.run(lab.group("brokers")[0], "ss -Hltn")
    return next(port for port in (6380, 6379) if f":{port} " in listening)


def test_only_the_hosts_of_the_groups_reach_the_ports(lab, broker_port):
    broker, monitor = lab.group("brokers")[-1], lab.group("monitoring")[0]
    worker = apart(lab, "workers", "brokers", "monitoring")
    brokers = [(lab.address(broker), port) for port in (broker_port, SENTINEL)]
    exporters = [(lab.address(host), EXPORTER) for host in (broker, worker, monitor)]
    proxy, ssh = [(lab.address(monitor), PROXY)], [(lab.address(broker), SSH)]
    # One Alertmanager alone has no cluster.
    alertmanagers = [(lab.address(monitor), ALERTMANAGER)] if len(lab.group("monitoring")) > 1 else []
    everything = brokers + exporters + alertmanagers + proxy + ssh

    def opened(*groups: list[tuple[str, int]]) -> dict[tuple[str, int], str]:
        allowed = [place for group in groups for place in group]
        return {place: "open" if place in allowed else "refused" for place in everything}

    assert connected_from_outside(everything) == opened(proxy, ssh)
    own = [(lab.address(worker), EXPORTER)]
    assert connected(lab, worker, everything) == opened(brokers, proxy, ssh, own)
    scheduler = lab.group("schedulers")[0]
    assert {connected(lab, scheduler, brokers)[place] for place in brokers} == {"open"}
    for peer in [host for host in lab.group("brokers") if host != broker][:1]:
        assert connected(lab, peer, everything) == opened(brokers, proxy, ssh)
    # One that is on the same host comes over the loopback interface; the other monitoring host does not.
    other = lab.group("monitoring")[-1]
    assert connected(lab, other, everything) == opened(everything)


def test_a_table_changed_by_hand_is_mended_and_no_other_is_touched(lab, broker_port):
    broker, worker = lab.group("brokers")[0], apart(lab, "workers", "brokers")
    unlisted = [(lab.address(broker), broker_port)]
    before = {host: live(lab, host) for host in (broker, worker)}
    foreign = "table inet test_of_another { chain input { type filter hook input priority 5; policy accept; tcp dport 7 drop; }; }"
    others = "nft -s list tables | sort; nft -s list table inet test_of_another"
    outside = lab.address(broker).rpartition(".")[0] + ".1"
    lab.run(broker, f"nft '{foreign}'; nft add element {TABLE} brokers_ipv4 '{{ {outside} }}'")
    lab.run(worker, f"nft delete table {TABLE}")
    try:
        assert connected_from_outside(unlisted) == {unlisted[0]: "open"}
        nat = lab.run(broker, others)
        announced = changes(lab.playbook("playbooks/site.yml", *ALONE, "--check", "--limit", f"{broker},{worker}").stdout)
        mended = changes(lab.playbook("playbooks/site.yml", *ALONE).stdout)
        assert {host for host, count in mended.items() if count} == {broker, worker} == {host for host, count in announced.items() if count}
        assert len(mended) == len(lab.group("all"))
        assert {host: live(lab, host) for host in before} == before
        assert lab.run(broker, others) == nat
        assert connected_from_outside(unlisted) == {unlisted[0]: "refused"}
    finally:
        lab.run(broker, "nft delete table inet test_of_another")


def test_rules_that_cut_off_the_control_machine_are_taken_back(lab):
    host = apart(lab, "workers", "brokers")
    before, kept = live(lab, host), lab.run(host, f"cat {RULES}")

    started = time.time()
    done = lab.playbook(
        "playbooks/workers.yml", *ALONE, "--limit", host, check=False,
        firewall_extra_port_rules=[{"name": "everything", "ports": [SSH]}], firewall_rollback_seconds=6,
    )

    assert done.returncode != 0
    assert "could not connect to the host within 6 s" in done.stdout and "has its previous rules again" in done.stdout, done.stdout[-3000:]
    assert time.time() - started > 6
    # The host itself did it, when its timer ran out.
    assert "multinode-celery-firewall-rollback" in lab.run(host, "journalctl --no-pager --since -2min --unit 'multinode-celery-firewall-rollback*'")
    assert (live(lab, host), lab.run(host, f"cat {RULES}")) == (before, kept)
    assert "active" not in lab.run(host, "systemctl is-active multinode-celery-firewall-rollback.timer", check=False).split()
    place = (lab.address(host), SSH)
    assert connected_from_outside([place]) == {place: "open"}


def test_unlisted_hosts_are_refused_over_ipv6_too(lab, broker_port):
    broker = lab.group("brokers")[0]
    port = 6379 if broker_port == 6380 else 6380
    place, unlisted = ("fd00:6d6e::1", port), "ip netns exec unlisted"
    lab.run(
        broker,
        "sysctl -q net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0; ip netns add unlisted; "
        "ip link add inside type veth peer name outside netns unlisted; ip addr add fd00:6d6e::1/64 dev inside nodad; ip link set inside up; "
        f"{unlisted} ip addr add fd00:6d6e::2/64 dev outside nodad; {unlisted} ip link set outside up; {unlisted} ip link set lo up",
    )
    try:
        lab.docker("exec", "--detach", lab.container(broker), "python3", "-c", LISTEN, *map(str, place))
        assert wait_until(lambda: connected(lab, broker, [place])[place] == "open", 10) is not None, "nothing listens"
        assert connected(lab, broker, [place], unlisted) == {place: "refused"}
        lab.run(broker, f"nft add element {TABLE} brokers_ipv6 '{{ fd00:6d6e::2 }}'")
        assert connected(lab, broker, [place], unlisted) == {place: "open"}
    finally:
        listener = f"ss -Hltnp 'sport = :{port}' | grep -o 'pid=[0-9]*' | cut -d= -f2"
        lab.run(broker, f"ip link del inside; ip netns del unlisted; {listener} | xargs -r kill", check=False)
        lab.run(broker, f"systemctl reload multinode-firewall.service && ! nft list table {TABLE} | grep -q fd00")


def test_the_rules_are_there_before_the_network_and_after_nftables_service(lab):
    host = apart(lab, "workers", "brokers")
    before = live(lab, host)
    assert "network-pre.target" in lab.run(host, "systemctl show --property Before --value multinode-firewall.service").split()
    assert lab.run(host, "systemctl is-enabled multinode-firewall.service").strip() == "enabled"
    # Debian's own service begins with deleting every table.
    for verb in ("start", "reload", "restart"):
        lab.run(host, f"systemctl {verb} nftables.service")
        assert wait_until(lambda: live(lab, host) == before, 10, 0.2) is not None, verb
    # A host that boots has an empty network, as these containers have when they start.
    lab.docker("restart", lab.container(host))
    assert wait_until(lambda: live(lab, host) == before, 30) is not None
    assert wait_until(lambda: lab.run(host, "systemctl is-active nftables.service", check=False).strip() == "inactive", 10) is not None
