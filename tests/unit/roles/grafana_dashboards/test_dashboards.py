# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards are what the tool writes, and what Grafana and a reader expect of them."""

from __future__ import annotations

import itertools
import json
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[4]
FILES = sorted((CHECKOUT / "roles/grafana_dashboards/files/dashboards").glob("*.json"))
RULES = (CHECKOUT / "roles/prometheus/templates/etc/prometheus/rules/recording.yml.j2").read_text()
QUERIES = json.loads((CHECKOUT / "roles/prometheus/files/overview/queries.json").read_text())
SCRIPT = (CHECKOUT / "roles/prometheus/files/overview/overview.js").read_text()
RECORDED = re.compile(r"\b[a-z_]+:[a-z_]+:[a-z0-9_]+\b")


def load(path: pathlib.Path) -> dict[str, t.Any]:
    return json.loads(path.read_text())


def panels(path: pathlib.Path) -> list[dict[str, t.Any]]:
    return [panel for panel in load(path)["panels"] if panel["type"] != "row"]


def test_there_are_five_dashboards() -> None:
    assert [path.stem for path in FILES] == ["brokers", "hosts", "overview", "queues", "workers"]


def test_the_files_are_what_the_tool_writes() -> None:
    done = subprocess.run([sys.executable, str(CHECKOUT / "tools/dashboards.py"), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_panels_have_a_number_a_place_and_a_meaning(path: pathlib.Path) -> None:
    every = load(path)["panels"]
    assert len(panels(path)) > 3
    assert len({panel["id"] for panel in every}) == len(every)
    for panel in panels(path):
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"].get("unit") or panel["type"] in ("state-timeline", "table"), panel["title"]
    for one, other in itertools.combinations([panel["gridPos"] for panel in every], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], path.stem
    assert max(panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in every) == 24


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_variables_are_declared_and_used(path: pathlib.Path) -> None:
    content = load(path)
    declared = {variable["name"] for variable in content["templating"]["list"]} - {"datasource"}
    expressions = [target["expr"] for panel in panels(path) for target in panel["targets"]]
    assert set(re.findall(r"\$(\w+)", " ".join(expressions))) == declared


def test_recorded_metrics_are_recorded() -> None:
    recorded = {rule["record"] for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]}
    expressions = [target["expr"] for path in FILES for panel in panels(path) for target in panel["targets"]]
    expressions += [query for queries in QUERIES.values() for query in queries.values()]
    used = {name for expression in expressions for name in RECORDED.findall(expression)}
    assert len(expressions) > 60 and len(used) > 10
    assert used - recorded == set()


def test_the_overview_page_uses_every_query_and_has_every_query_it_uses() -> None:
    assert set(re.findall(r"\bdata\.(\w+)", SCRIPT)) | set(re.findall(r'\bof\("(\w+)"\)', SCRIPT)) == set(QUERIES["now"])
    assert set(re.findall(r'\b(?:series|last)\("(\w+)"\)', SCRIPT)) == set(QUERIES["tiles"])
    assert set(re.findall(r"\bcharts\.(\w+)", SCRIPT)) == set(QUERIES["charts"])


def test_the_overview_page_fetches_nothing_from_elsewhere() -> None:
    page = (CHECKOUT / "roles/prometheus/files/overview/index.html").read_text()
    assert "<html" in page and re.findall(r"(?:https?:)?//[a-z][\w.]+", page) == []
    # The names of a license and of an XML namespace are addresses, and no more than names.
    named = re.findall(r"https?://[^\"\s]+", SCRIPT)
    assert named and [word for word in named if "w3.org" not in word and "gnu.org" not in word] == []
    assert " style=" not in page and not re.search(r"<script>|\son\w+=", page), "the proxy allows no inline script or style"
