# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every secret that an inventory holds for a host."""

from __future__ import annotations

import collections.abc as c
import re
import typing as t

from ansible_collections.multinode.celery.plugins.plugin_utils.deployment import NO_FACTS, Deployment
from ansible_collections.multinode.celery.plugins.plugin_utils.role_files import RoleFiles

SECRET_NAME = re.compile(r"(?i)^vault_|password|passwd|passphrase|secret|token|api_?key|private_?key|credential")
# Switches and lengths are called so too, and hold no secret.
NO_SECRET = re.compile(r"(?i)_(?:path|directory|file|length|logging|enabled|min|max|names|user|group)$")

# Where a user puts values of his own, any of which may be secret.
FREE_VALUES = ("celery_app_variables",)
# Ansible's own variables hold everybody's values once more.
NOT_OWN = ("environment", "groups", "hostvars", "vars")


def texts(value: t.Any) -> t.Iterator[str]:
    """Yield every text inside a value."""
    if isinstance(value, c.Mapping):
        for entry in value.values():
            yield from texts(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from texts(entry)
    elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        yield str(value)


def by_name(value: t.Any) -> t.Iterator[str]:
    """Yield the texts inside a value that are under the name of a secret."""
    if isinstance(value, c.Mapping):
        for name, entry in value.items():
            if SECRET_NAME.search(str(name)) and not NO_SECRET.search(str(name)):
                yield from texts(entry)
            else:
                yield from by_name(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from by_name(entry)


def by_spec(value: t.Any, spec: c.Mapping[str, t.Any]) -> t.Iterator[str]:
    """Yield the texts inside an input that its argument spec marks with C(no_log)."""
    if spec.get("no_log"):
        yield from texts(value)
        return
    options = spec.get("options") or {}
    for entry in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(entry, c.Mapping):
            for name, option in options.items():
                if name in entry:
                    yield from by_spec(entry[name], option)


def secrets_of(host: str, files: RoleFiles, templar: t.Any, hostvars: t.Any) -> set[str]:
    """Return every secret of one host: what specs mark, what is called like one, and the application's own variables.

    All roles count, also those that the host does not get: whatever an inventory holds must not be seen.
    """
    raw = hostvars.raw_get(host)
    roles = files.roles()
    values = Deployment(files, templar, raw, hostvars, roles, {**NO_FACTS, **(raw.get("ansible_facts") or {})})

    def known(name: str) -> t.Any:
        value = values.value(name)
        # One part that cannot be read must not hide the others.
        return values.variables[name] if value is None and name in values.errors else value

    found: set[str] = set()
    for role in roles:
        for name, spec in files.specs(role).items():
            if spec.get("no_log") or spec.get("options"):
                found.update(by_spec(known(name), spec))
    for name in FREE_VALUES:
        found.update(texts(known(name)))
    own = [name for name in raw if not name.startswith(("ansible_", "__")) and name not in NOT_OWN]
    found.update(by_name({name: known(name) for name in own}))
    return {secret for secret in found if secret}
