"""Passwords of programs and of the administrator change under load: no task is lost, no queue is without a consumer, the former ones end."""

from __future__ import annotations

import time

import faults
import pytest
import report
import updates
from lab import ROOT
from load import Load, Stream

NAMES = ("vault_environment_password", "vault_redis_admin_password")
STREAMS = [
    Stream("proj.tasks.noop", [], "default", 20),
    Stream("proj.tasks.sleep", [4], "default", 0.1),
    Stream("proj.tasks.sleep", [1], "video_processing", 0.5),
]


def rotate(lab, check: bool) -> str:
    path = ROOT / ".lab" / lab.name / "inventory" / "group_vars" / "all" / "vault.yml"
    try:
        # The age that a password must have would let a repeated test prove nothing.
        return updates.play(lab, "rotate_credentials", check=check, credentials_names=",".join(NAMES), credentials_path=str(path),
                            credentials_minimum_age_hours=0)
    finally:
        lab.reload()


def passwords(lab) -> dict[str, str]:
    """The passwords that the inventory holds, by the user of Redis who has them."""
    environment = lab.hostvars[lab.group("brokers")[0]]["common_environment"]
    return dict(zip((environment["user"], "admin"), map(lab.secret, NAMES), strict=True))


def accepted(lab, user: str, password: str) -> set[bool]:
    """Whether the brokers let a user in."""
    command = f"REDISCLI_AUTH='{password}' timeout 3 redis-cli --no-auth-warning --user {user}"
    answers = [lab.run(host, f"{command} {lab.dial(host)} ping 2>&1", check=False) for host in lab.group("brokers")]
    assert all("PONG" in answer or "WRONGPASS" in answer for answer in answers), answers
    return {"PONG" in answer for answer in answers}


def workers(lab) -> list[str]:
    return [lab.run(host, "systemctl show --property=Id,MainPID 'celery-worker-*'; supervisorctl pid all 2>/dev/null", check=False)
            for host in lab.group("workers")]


def under_load(lab, check: bool) -> tuple[str, dict]:
    with Load(lab, STREAMS) as load:
        time.sleep(3)
        started = time.time()
        said = rotate(lab, check)
        seconds = round(time.time() - started, 1)
        time.sleep(2)
    result = load.result() | {"seconds": seconds, "consumers": updates.consumers(lab, load.started_at, load.ended_at)}
    assert result["accepted"] > 200, "too little load to prove anything"
    assert (result["refused"], result["failed"], result["lost"], result["waiting"]) == (0, 0, 0, 0), result
    assert result["executed"] == result["accepted"]
    assert all(count["fewest"] >= max(1, count["at_first"] - 1) for count in result["consumers"].values()), result["consumers"]
    return said, result


@pytest.mark.long
def test_passwords_change_under_load(lab):
    former = passwords(lab)
    # The sender has the former password in its memory, and nothing restarts it: that password must stay valid until it is gone.
    said, first = under_load(lab, check=False)
    assert "The former password stays valid" in said and f"{lab.address(faults.scheduler(lab))}:" in said, said[-3000:]
    new, restarted = passwords(lab), workers(lab)
    for user, password in former.items():
        assert new[user] != password and password not in said and new[user] not in said
        assert (accepted(lab, user, password), accepted(lab, user, new[user])) == ({True}, {True})

    # The same run again completes it, with a sender that has the new one, and does nothing a second time.
    said, second = under_load(lab, check=True)
    assert "Only the new passwords are valid" in said
    assert (passwords(lab), workers(lab)) == (new, restarted)
    for user, password in former.items():
        assert (accepted(lab, user, password), accepted(lab, user, new[user])) == ({False}, {True})

    figures = {"both valid": first, "former ended": second}
    keys = ("seconds", "accepted", "executed", "lost", "doubled", "refused", "execution_gap_seconds", "sender_gap_seconds")
    text = report.table(["run", *(key.replace("_", " ") for key in keys)],
                        [[name, *(result.get(key) for key in keys)] for name, result in figures.items()])
    print("\n" + text)
    report.write("rotation", figures, text)
