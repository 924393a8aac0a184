# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rendered configuration of Alertmanager has what the variables set."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

import jinja2
import pytest
import yaml

ROLE = pathlib.Path(__file__).resolve().parents[4] / "roles/alertmanager"
RECEIVERS = [
    {"name": "team", "email_to": ["a@example.org", "b@example.org"], "slack_url": "https://chat.example.org/hook?x=\"'", "slack_channel": "#celery"},
    {"name": "duty", "webhook_urls": ["https://duty.example.org/hook"], "send_resolved": False},
]


def rendered(**given: t.Any) -> dict[str, t.Any]:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["to_json"] = json.dumps
    template = environment.from_string((ROLE / "templates/etc/prometheus/alertmanager.yml.j2").read_text())
    text = template.render({**defaults, "alertmanager_default_receiver": "nobody", **given})
    return {"text": text, **yaml.safe_load(text)}


FULL = {
    "alertmanager_receivers": RECEIVERS,
    "alertmanager_default_receiver": "team",
    "alertmanager_routes": [{"receiver": "duty", "matchers": ['severity="critical"'], "continue": True, "repeat_minutes": 30}],
    "alertmanager_smtp_address": "mail.example.org:587",
    "alertmanager_smtp_from": "celery@example.org",
    "alertmanager_smtp_user": "celery",
    "alertmanager_smtp_password": 'quo"te',
    "alertmanager_dead_mans_switch_url": "https://watch.example.org/x",
}


def test_without_receivers_nobody_is_notified() -> None:
    config = rendered()
    assert config["route"]["receiver"] == "nobody"
    assert config["receivers"] == [{"name": "nobody"}, {"name": "dead-mans-switch"}]


def test_every_way_of_a_receiver_is_there() -> None:
    team, duty = rendered(**FULL)["receivers"][2:]
    assert [entry["to"] for entry in team["email_configs"]] == ["a@example.org", "b@example.org"]
    assert team["slack_configs"][0]["api_url"] == RECEIVERS[0]["slack_url"]
    assert "{{ .CommonLabels.alertname }}" in team["slack_configs"][0]["title"]
    assert duty == {"name": "duty", "webhook_configs": [{"url": "https://duty.example.org/hook", "send_resolved": False}]}


def test_the_dead_mans_switch_comes_first_and_reaches_no_person() -> None:
    config = rendered(**FULL)
    first, second = config["route"]["routes"]
    assert first["receiver"] == "dead-mans-switch" and "continue" not in first
    assert second == {"receiver": "duty", "matchers": ['severity="critical"'], "continue": True, "repeat_interval": "30m"}
    assert config["receivers"][1]["webhook_configs"][0]["url"] == "https://watch.example.org/x"


def test_the_mail_server_logs_in_only_with_a_user() -> None:
    assert rendered(**FULL)["global"]["smtp_auth_password"] == 'quo"te'
    assert "smtp_auth_username" not in rendered(**{**FULL, "alertmanager_smtp_user": ""})["global"]


@pytest.mark.parametrize("given", [{}, FULL], ids=["defaults", "full"])
def test_amtool_accepts_it(given: dict[str, t.Any], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(rendered(**given)["text"])
    done = subprocess.run(["amtool", "check-config", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
