# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the unit tests import the collection under its own name from any checkout."""

from __future__ import annotations

import pathlib
import sys
import tempfile

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def pytest_configure() -> None:
    """Put a tree on the path in which the checkout stands as multinode.celery."""
    # Kept on the object so that the tree lives as long as the run.
    pytest_configure.tree = tempfile.TemporaryDirectory(prefix="multinode-celery-")
    namespace = pathlib.Path(pytest_configure.tree.name, "ansible_collections", "multinode")
    namespace.mkdir(parents=True)
    (namespace / "celery").symlink_to(CHECKOUT)
    sys.path.insert(0, pytest_configure.tree.name)
