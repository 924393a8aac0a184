"""Certificates, the proxy and Flower: what is open to whom, and what is found where.

Everything is asked over the network of the lab, from a host outside the monitoring group for an unlisted host. The
certificates come from the CA that the deployment made.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import urllib.parse

import pytest
from lab.hosts import wait_until

FILES = "/etc/multinode-tls"
# What may listen on the network of a monitoring host: ssh, the proxy, the cluster of the Alertmanagers, the node exporter.
NETWORK_PORTS = {22, 443, 9094, 9100}
PATHS = [
    "/", "/index.html", "/overview.js", "/prometheus", "/prometheus/", "/prometheus/api/v1/query?query=up", "/prometheus/metrics",
    "/prometheus/api/v1/status/config", "/prometheus/-/healthy", "/prometheus/federate", "/alertmanager", "/alertmanager/",
    "/alertmanager/api/v2/status", "/alertmanager/metrics", "/flower", "/flower/", "/flower/workers", "/flower/metrics",
    "/flower/api/workers", "/flower/static/css/flower.css", "/metrics", "/..%2f..%2fetc/passwd", "//prometheus/graph", "/no-such-page",
]
# Runs on a host, with nothing but its Python: what an unlisted host gets from each port and path.
UNLISTED = """
import http.client, json, socket, ssl, sys
address, ports, paths = json.loads(sys.argv[1])
context = ssl._create_unverified_context()
answers = []
for port in ports:
    try:
        socket.create_connection((address, port), 2).close()
    except OSError:
        answers.append([port, "", "closed", ""])
        continue
    for kind in ("http", "https"):
        for path in paths:
            try:
                connection = http.client.HTTPSConnection(address, port, timeout=4, context=context) if kind == "https" else \
                    http.client.HTTPConnection(address, port, timeout=4)
                connection.request("GET", path)
                answer = connection.getresponse()
                answers.append([port, kind + " " + path, answer.status, answer.read(200).decode(errors="replace")])
            except (OSError, http.client.HTTPException) as error:
                answers.append([port, kind, "refused", type(error).__name__])
                break
            finally:
                connection.close()
print(json.dumps(answers))
"""


@pytest.fixture(name="monitors", scope="module")
def _monitors(lab):
    monitors = lab.group("monitoring")
    assert monitors, "the inventory has no monitoring host"
    return monitors


@pytest.fixture(name="unlisted", scope="module")
def _unlisted(lab):
    """A host outside the monitoring group."""
    return next(host for host in lab.group("all") if host not in lab.group("monitoring"))


@pytest.fixture(name="password", scope="module")
def _password(lab, monitors):
    return lab.hostvars[monitors[0]]["vault_monitoring_ui_password"]


@pytest.fixture(name="ask", scope="module")
def _ask(lab, monitors, password):
    """Ask the proxy of a host for a page, with the password by default."""
    context = ssl.create_default_context(cadata=lab.run(monitors[0], f"cat {FILES}/ca.pem"))

    def ask(host, path, method="GET", credential=f"monitoring:{password}", **headers):
        connection = http.client.HTTPSConnection(lab.address(host), 443, timeout=30, context=context)
        if credential:
            headers["Authorization"] = "Basic " + base64.b64encode(credential.encode()).decode()
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        return answer, text

    return ask


def secrets_of(lab, host):
    """Every secret of the inventory with its name, also as it would be in a URL or a header."""
    named = {str(value): name for name, value in lab.hostvars[host].items() if name.startswith("vault_")}
    assert len(named) >= 8
    quoted = {urllib.parse.quote(value, safe=""): name for value, name in named.items()}
    encoded = {base64.b64encode(value.encode()).decode().rstrip("="): name for value, name in named.items()}
    return named | quoted | encoded


def found_in(text, secrets):
    """The names of the secrets that are in a text; a failed test must not show one."""
    return sorted({name for value, name in secrets.items() if value in text})


def test_every_host_has_a_certificate_for_its_name_and_address(lab):
    for host in lab.group("all"):
        output = lab.run(
            host,
            f"cd {FILES} && openssl verify -x509_strict -purpose sslserver -verify_hostname {host} -verify_ip {lab.address(host)} "
            "-CAfile ca.pem host.pem && openssl verify -purpose sslclient -CAfile ca.pem host.pem && stat -c '%a %U:%G' host.key",
        )
        assert output.splitlines() == ["host.pem: OK", "host.pem: OK", "640 root:multinode-tls"], host


def test_no_two_hosts_share_a_key_and_the_control_machine_has_none_of_them(lab):
    keys = [lab.run(host, f"openssl pkey -in {FILES}/host.key -pubout") for host in lab.group("all")]
    assert len(set(keys)) == len(keys)
    for host, key in zip(lab.group("all"), keys):
        assert lab.run(host, f"openssl x509 -in {FILES}/host.pem -noout -pubkey") == key


def test_the_end_of_each_certificate_is_reported_to_the_node_exporter(lab):
    for host in lab.group("all"):
        reported = lab.run(host, "grep host.pem /var/lib/prometheus/node-exporter/multinode_tls.prom").split()[-1]
        ends = lab.run(host, f'date -d "$(openssl x509 -in {FILES}/host.pem -noout -enddate | cut -d= -f2)" +%s').strip()
        assert reported == ends


def test_an_unlisted_host_reads_nothing_on_any_port_or_path(lab, monitors, unlisted):
    for monitor in monitors:
        listening = [line.split()[3] for line in lab.run(monitor, "ss -ltnH").splitlines()]
        ports = sorted({int(place.rpartition(":")[2]) for place in listening} | {80, 443, 3000, 5555, 8080, 9090, 9093, 9100, 9121, 9808, 9809})
        wanted = json.dumps([lab.address(monitor), ports, PATHS])
        answers = json.loads(lab.run(unlisted, f"python3 - '{wanted}' <<'END'\n{UNLISTED}\nEND"))
        assert {port for port, _path, status, _text in answers if status != "closed"} <= NETWORK_PORTS
        # 400 is nginx's answer to plain HTTP on a TLS port, which is read before any path is.
        statuses = {(port, path): status for port, path, status, _text in answers if isinstance(status, int)}
        assert {(place, status) for place, status in statuses.items() if status not in (400, 401, 403)} == set()
        asked = [path for port, path in statuses if port == 443 and path.startswith("https ")]
        assert len(asked) == len(PATHS), "the proxy did not answer each path"
        # A path that leads out of its tree is refused before anybody is asked for a password.
        assert {path: statuses[443, path] for path in asked if statuses[443, path] != 401} in ({}, {"https /..%2f..%2fetc/passwd": 400})


@pytest.mark.parametrize("credential", ["", "monitoring:", "monitoring:wrong-password", "root:wrong", ":", "monitoring"])
def test_a_wrong_credential_opens_nothing(ask, monitors, credential):
    for path in ("/", "/prometheus/api/v1/query?query=up", "/flower/workers"):
        answer, text = ask(monitors[0], path, credential=credential)
        assert answer.status == 401 and "node_" not in text


def test_who_has_the_password_reads_every_page(ask, monitors):
    for monitor in monitors:
        for path in ("/", "/prometheus/api/v1/query?query=up", "/alertmanager/api/v2/status", "/flower/workers", "/flower"):
            answer, _text = ask(monitor, path)
            assert answer.status == 200, (monitor, path)


def test_a_monitoring_host_reaches_the_proxy_of_the_other(lab, monitors):
    for source in monitors:
        for target in monitors:
            # By address and by name, both of which the certificate states.
            for name in (lab.address(target), target):
                output = lab.run(
                    source,
                    f"openssl s_client -connect {lab.address(target)}:443 -CAfile {FILES}/ca.pem -verify_return_error "
                    f"{'-verify_ip' if name != target else '-verify_hostname'} {name} </dev/null 2>&1",
                )
                assert "Verify return code: 0 (ok)" in output or "Verification: OK" in output, (source, target)
            other = lab.run(source, f"openssl s_client -connect {lab.address(target)}:443 -CAfile {FILES}/ca.pem -verify_hostname unlisted </dev/null 2>&1")
            assert "hostname mismatch" in other


def test_only_current_tls_is_spoken_and_pages_are_sealed(lab, ask, monitors, unlisted):
    address = lab.address(monitors[0])
    for version, accepted in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        output = lab.run(unlisted, f"openssl s_client -connect {address}:443 {version} </dev/null 2>&1", check=False)
        assert ("BEGIN CERTIFICATE" in output) == accepted, version
    for path in ("/", "/prometheus/metrics", "/no-such-page"):
        answer, _text = ask(monitors[0], path)
        assert "max-age=" in answer.headers["Strict-Transport-Security"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Server"] == "nginx"
    assert "unsafe" not in ask(monitors[0], "/")[0].headers["Content-Security-Policy"]


def test_nothing_on_the_network_stops_or_changes_a_server(ask, monitors):
    for path in ("/prometheus/-/quit", "/prometheus/-/reload", "/alertmanager/-/reload", "/prometheus/api/v1/admin/tsdb/snapshot", "/prometheus/debug/pprof/"):
        assert ask(monitors[0], path, method="POST")[0].status == 403, path
    for path in ("/flower/api/worker/shutdown/nobody@nowhere", "/flower/api/task/async-apply/multinode.canary"):
        assert ask(monitors[0], path, method="POST")[0].status in (401, 403), path
    # A page of another site acts in a browser that knows the password.
    assert ask(monitors[0], "/alertmanager/api/v2/silences", method="POST", Sec_Fetch_Site="cross-site")[0].status == 403


def test_flower_shows_every_worker(lab, ask, monitors):
    nodes = {
        node for host in lab.group("workers")
        for node in lab.run(host, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -aoE '^--hostname=[^ ]+@[^ ]+' | cut -d= -f2 | sort -u").split()
    }
    assert nodes
    for monitor in monitors:
        def shown(monitor=monitor):
            answer, text = ask(monitor, "/flower/workers?json=1")
            rows = json.loads(text)["data"] if answer.status == 200 else []
            return {row["hostname"] for row in rows if row["status"]}

        assert wait_until(lambda shown=shown: nodes <= shown(), 30) is not None, (nodes, shown())


def test_flower_outlives_the_loss_of_its_connections(lab, ask, monitors):
    before = lab.run(monitors[0], "systemctl show flower.service --property=MainPID")
    ask(monitors[0], "/flower/workers?json=1")
    for kind in ("pubsub", "normal"):
        lab.redis(lab.sentinel_master(), f"client kill type {kind} skipme yes")

    def beats():
        return {row["hostname"]: (row.get("heartbeats") or [0])[-1] for row in json.loads(ask(monitors[0], "/flower/workers?json=1")[1])["data"]}

    first = beats()
    assert wait_until(lambda: any(last > first.get(node, 0) for node, last in beats().items()), 30) is not None, "no heartbeat arrives"
    assert lab.run(monitors[0], "systemctl show flower.service --property=MainPID") == before


def test_no_secret_stands_in_a_unit_a_process_list_or_a_page(lab, ask, monitors):
    worker = lab.group("workers")[0]
    for monitor in monitors:
        secrets = secrets_of(lab, monitor)
        # The search finds a secret where one belongs.
        assert found_in(lab.run(monitor, "cat /etc/celery/*/env"), secrets)
        places = {
            "units": "cat /etc/systemd/system/*.service /etc/systemd/system/*.d/*.conf 2>/dev/null; systemctl show '*' --property=Environment,ExecStart",
            "processes": "cat /proc/[0-9]*/cmdline | tr '\\0' ' '",
            "environments of services": "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -av '^SUDO'",
            "journal": "journalctl --no-pager -q -o cat",
            "files that everybody may read": "find /etc /usr/local /usr/share/multinode-celery /var/lib/prometheus /run/monitoring-proxy -xdev -type f "
            "-perm -o+r -size -512k -exec cat {} + 2>/dev/null",
        }
        for place, command in places.items():
            # Programs and logs may hold bytes that are no text.
            text = lab.run(monitor, f"{{ {command}; }} | LC_ALL=C tr -cd '\\n -~'", check=False)
            assert text, place
            assert found_in(text, secrets) == [], f"{place} of {monitor}"
        pages = [
            "/", "/prometheus/api/v1/status/config", "/prometheus/api/v1/status/flags", "/prometheus/api/v1/targets", "/prometheus/targets",
            "/alertmanager/api/v2/status", "/flower/workers", "/flower/workers?json=1", "/flower/tasks", "/flower/broker", "/flower/api/workers",
            "/flower/metrics", "/flower/no-such-page", f"/flower/worker/nobody@{worker}",
        ]
        rows = json.loads(ask(monitor, "/flower/workers?json=1")[1])["data"]
        workers = [f"/flower/worker/{row['hostname']}" for row in rows if row["status"]]
        assert workers
        for page in pages + workers:
            answer, text = ask(monitor, page)
            assert page not in workers or (answer.status == 200 and "broker_url" in text), page
            assert found_in(text, secrets) == [], f"{page} of {monitor}"


def test_the_password_file_is_closed_and_holds_hashes_only(lab, monitors):
    for monitor in monitors:
        assert lab.run(monitor, "stat -c '%a %U:%G' /etc/monitoring-proxy/htpasswd").strip() == "640 root:www-data"
        lines = lab.run(monitor, "cat /etc/monitoring-proxy/htpasswd").splitlines()
        assert lines and all(line.split(":")[1].startswith("$2b$") for line in lines)


@pytest.mark.parametrize("unit", ["monitoring-proxy.service", "flower.service"])
def test_the_units_are_sandboxed(lab, monitors, unit):
    table = json.loads(lab.run(monitors[0], f"systemd-analyze security --json=short --no-pager {unit}"))
    assert table
    overall = lab.run(monitors[0], f"systemd-analyze security --no-pager {unit} | tail -1")
    assert float(overall.split(":")[1].split()[0]) <= 2.0


def test_a_renewed_certificate_is_loaded_without_a_restart(lab, monitors, unlisted):
    monitor = monitors[-1]

    def served():
        return lab.run(
            unlisted, f"openssl s_client -connect {lab.address(monitor)}:443 </dev/null 2>/dev/null | openssl x509 -noout -serial -ext subjectAltName"
        )

    def process():
        return lab.run(monitor, "systemctl show monitoring-proxy.service --property=MainPID")

    def deploy(*names):
        return lab.playbook(
            "playbooks/monitoring.yml", f"--limit={monitor}", "--tags=tls,monitoring_proxy", **({"tls_extra_names": list(names)} if names else {})
        ).stdout

    before, main_process = served(), process()
    deploy("spare.example")
    assert "spare.example" in served()
    deploy()
    assert "spare.example" not in served() and served() != before
    assert process() == main_process
