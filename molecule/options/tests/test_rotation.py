"""Passwords in an encrypted vault change under load: no task is lost, no queue is without a consumer, the previous ones end."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab import ROOT, playbooks, report, updates
from lab.hosts import wait_until
from lab.load import Load, Stream

NAMES = ("vault_environment_password", "vault_redis_admin_password")
STREAMS = [
    Stream("proj.tasks.noop", [], "default", 20),
    Stream("proj.tasks.sleep", [4], "default", 0.1),
    Stream("proj.tasks.sleep", [1], "video_processing", 0.5),
]


def vault(lab) -> Path:
    return ROOT / ".lab" / lab.name / "inventory" / "group_vars" / "all" / "vault.yml"


def encrypted(lab) -> bool:
    return vault(lab).read_text().startswith("$ANSIBLE_VAULT;")


@pytest.fixture(name="_encrypted_vault", scope="module", autouse=True)
def _encrypted_vault(lab, tmp_path_factory):
    """Keep the lab's passwords as documented while the tests of this file run."""
    password = tmp_path_factory.mktemp("vault") / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_hex(16))
    program = Path(sys.executable).with_name("ansible-vault")
    subprocess.run([program, "encrypt", "--vault-password-file", password, vault(lab)], check=True, capture_output=True)
    os.environ["ANSIBLE_VAULT_PASSWORD_FILE"] = str(password)
    try:
        yield
    finally:
        del os.environ["ANSIBLE_VAULT_PASSWORD_FILE"]
        subprocess.run([program, "decrypt", "--vault-password-file", password, vault(lab)], check=True, capture_output=True)


def rotate(lab, check: bool, **variables) -> str:
    assert encrypted(lab)
    try:
        # The age that a password must have would let a repeated test prove nothing. Two hosts at once may be of two environments.
        return playbooks.output(lab, "playbooks/ops/rotate_credentials.yml", fails=not check,
                                credentials_names=",".join(NAMES), credentials_path=str(vault(lab)),
                                credentials_minimum_age_hours=0, celery_update_batch="50%", **variables)
    finally:
        lab.reload()
        assert encrypted(lab)


def passwords(lab) -> dict[str, str]:
    """The passwords that the inventory holds, by the user of Redis who has them."""
    environment = lab.hostvars[lab.group("brokers")[0]]["default_environment"]
    return dict(zip((environment["user"], "admin"), map(lab.secret, NAMES), strict=True))


def accepted(lab, user: str, password: str) -> set[bool]:
    """Whether the brokers accept a user."""
    command = f"REDISCLI_AUTH='{password}' timeout 3 redis-cli --no-auth-warning --user {user}"
    answers = [lab.run(host, f"{command} {lab.cli_options(host)} ping 2>&1", check=False) for host in lab.group("brokers")]
    assert all("PONG" in answer or "WRONGPASS" in answer for answer in answers), answers
    return {"PONG" in answer for answer in answers}


def workers(lab) -> list[str]:
    return [lab.run(host, "systemctl show --property=Id,MainPID 'celery-worker-*'; supervisorctl pid all 2>/dev/null", check=False)
            for host in lab.group("workers")]


@pytest.fixture(name="thief")
def _thief(lab):
    """Return a function that logs in with a password and stays connected."""
    programs = []

    def _connect(user: str, password: str) -> None:
        master = lab.sentinel_master()
        # It waits for its second command.
        command = f"REDISCLI_AUTH='{password}' redis-cli --no-auth-warning --user {user} {lab.cli_options(master)} -i 600 -r 2 client setname thief"
        programs.append(subprocess.Popen(["docker", "exec", lab.container(master), "sh", "-c", command], stdout=subprocess.DEVNULL))
        assert wait_until(lambda: connected(lab), 20) is not None

    yield _connect
    for program in programs:
        program.kill()
        program.wait()
    for host in lab.group("brokers"):
        lab.run(host, "pkill --full 'client setname thief'", check=False)


def connected(lab) -> bool:
    """Whether the thief is, as the master sees it."""
    return " name=thief " in lab.redis(lab.sentinel_master(), "client list")


def under_load(lab, check: bool, **variables) -> tuple[str, dict]:
    with Load(lab, STREAMS) as load:
        time.sleep(3)
        started = time.time()
        output = rotate(lab, check, **variables)
        seconds = round(time.time() - started, 1)
        time.sleep(2)
    result = load.result() | {"seconds": seconds, "consumers": updates.consumers(lab, load.started_at, load.ended_at)}
    assert result["accepted"] > 200, "too little load to prove anything"
    assert (result["refused"], result["failed"], result["lost"], result["waiting"]) == (0, 0, 0, 0), result
    assert result["executed"] == result["accepted"]
    assert result["consumers"] and all(count["fewest"] >= max(1, count["at_first"] - 1) for count in result["consumers"].values()), result["consumers"]
    return output, result


def test_passwords_change_under_load(lab, thief):
    previous = passwords(lab)
    thief(*next(iter(previous.items())))
    # The producer has the previous password in its memory, and nothing restarts it: that password must stay valid until it is gone.
    output, first = under_load(lab, check=False)
    assert "The previous password stays valid" in output and f"{lab.address(lab.scheduler)}:" in output, output[-3000:]
    assert connected(lab)
    new, restarted = passwords(lab), workers(lab)
    for user, password in previous.items():
        assert new[user] != password and password not in output and new[user] not in output
        assert (accepted(lab, user, password), accepted(lab, user, new[user])) == ({True}, {True})

    # The same run again completes it, with a producer that has the new one, and restarts nobody a second time. Whoever is connected with
    # the previous one is cut off, as is wanted of a stolen password.
    output, second = under_load(lab, check=True, credentials_connections_closed=True)
    assert "Only the new passwords are valid" in output
    assert (passwords(lab), workers(lab)) == (new, restarted)
    assert not connected(lab)
    for user, password in previous.items():
        assert (accepted(lab, user, password), accepted(lab, user, new[user])) == ({False}, {True})

    metrics = {"both valid": first, "previous ended": second}
    keys = ("seconds", "accepted", "executed", "lost", "doubled", "refused", "execution_gap_seconds", "producer_gap_seconds")
    text = report.table(["run", *(key.replace("_", " ") for key in keys)],
                        [[name, *(result.get(key) for key in keys)] for name, result in metrics.items()])
    print("\n" + text)
    report.write("rotation", metrics, text)
