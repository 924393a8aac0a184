"""Playbooks run as AWX starts them: by ansible-runner, without prompts, with the answers of a survey as extra variables.

AWX itself cannot be had here; a small stub of its API shows that the job templates are made, and made only once.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from lab import ROOT
from lab.playbooks import run_playbook

TEMPLATES = {entry["playbook_name"]: entry for entry in json.loads((ROOT / "roles/awx_job_templates/files/job_templates.json").read_text())}


def answers(verb: str, **given) -> dict:
    """Extra variables as AWX makes them of a survey: texts and numbers, and nothing for a question left empty."""
    questions = {question["variable"]: question for question in TEMPLATES[verb]["survey"]["spec"]}
    assert set(given) <= set(questions), f"{verb} asks for {sorted(questions)}"
    for name, question in questions.items():
        assert name in given or not question["required"], f"{verb} needs {name}"
        if question["type"] == "multiplechoice" and name in given:
            assert given[name] in question["choices"]
    return given


@pytest.fixture(name="private", scope="module")
def _private(lab, tmp_path_factory) -> Path:
    """A private data folder: the collection in the project, the inventory beside it, and no terminal."""
    private = tmp_path_factory.mktemp("runner")
    collections = private / "project/collections"
    subprocess.run([ROOT / "tools/copy_collection.sh", collections], check=True, capture_output=True)
    # AWX takes playbooks of the project; the collection's own ones are reached through its name.
    for template in TEMPLATES.values():
        path = private / "project" / template["playbook"]
        path.parent.mkdir(parents=True, exist_ok=True)
        name = template["playbook"].removeprefix("playbooks/").removesuffix(".yml").replace("/", ".")
        path.write_text(f"---\n- name: Run it\n  ansible.builtin.import_playbook: multinode.celery.{name}\n")
    (private / "inventory").mkdir()
    for number, source in enumerate(lab.sources):
        shutil.copytree(ROOT / source, private / f"inventory/{number}")
    return private


def runner(private: Path, verb: str, *arguments: str, **given) -> tuple[int, str]:
    """Exit code and output of one job."""
    (private / "env").mkdir(exist_ok=True)
    (private / "env/extravars").write_text(json.dumps(answers(verb, **given)))
    inventories = [word for path in sorted((private / "inventory").iterdir()) for word in ("--inventory", str(path))]
    (private / "env/cmdline").write_text(" ".join([*inventories, *arguments]))
    environment = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_COLLECTIONS_PATH": str(private / "project/collections"), "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
    }  # fmt: skip
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_INVENTORY", "ANSIBLE_ROLES_PATH"):
        environment.pop(name, None)
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-runner"), "run", str(private), "--playbook", TEMPLATES[verb]["playbook"]],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_no_playbook_asks_for_anything():
    playbooks = list((ROOT / "playbooks").rglob("*.yml"))
    assert len(playbooks) > 20
    for path in playbooks:
        text = path.read_text()
        assert "vars_prompt" not in text and "ansible.builtin.pause:\n        prompt" not in text, path


def test_every_template_can_be_read_without_a_terminal(private):
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(private / "project/collections")}
    inventories = [word for path in sorted((private / "inventory").iterdir()) for word in ("-i", str(path))]
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--syntax-check", *inventories, *[entry["playbook"] for entry in TEMPLATES.values()]],
        cwd=private / "project", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_verify_and_doctor_run_as_jobs(private):
    code, output = runner(private, "verify", verify_timeout_seconds=60)
    assert code == 0, output[-4000:]
    assert "canaries came back" in output
    code, output = runner(private, "doctor", doctor_fail_severity="error")
    assert code == 0, output[-4000:]
    assert "0 errors" in output


def test_changes_run_as_jobs(lab, private, tmp_path):
    """Changes with answers as a survey gives them; the other verbs differ in their name alone."""
    host = lab.group("workers_cpu")[0]
    before = lab.sentinel_master()
    for verb, given in (
        ("backup", {"redis_backup_fetch_directory": str(tmp_path)}),
        ("switchover", {}),
        ("drain", {"celery_drain_hosts": host, "celery_drain_timeout_seconds": 30}),
        ("undrain", {"celery_drain_hosts": host}),
    ):
        code, output = runner(private, verb, **given)
        assert code == 0, f"{verb}: {output[-4000:]}"
    assert list(tmp_path.rglob("*.rdb"))
    assert lab.sentinel_master() != before


def test_bad_answers_are_refused(private):
    for verb, given in (
        ("drain", {"celery_drain_hosts": "no-such-host"}),
        ("switchover", {"redis_switchover_to": "no-such-host"}),
    ):
        code, output = runner(private, verb, **given)
        assert code != 0, output[-2000:]
        assert "no-such-host" in output and "changed=1" not in output, output[-3000:]


class Awx(http.server.BaseHTTPRequestHandler):
    """As much of AWX's API as the job templates need, kept in memory."""

    things: dict[str, list[dict]]
    surveys: dict[int, dict]
    writes: list[str]

    def answer(self, status: int, body: object = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if body is not None:
            self.wfile.write(json.dumps(body).encode())

    def segments(self) -> list[str]:
        assert self.headers["Authorization"] == "Bearer a-token"
        return urlsplit(self.path).path.removeprefix("/api/v2/").strip("/").split("/")

    def body(self) -> dict:
        self.writes.append(f"{self.command} {self.path}")
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def template(self, number: str) -> dict:
        return next(one for one in self.things["job_templates"] if one["id"] == int(number))

    def do_GET(self) -> None:
        segments, query = self.segments(), parse_qs(urlsplit(self.path).query)
        if segments[-1] == "survey_spec":
            self.answer(200, self.surveys.get(int(segments[1]), {}))
            return
        found = [one for one in self.things[segments[0]] if query.get("name", [one["name"]]) == [one["name"]]]
        self.answer(200, {"count": len(found), "results": found})

    def do_POST(self) -> None:
        segments, body = self.segments(), self.body()
        if segments[-1] == "survey_spec":
            self.surveys[int(segments[1])] = body
            self.answer(200)
        elif segments[-1] == "credentials":
            held = self.template(segments[1])["summary_fields"]["credentials"]
            held.append(next(one for one in self.things["credentials"] if one["id"] == body["id"]))
            self.answer(204)
        else:
            new = {"id": len(self.things[segments[0]]) + 100, "summary_fields": {"credentials": []}, **body}
            self.things[segments[0]].append(new)
            self.answer(201, new)

    def do_PATCH(self) -> None:
        segments, body = self.segments(), self.body()
        self.template(segments[1]).update(body)
        self.answer(200, self.template(segments[1]))

    def log_message(self, *_arguments) -> None:
        pass


@pytest.fixture(name="awx")
def _awx():
    Awx.things = {kind: [{"id": number, "name": name}] for number, (kind, name) in enumerate(
        {"organizations": "Default", "projects": "celery", "inventories": "prod", "credentials": "ssh", "execution_environments": "ee"}.items(), 1
    )}  # fmt: skip
    Awx.things["job_templates"], Awx.surveys, Awx.writes = [], {}, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Awx)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def create(url: str, **given):
    return run_playbook(
        "playbooks/ops/awx_job_templates.yml", inventories=["inventories/dev"], check=False, awx_job_templates_url=url,
        awx_job_templates_token="a-token", awx_job_templates_project="celery", awx_job_templates_inventory="prod",
        awx_job_templates_credentials=["ssh"], awx_job_templates_execution_environment="ee", **given,
    )  # fmt: skip


def test_job_templates_are_made_once_and_corrected(awx):
    verbs = ["drain", "site"]
    done = create(awx, awx_job_templates_playbooks=verbs)
    assert done.returncode == 0, done.stdout[-4000:]
    made = {one["name"]: one for one in Awx.things["job_templates"]}
    assert sorted(made) == ["Celery: Drain", "Celery: Site"]
    drain = made["Celery: Drain"]
    assert drain["playbook"] == "playbooks/ops/drain.yml" and drain["survey_enabled"] and drain["summary_fields"]["credentials"][0]["name"] == "ssh"
    assert Awx.surveys[drain["id"]] == TEMPLATES["drain"]["survey"]
    assert not made["Celery: Site"]["survey_enabled"]

    # A second run writes what was changed by hand, and nothing else.
    Awx.writes.clear()
    drain["description"] = "changed by hand"
    done = create(awx, awx_job_templates_playbooks=verbs)
    assert done.returncode == 0, done.stdout[-4000:]
    assert Awx.writes == [f"PATCH /api/v2/job_templates/{drain['id']}/"]
    assert drain["description"] == TEMPLATES["drain"]["description"]


def test_what_awx_does_not_have_is_refused(awx):
    Awx.things["projects"].clear()
    done = create(awx)
    assert done.returncode != 0 and "projects called celery" in done.stdout
    assert Awx.things["job_templates"] == []
