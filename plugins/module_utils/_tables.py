# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of plain text, for the output of tasks."""

from __future__ import annotations

import typing as t


def line(cells: t.Sequence[str], widths: t.Sequence[int], separator: str = " | ") -> str:
    """Return one row, each cell as wide as its column at least."""
    return separator.join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()


def aligned(rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    """Return rows of equally many cells as lines, each column as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [line(cells, widths) for cells in rows]
