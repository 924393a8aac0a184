# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module as Ansible does, beside fakes of the programs that it calls."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args


class ModuleRun:
    """Runs one module in this process, with options as a task gives them, and returns its result."""

    def __init__(self, module: t.Any, capsys: pytest.CaptureFixture[str]) -> None:
        self._module = module
        self._capsys = capsys

    def __call__(self, check: bool = False, fails: bool = False, **options: t.Any) -> dict[str, t.Any]:
        with patch_module_args({**options, "_ansible_check_mode": check, "_ansible_diff": True}), pytest.raises(SystemExit) as stop:
            self._module.main()
        result = json.loads(self._capsys.readouterr().out.splitlines()[-1])
        assert bool(stop.value.code) is fails, result
        return result


class FakePrograms:
    """A folder at the proxy of the path with scripts of a test; each call of one is a line of :meth:`calls`."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self.state = folder / "state"
        self._log = folder / "calls"
        self._log.touch()
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setenv("FAKE_STATE", str(self.state))

    def add(self, name: str, script: str) -> None:
        path = self._folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self._log}"\n{script}')
        path.chmod(0o755)

    def calls(self, start: str = "") -> list[str]:
        return [line for line in self._log.read_text().splitlines() if line.startswith(start)]

    def forget(self) -> None:
        self._log.write_text("")


# One table, in a file for each network namespace; what nft does not understand has the word "wrong" in it.
FAKE_NFT = r"""
state="$FAKE_STATE.table$FAKE_NAMESPACE"
case "$*" in
  "-f "*)
    text=$(cat "$2" 2>/dev/null || cat)
    case "$text" in *wrong*) echo "Error: syntax error, unexpected string" >&2; exit 1 ;; esac
    rules=$(printf '%s\n' "$text" | sed '/^#/d; /^$/d; /^table inet [a-z_]*$/d; /^delete table/d')
    if [ -n "$rules" ]; then printf '%s\n' "$rules" > "$state"; else rm -f "$state"; fi ;;
  *"list table inet "*)
    [ -e "$state" ] || { echo "Error: No such file or directory" >&2; exit 1; }
    if [ "$1" = -s ]; then sed 's/ packets [0-9]*//' "$state"; else cat "$state"; fi ;;
esac
"""
FAKE_UNSHARE = 'shift\nFAKE_NAMESPACE=".$$"\nexport FAKE_NAMESPACE\nexec "$@"\n'
# Active units are lines of a file.
FAKE_SYSTEMCTL = r"""
units="$FAKE_STATE.units"
verb=$1
shift
case $verb in
  is-active)
    code=3
    for unit; do if grep -qx "$unit" "$units" 2>/dev/null; then echo active; code=0; else echo inactive; fi; done
    exit $code ;;
  stop) for unit; do [ ! -e "$units" ] || sed -i "/^$unit\$/d" "$units"; done ;;
  show) cat "$FAKE_STATE.shown" ;;
esac
"""
FAKE_SYSTEMD_RUN = r"""
[ ! -e "$FAKE_STATE.broken" ] || { echo "Failed to start transient timer unit" >&2; exit 1; }
for word; do case $word in --unit=*) echo "${word#--unit=}.timer" >> "$FAKE_STATE.units" ;; esac; done
"""
