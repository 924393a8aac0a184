"""The host shows the certificate that the company's CA issued, and the cluster has no CA of its own."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess

from lab import ROOT
from lab.playbooks import run_playbook

testinfra_hosts = ["ansible://workers"]
LAB = ROOT / ".lab" / "single"
ISSUED = LAB / "company_ca"
FILES = "/etc/multinode-tls"


def test_the_proxy_shows_it(host):
    name, address = host.check_output("hostname"), host.ansible.get_variables()["ansible_host"]
    # The company's root alone is trusted, so the server must show the CA between them as well.
    context = ssl.create_default_context(cafile=ISSUED / "ca.pem")
    with socket.create_connection((address, 443), 10) as connection, context.wrap_socket(connection, server_hostname=address) as session:
        shown = session.getpeercert(binary_form=True)
    assert ssl.DER_cert_to_PEM_cert(shown) in (ISSUED / f"{name}.pem").read_text()


def test_only_the_company_is_trusted_and_the_key_is_kept(host):
    assert host.check_output(f"cat {FILES}/ca.pem") == (ISSUED / "ca.pem").read_text().strip()
    key = host.file(f"{FILES}/host.key")
    assert (key.user, key.group, key.mode) == ("root", "multinode-tls", 0o640)
    assert not (LAB / "tls").exists()
    # The node exporter is asked by TLS, for the address of the host.
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/prometheus/api/v1/query?query=up').read().decode())"
    targets = json.loads(host.check_output(f'python3 -c "{ask}"'))["data"]["result"]
    assert "node" in {target["metric"]["job"] for target in targets}
    assert {target["metric"]["job"] for target in targets if target["value"][1] != "1"} == set()


def test_what_does_not_fit_is_refused_and_no_key_is_shown(host, tmp_path):
    name, address = host.check_output("hostname"), host.ansible.get_variables()["ansible_host"]
    subprocess.run([ROOT / "molecule/single/company_ca.sh", tmp_path, name, address], check=True, capture_output=True)
    texts = ((tmp_path / file).read_text() for file in ("ca.pem", f"{name}.pem", f"{name}.key"))
    foreign = dict(zip(("tls_custom_ca", "tls_custom_certificate", "tls_custom_key"), texts, strict=True))
    secret = [line for line in foreign["tls_custom_key"].splitlines() if not line.startswith("-----")]
    before = host.check_output(f"sudo sha256sum {FILES}/*")
    for variables, message in (
        ({"tls_custom_key": foreign["tls_custom_key"]}, f"[custom_certificate] tls_custom_key on {name}: it does not belong to tls_custom_certificate"),
        (foreign, "the host trusts other CAs than those of tls_custom_ca"),
    ):
        given = tmp_path / "given.json"
        given.write_text(json.dumps(variables))
        done = run_playbook("playbooks/brokers.yml", "--tags", "tls", "-vvvvv", "--diff", "--extra-vars", f"@{given}", check=False)
        # Long messages are wrapped.
        output = " ".join((done.stdout + done.stderr).split())
        assert done.returncode and message in output, output[-3000:]
        assert not [line for line in secret if line in output]
    assert host.check_output(f"sudo sha256sum {FILES}/*") == before
