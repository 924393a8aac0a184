# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A table is replaced only with a rollback that is ready; nft and systemd are fakes."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.modules import firewall_rules
from module_run import FAKE_NFT, FAKE_SYSTEMCTL, FAKE_SYSTEMD_RUN, FAKE_UNSHARE, FakePrograms, ModuleRun

OLD = "table inet t { old; }"
NEW = "# Ansible managed\ntable inet t\ndelete table inet t\ntable inet t { new; }\n"
LOADED = "table inet t { new; }"
TIMER = "t-firewall-rollback.timer"
UNIT = "t.service"


class Host:
    """The fakes, and the module on them."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "bin").mkdir()
        self.programs = FakePrograms(folder / "bin", monkeypatch)
        for name, script in (("nft", FAKE_NFT), ("unshare", FAKE_UNSHARE), ("systemctl", FAKE_SYSTEMCTL), ("systemd-run", FAKE_SYSTEMD_RUN)):
            self.programs.add(name, script)
        monkeypatch.setattr(firewall_rules, "DIRECTORY", str(folder / "run"))
        self.previous = folder / "run/t.nft"
        self._run = ModuleRun(firewall_rules, capsys)

    def run(self, step: str = "apply", rules: str = NEW, **others: t.Any) -> dict[str, t.Any]:
        return self._run(step=step, rules=rules, table="t", unit=UNIT, rollback_seconds=5, **others)

    def _file(self, name: str) -> pathlib.Path:
        return self.programs.state.with_name(f"state.{name}")

    @property
    def live(self) -> str:
        return self._file("table").read_text().strip() if self._file("table").exists() else ""

    @live.setter
    def live(self, text: str) -> None:
        self._file("table").write_text(f"{text}\n")

    @property
    def units(self) -> list[str]:
        return self._file("units").read_text().split() if self._file("units").exists() else []

    def activate(self, *units: str) -> None:
        self._file("units").write_text("".join(f"{unit}\n" for unit in units))

    def break_systemd(self) -> None:
        self._file("broken").touch()

    def roll_back(self) -> None:
        """What the timer does on a host that was not confirmed."""
        self.activate(*[unit for unit in self.units if unit != TIMER])
        self.live = OLD


@pytest.fixture(name="host")
def _host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, monkeypatch, capsys)


def test_a_table_that_is_as_it_should_be_is_left_alone(host: Host) -> None:
    host.live = LOADED
    host.activate(UNIT)
    result = host.run()
    assert (result["changed"], result["armed"], result["unit_active"]) == (False, False, True)
    assert not host.programs.calls("systemd-run") and not host.previous.exists()


def test_counters_are_no_difference(host: Host) -> None:
    host.live = "table inet t { new; packets 7 }"
    assert not host.run(rules="table inet t { new; packets 0 }")["changed"]


def test_the_rollback_is_armed_before_the_table_is_replaced(host: Host) -> None:
    host.live = "table inet t { old; packets 7 }"
    result = host.run()
    assert (result["changed"], result["armed"], result["unit_active"]) == (True, True, False)
    assert host.live == LOADED and host.units == [TIMER]
    # The previous table with its counters, in one transaction that also works where there is no table.
    assert host.previous.read_text() == "table inet t\ndelete table inet t\ntable inet t { old; packets 7 }\n"
    calls = host.programs.calls()
    loading = max(number for number, call in enumerate(calls) if call == "nft -f -")
    arming = next(number for number, call in enumerate(calls) if call.startswith("systemd-run"))
    assert arming < loading
    assert "--on-active=5" in calls[arming] and calls[arming].endswith(f"nft -f {host.previous}")
    assert (result["diff"]["before"], result["diff"]["after"]) == ("table inet t { old; }\n", LOADED + "\n")


def test_a_host_without_the_table_goes_back_to_none(host: Host) -> None:
    host.run()
    assert host.previous.read_text() == "table inet t\ndelete table inet t\n"


def test_no_rules_remove_the_table(host: Host) -> None:
    host.live = OLD
    assert host.run(rules="")["armed"]
    assert host.live == ""
    host.activate()
    assert host.run("confirm", rules="")["held"]


def test_check_mode_changes_nothing(host: Host) -> None:
    host.live = OLD
    result = host.run(check=True)
    assert (result["changed"], result["armed"]) == (True, False)
    assert host.live == OLD and host.units == [] and not host.previous.exists()


def test_rules_that_nft_refuses_are_not_armed(host: Host) -> None:
    host.live = OLD
    assert "nothing was changed: Error: syntax error" in host.run(rules="table inet t { wrong; }", fails=True)["msg"]
    assert host.live == OLD and host.units == []


def test_without_a_rollback_nothing_is_changed(host: Host) -> None:
    host.live = OLD
    host.break_systemd()
    assert "cannot be armed, nothing was changed" in host.run(fails=True)["msg"]
    assert host.live == OLD


def test_a_load_that_fails_disarms_the_rollback(host: Host) -> None:
    host.live = OLD
    # It passes in a namespace of its own, as rules do that clash with what is there.
    host.programs.add("nft", '[ "$FAKE_NAMESPACE$1$2" != "-f-" ] || { cat >/dev/null; echo "Error: busy" >&2; exit 1; }\n' + FAKE_NFT)
    assert "nft refuses the rules, nothing was changed: Error: busy" in host.run(fails=True)["msg"]
    assert host.live == OLD and host.units == []


def test_a_confirmation_keeps_what_holds(host: Host) -> None:
    host.live = OLD
    host.run()
    result = host.run("confirm")
    assert (result["changed"], result["held"], result["armed"]) == (True, True, False)
    assert host.live == LOADED and host.units == [] and not host.previous.exists()


def test_a_confirmation_after_the_rollback_reports_it(host: Host) -> None:
    host.live = OLD
    host.run()
    host.roll_back()
    result = host.run("confirm")
    assert (result["changed"], result["held"]) == (False, False)
    assert host.live == OLD and not host.previous.exists()


def test_a_run_that_was_killed_between_its_steps_is_undone_first(host: Host) -> None:
    host.live = OLD
    host.run()
    other = NEW.replace("new;", "newer;")
    assert host.run(rules=other)["armed"]
    assert host.live == "table inet t { newer; }"
    # What a rollback comes back to is from before both.
    assert "old;" in host.previous.read_text()


def test_check_mode_reports_an_abandoned_rollback(host: Host) -> None:
    host.live = LOADED
    host.activate(TIMER)
    assert host.run(check=True)["changed"]
    assert host.units == [TIMER]


@pytest.mark.parametrize(("rules", "check", "fails"), [(NEW, False, True), (NEW, True, False), ("", False, False)])
def test_a_host_without_nft(host: Host, monkeypatch: pytest.MonkeyPatch, rules: str, check: bool, fails: bool) -> None:
    monkeypatch.setattr(firewall_rules.AnsibleModule, "get_bin_path", lambda *_args, **_others: None)
    result = host.run(rules=rules, check=check, fails=fails)
    assert "firewall_packages" in result["msg"] if fails else result["changed"] is bool(rules)
