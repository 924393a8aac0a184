# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of receivers, routes and addresses of the monitoring hosts."""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.multinode.celery.plugins.plugin_utils.preflight import (
    Check,
    Finding,
    Inventory,
    did_you_mean,
)

NOBODY = "nobody"
WAYS = ("email_to", "webhook_urls", "slack_url")
# The proxy passes these paths on as they are.
PATHS = {"prometheus_external_url": "/prometheus/", "alertmanager_external_url": "/alertmanager/"}


def check_receivers(inventory: Inventory) -> t.Iterator[Finding]:
    """Every route leads to a receiver, and every receiver to somebody."""
    for host in inventory.having("alertmanager"):
        receivers = [entry for entry in host.items("alertmanager_receivers") if isinstance(entry, dict)]
        names = [str(entry.get("name")) for entry in receivers]
        where = inventory.where("alertmanager")
        wanted = [("alertmanager_default_receiver", host.get("alertmanager_default_receiver"))]
        routes = [entry for entry in host.items("alertmanager_routes") if isinstance(entry, dict)]
        wanted += [("alertmanager_routes", entry.get("receiver")) for entry in routes]
        for variable, name in wanted:
            if isinstance(name, str) and name not in (*names, NOBODY):
                yield Finding(
                    "receiver_unknown", variable, name, (host.name,), f"there is no such receiver{did_you_mean(name, names)}",
                    f"Add it to alertmanager_receivers in {where}, or name one of {', '.join([*names, NOBODY])}",
                )  # fmt: skip
        for entry in receivers:
            if not any(entry.get(way) for way in WAYS):
                yield Finding(
                    "receiver_empty", "alertmanager_receivers", str(entry.get("name")), (host.name,), "nobody would be notified",
                    f"Give it {' or '.join(WAYS)} in {where}",
                )  # fmt: skip
            if entry.get("email_to") and not host.get("alertmanager_smtp_address"):
                yield Finding(
                    "receiver_mail", "alertmanager_receivers", str(entry.get("name")), (host.name,),
                    "it wants e-mail, but no mail server is set",
                    f"Set alertmanager_smtp_address in {where}, as name:port",
                )  # fmt: skip
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Finding(
                "receiver_twice", "alertmanager_receivers", name, (host.name,), "two receivers have this name",
                f"Give each its own, or one of them both ways, in {where}",
            )  # fmt: skip


def check_external_urls(inventory: Inventory) -> t.Iterator[Finding]:
    """Links in notifications lead through the proxy."""
    for variable, path in PATHS.items():
        role = variable.partition("_")[0]
        for host in inventory.having(role):
            url = host.get(variable)
            if isinstance(url, str) and urllib.parse.urlsplit(url).path != path:
                yield Finding(
                    "external_url", variable, url, (host.name,), f"its path is not {path}, which is what the proxy passes on",
                    f"Let it end in {path} in {inventory.where(role)}",
                )  # fmt: skip


CHECKS: tuple[Check, ...] = (check_receivers, check_external_urls)
