# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages lead somewhere, and what they name exists."""

from __future__ import annotations

import pathlib
import re

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("roles/*/README.md")])
README = (CHECKOUT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_inside_the_checkout_resolve(page: pathlib.Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_readme_lists_every_role() -> None:
    listed = set(re.findall(r"^\| \[(\w+)\]\(roles/", README, flags=re.MULTILINE))
    assert listed == {path.name for path in CHECKOUT.glob("roles/*") if (path / "tasks").is_dir()}


def test_the_readme_lists_every_playbook() -> None:
    listed = set(re.findall(r"^\| `([\w.]+)` \|", README, flags=re.MULTILINE))
    playbooks = (path.relative_to(CHECKOUT / "playbooks") for path in CHECKOUT.glob("playbooks/**/*.yml"))
    entries = (path.with_suffix("") for path in playbooks if path.parts[0] in ("ops", path.name))
    assert listed == {".".join(path.parts) for path in entries}


def test_pages_name_only_variables_that_exist() -> None:
    known = set(re.findall(r"^ {6}(\w+):(?: [&*]\w+)?$", "\n".join(p.read_text() for p in CHECKOUT.glob("roles/*/meta/argument_specs.yml")), re.MULTILINE))
    prefixes = "|".join(sorted((path.name for path in CHECKOUT.glob("roles/*")), key=len, reverse=True))
    named = {name for page in PAGES for name in re.findall(rf"`((?:{prefixes})_\w+)[`:]", page.read_text())}
    assert sorted(named - known - {path.name for path in CHECKOUT.glob("roles/*")}) == []


def test_no_finding_is_silenced() -> None:
    files = [p for folder in ("roles", "playbooks", "plugins", "inventories") for p in (CHECKOUT / folder).rglob("*") if p.is_file()]
    marks = re.compile(r"noqa|pylint: *disable|nosec|skip_ansible_lint|yamllint disable")
    assert [str(p.relative_to(CHECKOUT)) for p in files if p.suffix in (".py", ".yml", ".j2") and marks.search(p.read_text())] == []
