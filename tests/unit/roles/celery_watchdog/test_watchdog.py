# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a hang, and what is done to processes."""

from __future__ import annotations

import faulthandler
import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _environment_file, _processes, _redis_client

CHECKOUT = pathlib.Path(__file__).resolve().parents[4]
PROGRAM = CHECKOUT / "roles/celery_watchdog/files/usr/local/lib/celery-watchdog/multinode_watchdog.py"
for module in (_environment_file, _processes, _redis_client):
    sys.modules.setdefault(module.__name__.rpartition(".")[2], module)
SPEC = importlib.util.spec_from_file_location("multinode_watchdog", PROGRAM)
watchdog = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(watchdog)

THRESHOLD, MARGIN = 300, 60


def record(beat=0.0, pool="prefork", slots=2, slots_used=0, finished=5, active=()):
    tasks = [{"name": "t", "id": "1", "seconds": seconds, "limit": limit} for seconds, limit in active]
    return {"beat": beat, "pool": pool, "slots": slots, "slots_used": slots_used, "accepted": finished, "finished": finished, "active": tasks}


def watch(heartbeat, seconds, state="S", backlog=1, broker=True, beating=True, step=30):
    """Look every so often at a node that does not change, as long as its loop turns or not; return the first verdict."""
    memory, now = {}, 0.0
    while now <= seconds:
        if beating:
            heartbeat["beat"] = now
        look = watchdog.Look(now, state, backlog, 0.0 if broker else None)
        memory = watchdog.progress(heartbeat, look, memory, MARGIN)
        reason = watchdog.evaluate(heartbeat, look, memory, THRESHOLD, MARGIN)
        if reason:
            return reason
        now += step
    return ""


def test_a_free_node_that_takes_nothing_although_messages_wait_is_idle():
    assert watch(record(), 600) == "idle"


def test_a_half_busy_node_that_takes_nothing_is_idle_too():
    assert watch(record(slots_used=1, active=[(10, 3600)]), 600) == "idle"


def test_an_empty_queue_is_no_hang():
    assert watch(record(), 6000, backlog=0) == ""


def test_long_tasks_within_their_limit_are_no_hang():
    assert watch(record(slots_used=2, active=[(3000, 3600), (3000, 3600)]), 6000) == ""


def test_tasks_without_a_limit_are_no_hang():
    assert watch(record(slots_used=2, active=[(90000, 0), (90000, 0)]), 6000) == ""


def test_a_node_full_of_tasks_beyond_their_limit_is_overdue():
    assert watch(record(slots_used=2, active=[(3700, 3600), (3661, 3600)]), 600) == "overdue"


def test_one_task_within_its_limit_keeps_the_node_alive():
    assert watch(record(slots_used=2, active=[(3700, 3600), (3000, 3600)]), 600) == ""


def test_tasks_that_wait_for_their_time_fill_the_node():
    assert watch(record(slots_used=2), 6000) == ""


def test_progress_starts_the_time_anew():
    memory = watchdog.progress(record(finished=5), watchdog.Look(0, "S", 1, 0), {}, MARGIN)
    memory = watchdog.progress(record(finished=6), watchdog.Look(290, "S", 1, 0), memory, MARGIN)
    assert memory["since"] == 290


def test_a_loop_that_does_not_turn_is_stuck():
    assert watch(record(), 600, beating=False, backlog=0) == "stuck"


def test_a_loop_rests_while_there_is_no_broker():
    assert watch(record(), 6000, beating=False, backlog=None, broker=False) == ""


def test_a_stopped_process_hangs_whatever_the_broker_does():
    assert watch(record(), 600, state="T", beating=False, backlog=None, broker=False) == "stopped"


@pytest.mark.parametrize(("limit", "reason"), [(0, ""), (3600, ""), (60, "overdue")])
def test_a_solo_worker_runs_its_task_in_its_loop(limit, reason):
    assert watch(record(pool="solo", slots=1, slots_used=1, active=[(1, limit)]), 900, beating=False) == reason


# --- processes ---

CHILDREN = """
import faulthandler, os, signal, sys, time
faulthandler.register(signal.SIGUSR2, file=open(sys.argv[1], "a"))
if os.fork() == 0:
    faulthandler.register(signal.SIGUSR2, file=open(sys.argv[1], "a"))
os.write(1, b"%d\\n" % os.getpid())
time.sleep(60)
"""


@pytest.fixture
def family(tmp_path):
    """A process with a child, both able to write their stacks."""
    stacks = tmp_path / "stacks"
    main = subprocess.Popen([sys.executable, "-c", CHILDREN, str(stacks)], stdout=subprocess.PIPE, text=True)
    pids = {int(main.stdout.readline()), int(main.stdout.readline())}
    yield {"pid": main.pid, "start": int(watchdog.stat_fields(main.pid)[19])}, pids, stacks
    main.kill()
    main.wait()
    main.stdout.close()


def test_stacks_are_written_even_by_a_stopped_process(family):
    heartbeat, pids, stacks = family
    os.kill(heartbeat["pid"], signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while watchdog.state_of(heartbeat["pid"], heartbeat["start"]) != "T" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(watchdog.family(heartbeat["pid"])) == pids
    text = watchdog.dump(heartbeat, str(stacks), "T")
    assert text.count("most recent call first") == 2


def test_a_process_is_killed_with_its_children(family):
    heartbeat, pids, _stacks = family
    starts = watchdog.family(heartbeat["pid"])
    watchdog.kill(heartbeat)
    deadline = time.monotonic() + 10
    while any(watchdog.state_of(pid, starts[pid]) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(watchdog.state_of(pid, starts[pid]) for pid in pids)


def test_another_process_with_the_same_number_is_spared(family):
    heartbeat, _pids, _stacks = family
    watchdog.kill({**heartbeat, "start": heartbeat["start"] - 1})
    assert watchdog.state_of(heartbeat["pid"], heartbeat["start"])


def test_a_process_without_a_handler_is_not_asked_for_stacks():
    assert not watchdog.handles(os.getppid(), 63)
    faulthandler.register(signal.SIGUSR2)
    assert watchdog.handles(os.getpid(), signal.SIGUSR2)
    faulthandler.unregister(signal.SIGUSR2)
