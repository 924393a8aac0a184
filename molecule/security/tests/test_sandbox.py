"""Every unit of ours on every host keeps to its sandbox: as configured, and in the processes that run."""

from __future__ import annotations

import concurrent.futures
import re

import pytest

# The most that `systemd-analyze security` may find open, the capabilities of the processes, and why not less.
# The network stays open to all of them (1.0 and more), as each one serves or connects to a peer.
NONE = "0000000000000000"
UNITS = {
    r"redis-broker(-sentinel)?": (1.2, NONE, "nothing else is open"),
    r"celery-worker-.+": (1.3, NONE, "tasks are anybody's code: JIT compilers, os.nice and files for a group work"),
    r"celery-beat": (1.2, NONE, "it imports the application: JIT compilers work"),
    r"celery-watchdog": (1.5, NONE, "it sees and ends processes of the workers, in user namespaces of their own"),
    r"celery-(queue-)?exporter": (1.2, NONE, "/proc tells the time of the boot"),
    r"flower": (1.2, NONE, "nothing else is open"),
    r"monitoring-(prometheus|alertmanager|redis-exporter-.+)": (1.2, NONE, "/proc tells the time of the boot"),
    r"monitoring-node-exporter": (1.8, NONE, "its metrics are those of all filesystems, devices and of /proc"),
    r"monitoring-proxy": (1.7, "0000000000000400", "it listens on 443: CAP_NET_BIND_SERVICE of the host's own user namespace"),
    r"transparent-hugepages": (1.3, NONE, "root, without a capability, owns the file that it writes"),
    r"multinode-firewall": (2.9, None, "it changes the rules of the network, before a file system of its own can be relied on: CAP_NET_ADMIN"),
}
# Of the test hosts themselves.
FOREIGN = {"lab-kernel-parameters"}
# The exposure of every unit that is listed here, then its main process and what the kernel reports of it.
MEASURE = r"""
cd /etc/systemd/system
units=$(find . -maxdepth 1 -type f -name '*.service' -printf '%f ')
systemd-analyze security --no-pager $units | sed -n 's/.*exposure level for \(.*\)\.service: \([0-9.]*\) .*/\1 exposure=\2/p'
for unit in $units; do
  process=$(systemctl show -P MainPID "$unit")
  [ "$process" != 0 ] || continue
  # As long as its name is in parentheses it is systemd that prepares the start, of the watchdog every few seconds.
  for attempt in $(seq 50); do
    case $(cat "/proc/$process/comm") in "("*) sleep 0.1 ;; *) break ;; esac
  done
  echo "${unit%.service}" $(sed -n 's/^\(Uid\|CapBnd\|CapEff\|NoNewPrivs\|Seccomp\):\t\([^\t]*\).*/\1=\2/p' "/proc/$process/status")
done
"""
# Not even root could write where programs and settings are.
WRITE = """
running="systemctl list-units --plain --no-legend --type=service --state=running"
for unit in $($running 'redis-broker*' 'celery-*' flower.service 'monitoring-*' | cut -d' ' -f1); do
  process=$(systemctl show -P MainPID "$unit")
  echo "$unit $(for place in /etc /usr /opt /root /home; do
    nsenter --target "$process" --mount -- sh -c "touch $place/.sandbox 2>/dev/null && rm $place/.sandbox && echo $place; true" || echo failed
  done | xargs)"
done
"""


def on_every_host(lab, command):
    """Return the words of each line that a command prints, by host and first word."""
    hosts = lab.group("all")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        printed = list(pool.map(lambda host: lab.run(host, command), hosts))
    lines = [(host, line.split()) for host, lines in zip(hosts, printed, strict=True) for line in lines.splitlines()]
    return [((host, name), words) for host, (name, *words) in lines if name not in FOREIGN]


@pytest.fixture(scope="module")
def measured(lab):
    """What was measured, by host and unit."""
    found = {}
    for key, words in on_every_host(lab, MEASURE):
        found.setdefault(key, {}).update(word.split("=") for word in words)
    return found


def entry(unit):
    """Return the line of the table for a unit; there is one for each, and no more."""
    (found,) = [value for pattern, value in UNITS.items() if re.fullmatch(pattern, unit)] or [None]
    return found


def test_every_unit_is_in_the_table(lab, measured):
    assert {host for host, _unit in measured} == set(lab.group("all"))
    assert sorted({unit for _host, unit in measured if entry(unit) is None}) == []
    found = {unit for _host, unit in measured}
    wanted = {"redis-broker", "redis-broker-sentinel", "celery-beat", "flower", "monitoring-node-exporter", "monitoring-prometheus", "celery-watchdog"}
    assert wanted <= found
    assert any(unit.startswith("celery-worker-") for unit in found)


def test_no_unit_is_more_open_than_the_table_allows(measured):
    print("", *(f"{host} {unit} {values['exposure']}" for (host, unit), values in sorted(measured.items())), sep="\n")
    assert {key: values for key, values in measured.items() if float(values["exposure"]) > entry(key[1])[0]} == {}
    assert {unit for unit, (limit, _capabilities, _reason) in UNITS.items() if limit > 2.0} == {"multinode-firewall"}


def test_the_running_processes_are_unprivileged(measured):
    running = {key: values for key, values in measured.items() if "Uid" in values}
    assert len({unit for _host, unit in running}) >= 8
    for (host, unit), values in running.items():
        wanted = {"CapBnd": entry(unit)[1], "CapEff": entry(unit)[1], "NoNewPrivs": "1", "Seccomp": "2"}
        assert {name: values[name] for name in wanted} == wanted, (host, unit)
        assert values["Uid"] != "0", (host, unit)


def test_no_service_can_change_programs_or_settings(lab):
    answers = dict(on_every_host(lab, WRITE))
    assert len({unit for _host, unit in answers}) >= 8
    assert {key: places for key, places in answers.items() if places} == {}
