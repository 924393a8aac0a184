# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What every module supports; one that does not documents it itself."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and report what would change without changing it.
    support: full
  diff_mode:
    description: Returns what changed, or would change, in diff mode.
    support: none
  platform:
    description: Systems of the hosts on which the module acts.
    platforms: debian
    support: full
"""
