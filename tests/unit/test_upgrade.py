# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of a release before the present names: nothing of it stays, and no message is lost."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
import types
import typing as t

import pytest
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
RENAMES: dict[str, dict[str, str]] = yaml.safe_load((CHECKOUT / "docs/renames.yml").read_text())
TEMPLATES = CHECKOUT / "roles/celery_app/templates/etc/celery/app"
NODE = "video@cpu-1"


def obsolete() -> dict[str, list[str]]:
    """Return what each role knows of the previous names, by the name of the variable."""
    found: dict[str, list[str]] = {}
    for path in sorted(CHECKOUT.glob("roles/*/vars/main.yml")):
        for name, value in (yaml.safe_load(path.read_text()) or {}).items():
            if "_obsolete_" in name:
                texts = [value] if isinstance(value, str) else value
                found[name] = [one.replace("{{ cluster_paths.config_directory }}", "/etc/celery/<app>") for one in texts]
                found[name] = [one.replace("{{ cluster_paths.home }}", "/var/lib/celery") for one in found[name]]
    return found


def test_every_previous_path_and_unit_is_removed_or_taken_over() -> None:
    known = {path for paths in obsolete().values() for path in paths}
    # A folder whose files are moved one by one.
    known |= {str(pathlib.PurePosixPath(path).parent) for path in known if "<node>" in path}
    assert sorted({*RENAMES["paths"], *RENAMES["units"]} - known) == []


def test_every_list_of_previous_names_is_used() -> None:
    used = "\n".join(path.read_text() for folder in ("tasks", "templates") for path in CHECKOUT.glob(f"roles/*/{folder}/**/*") if path.is_file())
    names = obsolete()
    assert len(names) >= 9
    assert [name for name in names if not re.search(rf"\b{name}\b", used)] == []


def test_the_previous_proxy_is_stopped_before_the_present_one_starts() -> None:
    unit = (CHECKOUT / "roles/monitoring_proxy/templates/etc/systemd/system/monitoring-proxy.service.j2").read_text()
    for directive in ("Conflicts", "After"):
        assert f"\n{directive}={{{{ __monitoring_proxy_obsolete_unit }}}}\n" in unit
    assert obsolete()["__monitoring_proxy_obsolete_unit"] == ["monitoring-front.service"]
    # Neither it nor its place in the boot stays.
    assert {"/etc/systemd/system/monitoring-front.service", "/etc/systemd/system/multi-user.target.wants/monitoring-front.service"} <= set(
        obsolete()["__monitoring_proxy_obsolete_paths"]
    )


def load(name: str, directory: pathlib.Path, **values: object) -> t.Any:
    """Render a module of the node with these values in place of its expressions, and import it."""

    def value(match: re.Match[str]) -> str:
        return str(values[match[1].strip()])

    path = directory / f"{name}.py"
    path.write_text(re.sub(r"\{\{(.*?)\}\}", value, (TEMPLATES / f"{name}.py.j2").read_text()))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="folders")
def _folders(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    (tmp_path / "pulse").mkdir()
    return tmp_path / "pulse", tmp_path / "heartbeat"


def test_a_node_takes_over_what_its_predecessor_had_not_acknowledged(tmp_path: pathlib.Path, folders: tuple[pathlib.Path, pathlib.Path]) -> None:
    pytest.importorskip("celery")
    before, now = folders
    module = load(
        "multinode_heartbeat", tmp_path, **{"cluster_paths.heartbeat_directory": now}, celery_app_heartbeat_interval_seconds=5,
        __celery_app_obsolete_unacked_file=before / "<node>.held",
    )
    (before / f"{NODE}.held").write_text("a-tag 12.500\n")
    (before / "other@cpu-1.held").write_text("b-tag 13.500\n")
    heartbeat = module.Heartbeat(types.SimpleNamespace(hostname=NODE))
    assert heartbeat.previous == {"a-tag": 12.5}
    assert [path.name for path in before.iterdir()] == ["other@cpu-1.held"]
    # What the node itself wrote down since is newer.
    (before / f"{NODE}.held").write_text("c-tag 1.000\n")
    assert module.Heartbeat(types.SimpleNamespace(hostname=NODE)).previous == {"a-tag": 12.5}


def test_a_node_takes_over_messages_that_the_broker_does_not_have(tmp_path: pathlib.Path, folders: tuple[pathlib.Path, pathlib.Path]) -> None:
    pytest.importorskip("kombu")
    before, now = folders
    module = load("multinode_unacked", tmp_path, **{"cluster_paths.heartbeat_directory": now}, __celery_app_obsolete_spool_file=before / "<node>.taken")
    assert module.Spool(NODE).messages == {}
    messages = {"a-tag": [{"body": "b"}, "", "video"]}
    (before / f"{NODE}.taken").write_text(json.dumps(messages))
    spool = module.Spool(NODE)
    assert spool.messages == messages
    assert list(before.iterdir()) == [] and (now / f"{NODE}.spool").exists()
    assert module.Spool(NODE).messages == messages
