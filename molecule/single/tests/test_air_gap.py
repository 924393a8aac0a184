"""The host has no way out: what it runs came from the folders that were filled before."""

from __future__ import annotations

import hashlib
import json
import socket
from urllib.parse import urlsplit

from lab import ROOT

testinfra_hosts = ["ansible://workers"]
FOLDER = ROOT / ".lab" / "single"


def archives(host) -> list[tuple[str, int]]:
    """Addresses from which hosts like this one install Debian packages when they have a way out."""
    urls = host.check_output("grep -hoE 'https?://[^ ]+' /etc/apt/sources.list").split()
    ends = {(url.hostname, url.port or {"http": 80, "https": 443}[url.scheme]) for url in map(urlsplit, urls)}
    return sorted({socket.getaddrinfo(name, port, socket.AF_INET)[0][4] for name, port in ends})


def test_no_archive_is_reached(host):
    assert archives(host)
    for address, port in archives(host):
        # From here it answers, also while the test runs.
        socket.create_connection((address, port), 10).close()
        assert host.run(f"timeout 5 bash -c '</dev/tcp/{address}/{port}'").failed, address


def test_what_is_installed_came_from_the_folders(host):
    wheels = {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (FOLDER / "wheels").iterdir()}
    sboms = host.check_output("sudo find /opt/celery/tools -name sbom.json").split()
    # Of the exporter and of Flower.
    assert len(sboms) == 2, sboms
    for sbom in (*sboms, "/opt/celery/proj/releases/1.0.0/sbom.json"):
        components = json.loads(host.check_output("sudo cat %s", sbom))["components"]
        hashes = {entry["name"]: [value["content"] for value in entry.get("hashes", [])] for entry in components}
        # The project itself is a folder, which has no hash.
        assert len([name for name in hashes if hashes[name]]) > 20, sbom
        assert {name for name, found in hashes.items() if not set(found) <= wheels} == set(), sbom
    mirror = (FOLDER / "mirror" / "Packages").read_text().split("\n\n")
    offered = {tuple(line.split(": ", 1)[1] for line in entry.splitlines() if line.startswith(("Package: ", "Version: "))) for entry in mirror}
    for package in ("redis-server", "redis-sentinel", "prometheus", "prometheus-alertmanager", "nginx", "python3-venv"):
        assert (package, host.package(package).version) in offered, package
