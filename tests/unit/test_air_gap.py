# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page on hosts without the internet names every package that a role installs."""

from __future__ import annotations

import pathlib
import re

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def test_the_page_lists_every_package() -> None:
    (listed,) = re.findall(r"apt-get install --yes --download-only((?:.*\\\n)+.*)", (CHECKOUT / "docs/air_gap.md").read_text())
    wanted: set[str] = {"supervisor"}
    for path in CHECKOUT.glob("roles/*/defaults/main.yml"):
        for name, value in (yaml.safe_load(path.read_text()) or {}).items():
            if name.endswith("_packages") and isinstance(value, list):
                wanted.update(value)
    assert len(wanted) > 10
    assert sorted(wanted - set(listed.split())) == []
