# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.multinode.celery.plugins.plugin_utils.preflight import Host, Inventory, run_checks
from ansible_collections.multinode.celery.plugins.plugin_utils.preflight_monitoring import CHECKS

GOOD = {
    "alertmanager_receivers": [{"name": "team", "webhook_urls": ["https://x.example.org"]}],
    "alertmanager_default_receiver": "team",
    "alertmanager_routes": [{"receiver": "nobody", "matchers": ['severity="info"']}],
    "alertmanager_smtp_address": "",
    "alertmanager_external_url": "https://monitor.example.org/alertmanager/",
    "prometheus_external_url": "https://monitor.example.org/prometheus/",
}
ROLES = {"monitoring": ["alertmanager", "prometheus"]}


def found(**changes: t.Any) -> list[str]:
    host = Host("m-1", ROLES["monitoring"], {**GOOD, **changes})
    return [finding.check for finding in run_checks(Inventory((host,), {"monitoring": ["m-1"]}, ROLES), CHECKS)]


def test_a_good_inventory_passes() -> None:
    assert found() == []
    assert found(alertmanager_receivers=[], alertmanager_default_receiver="nobody") == []


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("receiver_unknown", {"alertmanager_routes": [{"receiver": "taem", "matchers": []}]}),
        ("receiver_unknown", {"alertmanager_default_receiver": "duty"}),
        ("receiver_empty", {"alertmanager_receivers": [{"name": "team"}]}),
        ("receiver_mail", {"alertmanager_receivers": [{"name": "team", "email_to": ["a@example.org"]}]}),
        ("receiver_twice", {"alertmanager_receivers": [{"name": "team", "slack_url": "x"}, {"name": "team", "slack_url": "y"}]}),
        ("external_url", {"prometheus_external_url": "https://monitor.example.org/"}),
    ],
)
def test_what_cannot_work_is_named(check: str, changes: dict[str, t.Any]) -> None:
    assert found(**changes) == [check]


def test_the_message_suggests_the_right_name() -> None:
    host = Host("m-1", ROLES["monitoring"], {**GOOD, "alertmanager_default_receiver": "taem"})
    text = run_checks(Inventory((host,), {"monitoring": ["m-1"]}, ROLES), CHECKS)[0].text()
    assert "did you mean 'team'?" in text and "group_vars/monitoring/alertmanager.yml" not in text.split("?")[0]
