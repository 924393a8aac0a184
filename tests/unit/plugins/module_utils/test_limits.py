# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.multinode.celery.plugins.module_utils import _limits as limits

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max processes             95991                95991                processes
Max open files            {soft:<20} {hard:<20} files
"""


@pytest.mark.parametrize(
    ("soft", "hard", "expected"), [("1024", "20000", (1024, 20000)), ("unlimited", "unlimited", (limits.UNLIMITED, limits.UNLIMITED))]
)
def test_open_files_of_a_process(soft: str, hard: str, expected: tuple[int, int]) -> None:
    assert limits.nofile_of(LIMITS.format(soft=soft, hard=hard)) == expected


def test_a_process_without_that_line_has_no_limits() -> None:
    assert limits.nofile_of("") is None


@pytest.mark.parametrize(("capabilities", "most"), [("000001ffffffffff", 1048576), ("000001fffeffffff", 20000)])
def test_only_a_manager_that_may_raise_its_limit_gets_above_it(capabilities: str, most: int) -> None:
    status = f"Name:\tsystemd\nCapEff:\t{capabilities}\n"
    assert limits.ceiling(LIMITS.format(soft=1024, hard=20000), status, 1048576) == most


@pytest.mark.parametrize(("soft", "enough"), [(20000, True), (65536, True), (limits.UNLIMITED, True), (1024, False)])
def test_what_the_host_cannot_give_is_not_missing(soft: int, enough: bool) -> None:
    assert limits.enough(soft, 65536, 20000) is enough


def test_the_choice_in_brackets() -> None:
    assert limits.selected("always [madvise] never\n") == "madvise"


@pytest.mark.parametrize(
    ("name", "path"), [("net.core.somaxconn", "net/core/somaxconn"), ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding")]
)
def test_the_file_of_a_parameter(name: str, path: str) -> None:
    assert limits.sysctl_path(name) == f"/proc/sys/{path}"


def test_values_are_compared_without_their_blanks() -> None:
    assert limits.same_value("4096\t87380\t6291456\n", "4096 87380 6291456")
    assert limits.same_value(1, "1")
    assert not limits.same_value(1, "10")


def test_units_and_programs() -> None:
    assert limits.units_of("Id=a.service\nMainPID=7\n\nId=b.service\nMainPID=0\n") == {
        "a.service": {"Id": "a.service", "MainPID": "7"},
        "b.service": {"Id": "b.service", "MainPID": "0"},
    }
    status = "celery-worker-video        RUNNING   pid 812, uptime 0:00:09\ngroup:other   STOPPED   Not started\ngroup:in   RUNNING   pid 9, uptime 1 day\n"
    assert limits.programs_of(status) == {"celery-worker-video": 812, "in": 9}
