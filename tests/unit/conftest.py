# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the unit tests import the collection under its own name from any checkout."""

from __future__ import annotations

import pathlib
import sys

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def pytest_configure() -> None:
    """Put the tree on the path in which the checkout is as multinode.celery."""
    sys.path.insert(0, str(CHECKOUT / ".collections"))
