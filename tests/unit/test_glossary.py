# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Things have the field's names: those that were given up stand nowhere, and users find what to rename."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import typing as t

import pytest
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
RENAMES: dict[str, dict[str, t.Any]] = yaml.safe_load((CHECKOUT / "docs/renames.yml").read_text())
# Given up within the collection, where no user meets them.
INTERNAL = (
    "doctor_judgement", "former_release", "stand_ins", "HandoverError", "hand_over", "handover_seconds", "handed_over_to", "_redis_handover",
    "_bill_of_materials", "multinode_pulse", "multinode_taken", "pulse_directory", "redis_processes", "redis_sentinel_processes",
    "celery_worker_processes", "pool_processes", "redis_update_silent", "own_certificate", "own_key", "own_ca", "new_authority", "get_pip_stand_in",
    "front_proxy", "monitoring_front", "sender_gap_seconds", "held_seconds", "bring_in_line", "acl_words", "hand_back", "control_machine_let_in",
    "brokers_that_let_it_in", "as_sender",
)
# Parts of names: no name is made of one of them.
PARTS = {
    "admission", "admit", "admitted", "asker", "bill", "dialled", "door", "doors", "figures", "forever", "foretells", "former", "front", "handover",
    "handovers", "intrusion", "intrusions", "judge", "judged", "judgement", "knock", "meant", "mesh", "pulse", "pulses", "said", "silent", "stranger",
    "strangers", "told", "unserved", "verbs",
}
# Words that no sentence needs: those of Celery, Redis, Prometheus, systemd and Ansible do, such as report, allow, restore, metrics.
PROSE = re.compile(
    r"\b(?:told|untold|say|says|said|for\s*ever|former|formerly|strangers?|doors?|fronts?|mesh|pulses?|figures|meant|silent|silently"
    r"|judges?|judged|judging|judge?ments?|dials?|dialled|dialling|foretells?|foretold|intrusions?|knocks?|knocked|bring|brings|bringing|brought"
    r"|hand-?overs?|hand(?:s|ed|ing)?[\s-]+over|stand-ins?|stand(?:s|ing)?\s+in\s+for|let(?:s|ting)?\s+(?:\w+\s+){0,2}in)\b",
    re.IGNORECASE,
)
# File and what it has of them: why it may.
ALLOWED_PROSE = {
    ("tests/unit/plugins/filter/test_service_command.py", "say"): "a word of a command line",
    ("plugins/plugin_utils/preflight_monitoring.py", "let it end in"): "the end of a path",
}
# File: why it may have them.
ALLOWED_FILES = {
    "docs/renames.yml": "the table itself",
    "docs/renames.sed": "the table as commands",
    "docs/upgrading.md": "the table for readers",
    "tests/unit/test_glossary.py": "this test",
    "tests/unit/test_upgrade.py": "hosts of a release before the present names",
}
# Name: whose it is.
ALLOWED_NAMES = {"redis_port": "a key of cluster_connection", "serve_forever": "Python's http.server", "verbs": "playbooks that a test of AWX chooses"}
# What a role removes that a release before the present names placed.
OBSOLETE = re.compile(r"^__[a-z_]+_obsolete_[a-z_]+:.*\n(?:(?:[ -].*)?\n)*", re.MULTILINE)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DEFINED = re.compile(r"^\s*(?:(?:def|class) (\w+)|(\w+):(?:\s|$)|(\w+) = )", re.MULTILINE)
GIVEN_UP = {
    *INTERNAL, *RENAMES["variables"], *RENAMES["removed"], *RENAMES["secrets"], *RENAMES["plugins"], *RENAMES["alerts"],
    *(alert.lower() for alert in RENAMES["alerts"]),
    "web_front",
}
# Not words: part of a path, a unit, a playbook.
GIVEN_UP_TEXT = [*RENAMES["units"], *RENAMES["playbooks"], *(path for path in RENAMES["paths"] if "<" not in path), "multinode.celery.common"]


def texts() -> dict[str, str]:
    """Return the text files that git tracks, by their path in the checkout."""
    listed = subprocess.run(["git", "-C", str(CHECKOUT), "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    found = {}
    for name in filter(None, listed.split("\0")):
        path = CHECKOUT / name
        if name.endswith((".lock", ".png")) or name.startswith("requirements/") or path.is_symlink() or not path.is_file():
            continue
        found[name] = path.read_text(encoding="utf-8")
    return found


def given_up(name: str, text: str) -> list[str]:
    """Return the given up names that a file has in its path or text."""
    if name in ALLOWED_FILES:
        return []
    text = OBSOLETE.sub("", text)
    # A name of several words anywhere; a single one where it is defined, because prose may use it.
    names = {word for word in NAME.findall(text) if "_" in word.strip("_") or word in GIVEN_UP}
    names |= {word for words in DEFINED.findall(text) for word in words if word}
    names |= set(NAME.findall(name))
    found = {word for word in names if word in GIVEN_UP or set(word.lower().strip("_").split("_")) & PARTS} - set(ALLOWED_NAMES)
    found |= {part for part in GIVEN_UP_TEXT if re.search(rf"{re.escape(part)}(?![\w-])", text)}
    return sorted(f"{name}: {word}" for word in found)


def prose(name: str, text: str) -> list[tuple[str, str]]:
    """Return the words of a file that no sentence needs, with its path; an excerpt may span two lines."""
    if name in ALLOWED_FILES:
        return []
    return sorted({(name, " ".join(found.lower().split())) for found in PROSE.findall(OBSOLETE.sub("", text))})


def test_no_given_up_name_is_left() -> None:
    scanned = texts()
    assert len(scanned) > 600
    assert [problem for name, text in scanned.items() for problem in given_up(name, text)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/x.md", "Set `web_front_users`."), ("roles/x/defaults/main.yml", "redis_failover_to: ''\n"),
        ("docs/x.md", "See [it](runbooks.md#severalmasters)."),
        ("plugins/x.py", "def judge(node):\n"), ("roles/x/tasks/main.yml", "    __x_asker: a\n"), ("x.yml", "mesh:\n  - a\n"), ("roles/x/front.yml", ""),
        ("roles/x/vars/main.yml", "path: /etc/multinode-front/nginx.conf\n"), ("x.md", "`ops.failover` moves it"),
        ("x.yml", "- role: multinode.celery.common\n"),
        ("x.yml", "password: '{{ vault_monitoring_password }}'\n"),
    ],
)
def test_a_planted_name_is_found(name: str, text: str) -> None:
    assert given_up(name, text)


def test_sentences_use_the_words_of_the_field() -> None:
    found = [where for name, text in texts().items() for where in prose(name, text)]
    assert sorted(set(found) - set(ALLOWED_PROSE)) == [], "write what it reports, sets, restores or allows instead"
    assert sorted(set(ALLOWED_PROSE) - set(found)) == [], "exceptions that nothing needs"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("A host that was told to stop.", "told"), ("# Its log says why.", "says"), ("Kept for\n  ever.", "for ever"),
        ("Strangers get a reset.", "strangers"), ("forever", "forever"),
        ("who is let in", "let in"), ("It lets the hosts in.", "lets the hosts in"), ("Dialled again", "dialled"), ("a stand-in", "stand-in"),
        ("it can stand in for it", "stand in for"), ("The master is handed\nover.", "handed over"), ("an order of hand-overs", "hand-overs"),
        ("Brings the table back", "brings"), ("the mesh", "mesh"), ("its figures", "figures"), ("what it judged", "judged"), ("a silent node", "silent"),
    ],
)  # fmt: skip
def test_a_planted_word_is_found(text: str, word: str) -> None:
    assert prose("docs/x.md", text) == [("docs/x.md", word)]


def test_what_only_looks_like_such_a_word_is_left_alone() -> None:
    for text in ("Passwords are in files", "essays", "multinode_pulse", "A figure: 3", "the pool lets tasks finish", "`doorbell`", "outlet in use"):
        assert prose("docs/x.md", text) == []
    assert prose("roles/x/vars/main.yml", "__x_obsolete_paths:\n  - /etc/monitoring/front\nother: 1\n") == []
    assert prose("docs/renames.yml", "door") == []


def test_prose_and_what_roles_remove_are_left_alone() -> None:
    assert given_up("x.md", "What was said of the front page.") == []
    assert given_up("roles/x/vars/main.yml", "__x_obsolete_paths:\n  - /etc/multinode-front\nother: 1\n") == []
    assert given_up("roles/x/vars/main.yml", "__x_obsolete_paths:\n  - /etc/multinode-front\nother: /etc/multinode-front\n")


def test_allowed_exceptions_are_needed() -> None:
    scanned = texts()
    assert [name for name in ALLOWED_FILES if name not in scanned] == []
    assert [name for name in ALLOWED_NAMES if not any(re.search(rf"\b{name}\b", text) for text in scanned.values())] == []


def test_new_names_exist() -> None:
    """Nobody is told to use a name that the collection does not have."""
    scanned = {name: text for name, text in texts().items() if name not in ALLOWED_FILES}
    everything = "\n".join(scanned.values())
    names = [*RENAMES["variables"].values(), *RENAMES["plugins"].values(), *RENAMES["alerts"].values(), *RENAMES["roles"].values()]
    assert [name for name in names if not re.search(rf"\b{name}\b", everything)] == []
    tags = {tag for text in scanned.values() for found in re.findall(r"^ +tags: \[(.*)\]$", text, re.MULTILINE) for tag in found.split(", ")}
    assert sorted({tag for new in RENAMES["tags"].values() for tag in new} - tags) == []


def test_every_step_of_a_role_is_tagged_with_its_name() -> None:
    wrong = []
    for path in sorted(CHECKOUT.glob("roles/*/tasks/*.yml")):
        role = path.parts[-3]
        for line in re.findall(r"^ +tags: \[(.*)\]$", path.read_text(), re.MULTILINE):
            wrong += [f"{role}/{path.name}: {tag}" for tag in line.split(", ") if tag not in ("always", role) and not tag.startswith(f"{role}_")]
    assert wrong == []


def test_the_page_lists_every_row() -> None:
    rows = set(re.findall(r"^\| `([^`]+)` \| (.+) \|$", (CHECKOUT / "docs/upgrading.md").read_text(), re.MULTILINE))
    wanted = {(old, ", ".join(f"`{name}`" for name in ([new] if isinstance(new, str) else new))) for table in RENAMES.values() for old, new in table.items()}
    assert len(wanted) > 100
    assert rows == wanted


@pytest.mark.skipif(shutil.which("sed") is None, reason="there is no sed")
def test_the_commands_rename_an_inventory() -> None:
    before = {**RENAMES["variables"], **RENAMES["secrets"], **RENAMES["alerts"], **RENAMES["playbooks"], "processes": "instances"}
    before["vault_redis_monitoring_password_changed"] = "vault_redis_exporter_password_changed"
    text = "".join(f"{old}: 'x {{{{ {old} }}}}'\n" for old in before if old != "processes") + "processes: 2\nredis_sentinel_user_x: limits_processes_x\n"
    done = subprocess.run(["sed", "-E", "-f", str(CHECKOUT / "docs/renames.sed")], input=text, capture_output=True, text=True, check=True)
    wanted = "".join(f"{new}: 'x {{{{ {new} }}}}'\n" for old, new in before.items() if old != "processes")
    assert done.stdout == wanted + "instances: 2\nredis_sentinel_user_x: limits_processes_x\n"
    again = subprocess.run(["sed", "-E", "-f", str(CHECKOUT / "docs/renames.sed")], input=done.stdout, capture_output=True, text=True, check=True)
    assert again.stdout == done.stdout


@pytest.mark.skipif(shutil.which("sed") is None, reason="there is no sed")
def test_no_variable_is_set_to_itself_afterwards() -> None:
    text = 'redis_tls_enabled: true\ncelery_app_broker_tls_enabled: "{{ redis_tls_enabled }}"\ncelery_app_environment: "{{ common_environment }}"\n'
    # As in the vars of a group of hosts.yml, and with a comment.
    text += '    prometheus_redis_port: "{{ redis_port }}"\n    prometheus_sentinel_port: "{{ redis_sentinel_port }}"  # the same\n'
    done = subprocess.run(["sed", "-E", "-f", str(CHECKOUT / "docs/renames.sed")], input=text, capture_output=True, text=True, check=True)
    assert done.stdout == 'cluster_tls_enabled: true\ncluster_environment: "{{ default_environment }}"\n'
