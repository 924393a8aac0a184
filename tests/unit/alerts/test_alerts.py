# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every alert fires when it should and only then: the rules are rendered as the role does and evaluated by promtool."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import typing as t

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
ROLE = CHECKOUT / "roles/prometheus"
TEMPLATES = sorted((ROLE / "templates/etc/prometheus/rules").glob("*.yml.j2"))
DEFAULTS = {name: value for name, value in yaml.safe_load((ROLE / "defaults/main.yml").read_text()).items() if name.startswith("prometheus_alert_")}
# Everything is a string there: to YAML promtool's 0x20 would be a number.
CASES = yaml.load(pathlib.Path(__file__).with_name("cases.yml").read_text(), Loader=yaml.BaseLoader)
FLAT = [
    pytest.param(alert, kind == "fires", case, id=f"{alert}-{kind}-{number}")
    for alert, kinds in CASES.items()
    for kind, cases in kinds.items()
    for number, case in enumerate(cases)
]
ALWAYS_FIRES = {"DeadMansSwitch"}


def render(directory: pathlib.Path, **variables: t.Any) -> list[pathlib.Path]:
    """Write the rule files as the role does, with its defaults and what a case changes."""
    known = {**DEFAULTS, "ansible_managed": "Ansible managed", **variables}
    templar = Templar(loader=DataLoader(), variables=known)
    rendered = []
    for template in TEMPLATES:
        overrides = {"trim_blocks": True, "lstrip_blocks": True}
        text = templar.template(trust_as_template(template.read_text()), escape_backslashes=False, overrides=overrides)
        rendered.append(directory / template.with_suffix("").name)
        rendered[-1].write_text(text)
    return rendered


def alerts_of(files: list[pathlib.Path]) -> dict[str, dict[str, t.Any]]:
    """The alerts of rule files by name."""
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program, "promtool is missing: install Debian's package prometheus"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def expected_alert(rule: dict[str, t.Any], case: dict[str, t.Any]) -> dict[str, t.Any]:
    """What promtool must see: the rule's own texts with the case's labels and value in their places."""
    annotations = {}
    for name, text in rule["annotations"].items():
        labelled = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: case["labels"][found[1]], text)
        annotations[name] = re.sub(r"{{ \$value[^}]*}}", lambda found: case["value"], labelled)
    return {"exp_labels": {**case["labels"], **rule["labels"]}, "exp_annotations": annotations}


def run_promtool(directory: pathlib.Path, files: list[pathlib.Path], cases: list[tuple[str, bool, dict[str, t.Any]]]) -> subprocess.CompletedProcess[str]:
    """Let promtool run cases against rule files."""
    rules = alerts_of(files)
    groups = [group["name"] for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    tests = [
        {
            "interval": "15s",
            "input_series": [{"series": series, "values": values} for series, values in case["series"].items()],
            "alert_rule_test": [{"eval_time": case["at"], "alertname": alert, "exp_alerts": [expected_alert(rules[alert], case)] if fires else []}],
        }
        for alert, fires, case in cases
    ]
    whole = {
        "rule_files": [str(path) for path in files],
        # Rarer than in production, for speed.
        "evaluation_interval": "1m",
        # Recorded metrics first, so that an alert sees what was recorded at the same moment.
        "group_eval_order": sorted(groups, key=lambda name: not name.startswith("recorded_")),
        "tests": tests,
    }
    (directory / "test.yml").write_text(yaml.safe_dump(whole))
    return promtool("test", "rules", str(directory / "test.yml"))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[pathlib.Path]:
    return render(tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def all_pass(shipped: list[pathlib.Path], tmp_path_factory: pytest.TempPathFactory) -> bool:
    """One run for all cases is fast; each is run alone only where one of them fails."""
    cases = [tuple(case.values) for case in FLAT if "variables" not in case.values[2]]
    return run_promtool(tmp_path_factory.mktemp("all"), shipped, cases).returncode == 0


@pytest.mark.parametrize(("alert", "fires", "case"), FLAT)
def test_an_alert_fires_when_it_should_and_only_then(
    alert: str, fires: bool, case: dict[str, t.Any], shipped: list[pathlib.Path], all_pass: bool, tmp_path: pathlib.Path
) -> None:
    if all_pass and "variables" not in case:
        return
    files = render(tmp_path, **case["variables"]) if "variables" in case else shipped
    done = run_promtool(tmp_path, files, [(alert, fires, case)])
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not(shipped: list[pathlib.Path]) -> None:
    alerts = set(alerts_of(shipped))
    assert alerts == {alert for alert, kinds in CASES.items() if kinds.get("fires")}
    assert alerts - ALWAYS_FIRES == {alert for alert, kinds in CASES.items() if kinds.get("inactive")}


def test_promtool_accepts_the_rules(shipped: list[pathlib.Path]) -> None:
    done = promtool("check", "rules", *map(str, shipped))
    assert done.returncode == 0, done.stdout + done.stderr


def test_thresholds_of_zero_render_to_valid_rules(tmp_path: pathlib.Path) -> None:
    # Four of them are ranges, and a range of no length is none.
    zero = {name: 0 for name, value in DEFAULTS.items() if isinstance(value, int)}
    ranges = dict.fromkeys((f"prometheus_alert_{name}_minutes" for name in ("queue_stalled", "failure", "failover", "refused")), 1)
    done = promtool("check", "rules", *map(str, render(tmp_path, **(zero | ranges))))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_states_what_it_is_and_leads_to_its_runbook(shipped: list[pathlib.Path]) -> None:
    anchors = {title.lower() for title in re.findall(r"^## (\w+)$", (CHECKOUT / "docs/runbooks.md").read_text(), re.MULTILINE)}
    for name, rule in alerts_of(shipped).items():
        assert rule["labels"]["severity"] in ("critical", "warning", "info", "none"), name
        assert {"summary", "description", "runbook_url"} == set(rule["annotations"]), name
        page, anchor = rule["annotations"]["runbook_url"].split("#")
        assert page.endswith("docs/runbooks.md") and anchor == name.lower() and anchor in anchors, name


def test_every_runbook_has_its_alert(shipped: list[pathlib.Path]) -> None:
    assert set(re.findall(r"^## (\w+)$", (CHECKOUT / "docs/runbooks.md").read_text(), re.MULTILINE)) == set(alerts_of(shipped))


def test_every_threshold_is_used() -> None:
    text = "\n".join(template.read_text() for template in TEMPLATES)
    assert len(DEFAULTS) > 20
    assert [name for name in DEFAULTS if name not in text] == []
