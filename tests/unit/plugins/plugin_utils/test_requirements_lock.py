# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import pathlib
import tarfile

import pytest
import yaml
from ansible_collections.multinode.celery.plugins.plugin_utils.requirements_lock import (
    LockError,
    build_requirements,
    distributions,
    matching,
    parse,
    read,
    uncovered,
)

ROLES = pathlib.Path(__file__).resolve().parents[4] / "roles"
WHEEL = b"a wheel"
DIGEST = hashlib.sha256(WHEEL).hexdigest()
LOCK = f"""# made by a tool
--index-url https://index.example/simple
celery[redis]==5.7.0 \\
    --hash=sha256:{DIGEST} \\
    --hash=sha256:{"b" * 64}
    # via -r app.in
tzdata==2026.1 ; sys_platform == 'win32' \\
    --hash=sha256:{"c" * 64}
"""


def test_a_lock_is_read_with_markers_and_several_hashes():
    lock = parse(LOCK, "lock.txt")
    celery, tzdata = lock.pins
    assert (celery.name, celery.version, celery.conditional) == ("celery", "5.7.0", False)
    assert celery.hashes == {f"sha256:{DIGEST}", f"sha256:{'b' * 64}"}
    assert tzdata.conditional
    assert lock.digest == hashlib.sha256(LOCK.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no package"),
        ("celery==5.7.0", "'celery==5.7.0' has no hash"),
        (f"celery>=5.7 --hash=sha256:{DIGEST}", "'celery>=5.7' is not pinned"),
        (f"celery==5.* --hash=sha256:{DIGEST}", "is not pinned"),
        (f"-r more.txt\ncelery==5.7.0 --hash=sha256:{DIGEST}", "'-r' adds what"),
        ("-e .", "'-e' adds what"),
        ("./proj", "is not a package"),
    ],
)
def test_a_lock_that_leaves_anything_open_is_refused_with_a_way_out(text, message):
    with pytest.raises(LockError, match=message):
        parse(text, "lock.txt")
    with pytest.raises(LockError, match="--generate-hashes"):
        parse(text, "lock.txt")


def test_a_missing_lock_is_named(tmp_path):
    with pytest.raises(LockError, match="No such file"):
        read(str(tmp_path / "lock.txt"))


def test_requirements_are_compared_with_the_pins():
    lock = parse(LOCK, "lock.txt")
    assert uncovered(lock, ["celery[redis]>=5.7,<5.8", "Celery"]) == []
    assert uncovered(lock, ["gevent"]) == ["it lacks gevent"]
    assert uncovered(lock, ["celery>=5.8"]) == ["it pins celery 5.7.0, and celery>=5.8 is wanted"]
    assert "cannot be compared" in uncovered(lock, ["--pre"])[0]


def test_only_files_with_a_hash_of_the_lock_leave_the_folder(tmp_path):
    lock = parse(LOCK, "lock.txt")
    with pytest.raises(LockError, match="neither wheel nor sdist"):
        distributions(str(tmp_path))
    (tmp_path / "celery-5.7.0-py3-none-any.whl").write_bytes(b"something else")
    with pytest.raises(LockError, match=r"no file with a hash of the lock for celery 5\.7\.0"):
        matching(str(tmp_path), lock)
    (tmp_path / "celery-5.7.0-1-py3-none-any.whl").write_bytes(WHEEL)
    assert matching(str(tmp_path), lock) == [str(tmp_path / "celery-5.7.0-1-py3-none-any.whl")]
    with pytest.raises(LockError, match="no folder"):
        distributions(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("place", ["pyproject.toml", "proj-1.0/pyproject.toml"])
def test_what_a_build_needs_is_read_from_the_archive(tmp_path, place):
    def pack(text: str) -> str:
        member = tarfile.TarInfo(place)
        member.size = len(text)
        with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as tar:
            tar.addfile(member, io.BytesIO(text.encode()))
        return str(tmp_path / "p.tar.gz")

    assert build_requirements(pack('[build-system]\nrequires = ["flit_core>=3.9,<4"]\n')) == ["flit_core>=3.9,<4"]
    assert build_requirements(pack("[project]\n")) == ["setuptools"]


def test_wheels_and_plain_sources_need_no_build(tmp_path):
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("app.py"))
    assert build_requirements(str(tmp_path / "p.tar.gz")) == []
    assert build_requirements("proj-1-py3-none-any.whl") == []


@pytest.mark.parametrize(("role", "tool"), [("flower", "flower"), ("celery_exporter", "prometheus-exporter-celery")])
def test_the_lock_of_a_tool_pins_what_its_role_asks_for(role, tool):
    defaults = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    lock = read(str(ROLES / role / "files" / defaults[f"{role}_lock"]))
    wanted = [*defaults[f"{role}_requirements"], f"{tool}=={defaults[f'{role}_version']}"]
    assert uncovered(lock, wanted) == [], "run `make lock`"
    # What a tool of another platform needs has a marker; the rest must come as a wheel or an sdist of one index.
    assert len(lock.pins) > 15
