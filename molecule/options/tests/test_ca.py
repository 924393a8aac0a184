"""The CA of the cluster changes under load: no task is lost, and who has a certificate of the previous one is out at the end."""

from __future__ import annotations

import time

import pytest
from lab import report
from lab.load import Load, Stream

FILES = "/etc/multinode-tls"
# What a thief copied from a broker before.
COPY = "/root/previous-tls"
# CAs that a host trusts after each step.
TRUSTED = {"introduce": 2, "switch": 2, "retire": 1}


def step(lab, phase: str, check: bool = True):
    return lab.playbook("playbooks/ops/rotate_ca.yml", check=check, tls_ca_phase=phase)


def trusted(lab) -> set[int]:
    """How many CAs the hosts trust."""
    return {int(lab.run(host, f"grep -c BEGIN.CERTIFICATE {FILES}/ca.pem")) for host in lab.group("all")}


def serials(lab) -> dict[str, str]:
    """The serial number of the certificate that Redis shows, by host."""
    command = "echo | openssl s_client -connect {}:6380 2>/dev/null | openssl x509 -noout -serial"
    return {host: lab.run(host, command.format(lab.address(host))).strip() for host in lab.group("brokers")}


def connected(lab, host: str, folder: str) -> str:
    """What Redis answers to a client with the certificate and the trust of a folder."""
    return lab.run(host, f"timeout 5 redis-cli {lab.cli_options(host).replace(FILES, folder)} ping 2>&1", check=False)


@pytest.fixture(name="thief")
def _thief(lab):
    """A broker on which the files of the previous CA are kept."""
    host = lab.group("brokers")[0]
    lab.run(host, f"rm -rf {COPY} && cp -a {FILES} {COPY}")
    yield host
    lab.run(host, f"rm -rf {COPY}")


def test_the_ca_changes_under_load(lab, thief):
    assert trusted(lab) == {1}
    assert "NOAUTH" in connected(lab, thief, COPY)
    # Before it was introduced there is nothing to switch to.
    assert step(lab, "switch", check=False).returncode != 0
    before, master, seconds = serials(lab), lab.sentinel_master(), {}
    with Load(lab, [Stream("proj.tasks.noop", [], "default", 20), Stream("proj.tasks.sleep", [1], "video_processing", 0.5)]) as load:
        for phase, number in TRUSTED.items():
            started = time.time()
            step(lab, phase)
            seconds[phase] = round(time.time() - started, 1)
            assert trusted(lab) == {number}, phase
            assert (serials(lab) == before) == (phase == "introduce"), phase
        time.sleep(5)
    result = load.result(settle_seconds=60)
    row = {**seconds, **{key: result[key] for key in ("accepted", "executed", "lost", "doubled", "refused", "execution_gap_seconds", "producer_gap_seconds")}}
    text = report.table([name.replace("_", " ") for name in row], [list(row.values())])
    print("\n" + text)
    report.write("new_ca", row, text)
    assert result["accepted"] > 500, "too little load to prove anything"
    assert (result["lost"], result["refused"], result["failed"], result["waiting"]) == (0, 0, 0, 0), result
    assert lab.sentinel_master() == master
    assert not set(serials(lab).values()) & set(before.values())
    assert "NOAUTH" in connected(lab, thief, FILES)
    # Neither side trusts the other: with the files as they were, and with the previous certificate and the new trust.
    assert "certificate verify failed" in connected(lab, thief, COPY)
    lab.run(thief, f"cp {FILES}/ca.pem {COPY}/ca.pem")
    answer = connected(lab, thief, COPY)
    assert "NOAUTH" not in answer and "PONG" not in answer and "rror" in answer, answer
