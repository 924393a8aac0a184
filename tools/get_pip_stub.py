# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaces get-pip.py where its host cannot be reached: installs the pip that comes with Python, then upgrades it."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own, because ensurepip switches pip's configuration off for the one it runs in.
subprocess.check_call([sys.executable, "-m", "ensurepip"])
wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "pip", "install", "--upgrade", *wanted])
