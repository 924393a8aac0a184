# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of assignments as a shell reads them: the application's C(env) and C(/etc/os-release).

The watchdog has a copy of this file beside it; C(celeryconfig.py), which is part of the application, reads its file itself.
"""

from __future__ import annotations

import shlex


def parse(text: str) -> dict[str, str]:
    """Return the variables of a text; a word without an equals sign is none.

    :raises ValueError: when a quotation is not closed.
    """
    words = (word.partition("=") for word in shlex.split(text, comments=True))
    return {name: value for name, equals, value in words if equals}


def read(path: str) -> dict[str, str]:
    """Return the variables of a file.

    :raises OSError: when it cannot be read.
    :raises ValueError: when a quotation is not closed.
    """
    with open(path, encoding="utf-8") as file:
        return parse(file.read())
