"""A support bundle holds what a supporter needs of every host, and no secret in any form."""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import tarfile
from urllib.parse import quote

PLANTED = "/var/log/celery/planted.log"


def secrets(lab) -> dict[str, str]:
    """Every secret that the lab's inventories know."""
    found = {name: value for host in lab.hostvars.values() for name, value in host.items() if name.startswith("vault_")}
    assert len(found) >= 8
    return found


def forms(secret: str) -> list[bytes]:
    """A secret as programs write it."""
    raw = secret.encode()
    return [raw, quote(secret, safe="").encode(), base64.b64encode(raw), hashlib.sha256(raw).hexdigest().encode()]


def test_bundle_holds_every_host_and_no_secret(lab, tmp_path):
    worker = lab.group("workers_cpu")[0]
    known = secrets(lab)
    lines = [
        f"connecting to sentinel://prod:{quote(value, safe='')}@192.0.2.1:26379/0 with {value} and {base64.b64encode(value.encode()).decode()}"
        for value in known.values()
    ]
    lab.run(worker, f"cat >{PLANTED} <<'END'\n" + "\n".join([*lines, "api_token=abc-not-in-any-inventory", "the end of it"]) + "\nEND")
    path = tmp_path / "bundle.tar.gz"
    try:
        lab.playbook("playbooks/ops/support_bundle.yml", support_bundle_path=str(path))
    finally:
        lab.run(worker, f"rm -f {PLANTED}")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.with_name("bundle.tar.gz.parts").exists()
    with tarfile.open(path) as archive:
        texts = {member.name: archive.extractfile(member).read() for member in archive.getmembers() if member.isfile()}
    for name, text in texts.items():
        for variable, value in known.items():
            assert not any(form in text for form in forms(value)), f"{variable} is in {name}"
        assert b"abc-not-in-any-inventory" not in text, name

    planted = texts[f"bundle/{worker}/files{PLANTED}"].decode()
    assert planted.count("(hidden)") > len(known) and "the end of it" in planted and "192.0.2.1:26379/0" in planted
    for host in lab.group("all"):
        assert f"bundle/{host}/commands/journal.txt" in texts, host
    for host in lab.group("brokers"):
        assert b"maxmemory-policy noeviction" in texts[f"bundle/{host}/files/etc/redis-broker/redis.conf"]
    assert b"MULTINODE_REDIS_PASSWORD=(hidden)" in texts[f"bundle/{worker}/files/etc/celery/proj/env"]
    assert b"_VHOST" in texts[f"bundle/{worker}/files/etc/celery/proj/celeryconfig.py"]
    assert io.BytesIO(texts["bundle/doctor.json"]).read(1) == b"{"
