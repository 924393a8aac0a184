"""Two hosts can run the scheduler: one does, and the other takes over when it dies."""

from __future__ import annotations

import subprocess
import time

import pytest
import testinfra

HOSTS = ("test-1", "test-2")


def scheduler(name: str) -> testinfra.host.Host:
    """Return a host of the group schedulers."""
    return testinfra.get_host(f"ansible://{name}")


def sent(name: str) -> int:
    """Count the tasks that the scheduler of a host has sent."""
    return int(scheduler(name).run("sudo grep -c 'Sending due task' /var/log/celery/beat.log").stdout or 0)


def active(seconds: float) -> list[str]:
    """Return the hosts whose scheduler sent something within a time."""
    before = {name: sent(name) for name in HOSTS}
    time.sleep(seconds)
    return [name for name in HOSTS if sent(name) > before[name]]


@pytest.fixture(name="dead")
def _dead():
    """Return a function that kills a host; it is up again, and its Redis a replica in step, when the test is over."""
    killed = []

    def _kill(name: str) -> None:
        subprocess.run(["docker", "kill", f"options-{name}"], check=True, capture_output=True)
        killed.append(name)

    yield _kill
    for name in killed:
        subprocess.run(["docker", "start", f"options-{name}"], check=True, capture_output=True)
        deadline = time.monotonic() + 120
        # Asked through Docker, a host that has just started refuses logins.
        services = ["systemctl", "is-active", "redis-broker", "redis-broker-sentinel", "celery-beat"]
        while subprocess.run(["docker", "exec", f"options-{name}", *services], check=False, capture_output=True).returncode != 0:
            assert time.monotonic() < deadline, f"{name} is not back"
            time.sleep(2)


def test_one_scheduler_is_active_and_another_takes_over(dead):
    for name in HOSTS:
        assert scheduler(name).service("celery-beat").is_running
    # The example's schedule has a task every ten seconds.
    (first,) = active(15)
    (second,) = set(HOSTS) - {first}

    before = sent(second)
    dead(first)
    # The lock of the dead one runs out after 30 seconds; its host was a broker as well, maybe the master.
    deadline = time.monotonic() + 120
    while sent(second) == before:
        assert time.monotonic() < deadline, f"{second} did not take over from {first}"
        time.sleep(1)
