# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The balance of accepted and executed tasks, on which every result of the fault tests rests."""

from __future__ import annotations

import json
import uuid

import pytest
from lab import accounting, report

IDS = [str(uuid.UUID(int=number)) for number in range(10)]


def sends(*moments: float, error: str = "") -> list:
    return [accounting.Send(IDS[number], at, at + 0.01, error) for number, at in enumerate(moments)]


def executions(*pairs: tuple[int, float], node: str = "general@cpu-1") -> list:
    return [accounting.Execution(IDS[number], at, node) for number, at in pairs]


@pytest.mark.parametrize("process", ["MainProcess", "ForkPoolWorker-3", "ThreadPoolExecutor-0_1"])
def test_parse_log(process):
    text = (
        f"[2026-11-22 15:25:00,125: INFO/MainProcess] Task proj.tasks.noop[{IDS[1]}] received\n"
        f"[2026-11-22 15:25:00,250: INFO/{process}] Task proj.tasks.noop[{IDS[1]}] succeeded in 0.0001s: None\n"
        f"[2026-11-22 15:25:01,000: ERROR/{process}] Task proj.tasks.noop[{IDS[2]}] raised unexpected: ValueError()\n"
        "Traceback with Task proj.tasks.noop[not-an-id] succeeded\n"
    )
    assert accounting.parse_log(text, "n") == [accounting.Execution(IDS[1], 1795361100.25, "n")]
    assert [one.at for one in accounting.parse_log(text, "n", "received")] == [1795361100.125]


def test_parse_log_finds_tasks_that_raised():
    text = f"[2026-11-22 15:25:01,000: ERROR/ForkPoolWorker-1] Task proj.tasks.noop[{IDS[2]}] raised unexpected: ValueError()\n"
    assert [one.task_id for one in accounting.parse_log(text, "n", "raised", "INTERNAL ERROR")] == [IDS[2]]


def test_times_in_which_a_node_consumed():
    ready = accounting.parse_ready("[2026-11-22 15:25:00,125: INFO/MainProcess] general@cpu-1 ready.\n[x] general@cpu-1 ready.\n")
    assert ready == [1795361100.125]
    assert accounting.stretches([1, 6], [5], 9) == [(1, 5), (6, 9)]
    # Killed between 1 and 6, stopped without having been ready, and stopped for good.
    assert accounting.stretches([1, 6], [0, 8], 9) == [(1, 6), (6, 8)]


def test_how_many_consumed_at_every_moment():
    assert accounting.fewest([(0, 5), (3, 9)], 0, 8) == 1
    assert accounting.fewest([(0, 5), (3, 9), (0, 9)], 0, 8) == 2
    assert accounting.fewest([(0, 5), (6, 9)], 0, 8) == 0
    assert accounting.fewest([(2, 9)], 0, 8) == 0


def test_parse_records_skips_a_line_cut_off():
    lines = [json.dumps({"id": IDS[0], "sent": 1, "returned": 2}), '{"id": "', json.dumps({"summary": "send", "skipped": 3})]
    found, summary = accounting.parse_records(lines)
    assert found == [accounting.Send(IDS[0], 1, 2, "")]
    assert summary["skipped"] == 3


def test_everything_executed_once():
    result = accounting.account(sends(1, 2, 3), executions((0, 1.1), (1, 2.1), (2, 3.1)))
    assert (result["accepted"], result["executed"], result["lost"], result["doubled"], result["waiting"]) == (3, 3, 0, 0, 0)


def test_lost_waiting_and_doubled_are_distinguished():
    result = accounting.account(sends(1, 2, 3, 4), executions((0, 1.1), (1, 2.1), (1, 9.0)), waiting=[IDS[2], "of another run"])
    assert result["lost_ids"] == [IDS[3]]
    assert (result["executed"], result["doubled"], result["waiting"], result["lost"]) == (2, 1, 1, 1)


def test_an_id_that_waits_and_was_executed_is_not_waiting():
    assert accounting.account(sends(1), executions((0, 1.1)), waiting=[IDS[0]])["waiting"] == 0


def test_a_refused_send_is_neither_lost_nor_executed():
    attempts = [*sends(1), accounting.Send(IDS[5], 2, 2.5, "OperationalError: NOREPLICAS"), accounting.Send(IDS[6], 3, 3, "X: y")]
    result = accounting.account(attempts, executions((0, 1.1), (5, 2.6)))
    assert (result["accepted"], result["refused"], result["lost"]) == (1, 2, 0)
    assert result["executed_though_refused"] == 1
    assert result["errors"] == {"OperationalError": 1, "X": 1}


def test_executions_of_other_runs_do_not_count():
    unlisted = accounting.Execution(str(uuid.uuid4()), 1.5, "general@cpu-2")
    result = accounting.account(sends(1), [unlisted, *executions((0, 1.1))])
    assert result["nodes"] == {"general@cpu-1": 1}


def test_gap_lies_between_fault_and_return():
    attempts = sends(0, 1, 2, 3, 10, 11, 12, 13)
    done = executions((0, 0.1), (1, 1.1), (2, 2.1), (3, 3.1), (4, 10.5), (5, 11.1), (6, 12.1), (7, 13.0))
    result = accounting.account(attempts, done, fault_at=3.2, healed_at=12.5)
    assert result["execution_gap_seconds"] == pytest.approx(7.4)
    assert result["producer_gap_seconds"] == pytest.approx(7.0)


def test_no_recovery_is_a_gap_until_the_host_returns():
    result = accounting.account(sends(0, 1, 2, 30), executions((0, 0.1), (1, 1.1), (3, 30.1)), fault_at=1.5, healed_at=25)
    assert result["execution_gap_seconds"] == pytest.approx(23.9)


def test_a_node_that_executes_nothing_shows():
    done = executions((0, 0.1), (1, 1.1), (2, 2.1)) + executions((3, 0.2), node="general@cpu-2")
    result = accounting.account(sends(0, 1, 2, 3), done, fault_at=0.5)
    assert result["node_gap_seconds"]["general@cpu-2"] == pytest.approx(2.8)
    assert result["execution_gap_seconds"] == pytest.approx(1.0)


def test_nothing_accepted():
    assert accounting.account(sends(1, error="E: x"), [])["accepted"] == 0


def test_longest_gap_counts_both_ends():
    assert accounting.longest_gap([5], 0, 6) == 5
    assert accounting.longest_gap([], 0, 6) == 6
    assert accounting.longest_gap([-3, 9], 0, 6) == 6


def test_throughput_ignores_both_ends():
    steady = [accounting.Execution(IDS[0], number / 100, "n") for number in range(1000)]
    late = [*steady, accounting.Execution(IDS[0], 500.0, "n")]
    assert accounting.throughput(late) == pytest.approx(100, rel=0.01)
    assert accounting.throughput([]) == 0.0


def test_table_shows_missing_values_and_escapes():
    assert report.table(["a", "b"], [[None, True], ["x|y", 3]]) == "| a | b |\n|---|---|\n| - | yes |\n| x\\|y | 3 |\n"
