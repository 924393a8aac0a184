# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages lead somewhere, and what they name exists."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("roles/*/README.md")])
README = (CHECKOUT / "README.md").read_text()
# What keeps a linter, a type checker or a scanner from telling what it finds. A formatter finds nothing, so its marks are none.
SILENCE = re.compile(
    r"#\s*type:\s*ignore(?:\[[\w, -]*\])?|\bnoqa\b(?::\s*[A-Z]+\d+)?|pylint:\s*(?:disable|skip)\S*|\bnosec\b|shellcheck\s+disable=\S+|skip_ansible_lint"
    r"|yamllint\s+disable\S*|(?:mypy|pyright|ruff|flake8):\s*(?:ignore|noqa|disable|allow)\S*|pragma:\s*no\s?cover|no_type_check\b|nosemgrep"
    r"|hadolint\s+ignore=\S+|markdownlint-disable\S*|eslint-disable\S*|gitleaks:allow",
    re.IGNORECASE,
)
# The marks that there are, each with its reason. One that is gone goes from here too.
SILENCED = {
    ("plugins/plugin_utils/deployment.py", "# type: ignore[type-arg]"): "Values has the interface of a mapping, and no types to give to it",
}
EXAMPLES_OF_SILENCE = [
    "x = 1  # type: ignore", "x = 1  # type: ignore[misc]", "x = 1  # noqa", "x = 1  # noqa: E501", "# NOQA", "# pylint: disable=broad-except",
    "# pylint: skip-file", "x = 1  # nosec", "# shellcheck disable=SC2086", "tags: [skip_ansible_lint]", "# yamllint disable rule:line-length",
    "# yamllint disable-line", "# mypy: ignore-errors", "# mypy: disable-error-code=misc", "# ruff: noqa: F401", "# pyright: ignore", "# pragma: no cover",
    "@t.no_type_check", "# nosemgrep", "# hadolint ignore=DL3008", "<!-- markdownlint-disable MD013 -->", "// eslint-disable-next-line",
]  # fmt: skip


def links(page: pathlib.Path) -> list[str]:
    """What a page links to inside the checkout."""
    return re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())


def inputs_named(page: pathlib.Path) -> set[str]:
    """Words of a page that look like an input of a role."""
    prefixes = "|".join(sorted((path.name for path in CHECKOUT.glob("roles/*")), key=len, reverse=True))
    # An entry point is no input.
    text = re.sub(r"^#+ Entry point .*$", "", page.read_text(), flags=re.MULTILINE)
    return set(re.findall(rf"`((?:{prefixes})_\w+)[`:]", text))


def test_pages_have_links_and_name_variables() -> None:
    # The next tests prove nothing where their expressions find nothing.
    assert len(links(CHECKOUT / "README.md")) > 40
    assert sum(len(links(page)) for page in PAGES) > 80
    assert len([page for page in CHECKOUT.glob("docs/*.md") if links(page)]) > 9
    assert len({name for page in CHECKOUT.glob("docs/*.md") if page.name != "variables.md" for name in inputs_named(page)}) > 100
    assert [page.parent.name for page in CHECKOUT.glob("roles/*/README.md") if has_inputs(page.parent) and not inputs_named(page)] == []


def has_inputs(role: pathlib.Path) -> bool:
    return "options:" in (role / "meta/argument_specs.yml").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_inside_the_checkout_resolve(page: pathlib.Path) -> None:
    assert [target for target in links(page) if not (page.parent / target).exists()] == []


def test_the_readme_lists_every_role() -> None:
    listed = set(re.findall(r"^\| \[(\w+)\]\(roles/", README, flags=re.MULTILINE))
    assert len(listed) > 20
    assert listed == {path.name for path in CHECKOUT.glob("roles/*") if (path / "meta").is_dir()}


def test_the_readme_lists_every_playbook() -> None:
    listed = set(re.findall(r"^\| `([\w.]+)` \|", README, flags=re.MULTILINE))
    playbooks = (path.relative_to(CHECKOUT / "playbooks") for path in CHECKOUT.glob("playbooks/**/*.yml"))
    entries = (path.with_suffix("") for path in playbooks if path.parts[0] in ("ops", path.name))
    assert len(listed) > 20
    assert listed == {".".join(path.parts) for path in entries}


def test_pages_name_only_variables_that_exist() -> None:
    known = set(re.findall(r"^ {6}(\w+):(?: [&*]\w+)?$", "\n".join(p.read_text() for p in CHECKOUT.glob("roles/*/meta/argument_specs.yml")), re.MULTILINE))
    # What the role cluster gives to all roles is no input.
    known |= set(re.findall(r"^(cluster_\w+):", (CHECKOUT / "roles/cluster/vars/main.yml").read_text(), re.MULTILINE))
    named = {name for page in PAGES if page.name != "upgrading.md" for name in inputs_named(page)}
    assert sorted(named - known - {path.name for path in CHECKOUT.glob("roles/*")}) == []


@pytest.mark.parametrize("line", EXAMPLES_OF_SILENCE)
def test_every_way_to_silence_a_finding_is_known(line: str) -> None:
    assert SILENCE.search(line)


def test_no_finding_is_silenced() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    names = [name for name in tracked.stdout.split("\0") if name and name != f"tests/unit/{pathlib.Path(__file__).name}"]
    if not names:
        # An unpacked tarball is no repository.
        folders = ("roles", "playbooks", "plugins", "inventories", "molecule", "tools", "tests", "examples", "extensions")
        paths = [path for folder in folders for path in (CHECKOUT / folder).rglob("*") if path != pathlib.Path(__file__).resolve()]
        names = [str(path.relative_to(CHECKOUT)) for path in paths]
    texts = {}
    for name in names:
        path = CHECKOUT / name
        # Changelogs and locks are written by tools, and pages use the word as a word.
        if path.is_file() and path.suffix not in (".md", ".txt", ".lock") and b"\0" not in (data := path.read_bytes()):
            texts[name] = data.decode("utf-8", "replace")
    assert len(texts) > 400
    found = sorted((name, match[0]) for name, text in texts.items() for match in SILENCE.finditer(text))
    assert found == sorted(SILENCED), "list each mark in SILENCED with its reason, better make the finding go away"
