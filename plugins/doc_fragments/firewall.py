# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options that both modules for a table of nftables share."""

    DOCUMENTATION = r"""
options:
  table:
    description: Name of the table of the family C(inet).
    type: str
    required: true
  unit:
    description: The service that loads the rules at boot; only asked whether it is active.
    type: str
    required: true
  rules:
    description:
      - A file for C(nft -f) that deletes and makes the table.
      - The table is removed where it is empty.
    type: str
    required: true
"""
