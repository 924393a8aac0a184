# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the proxy of a lab's monitoring host on this machine, with the lab's certificate checked and its password given.

show_proxy.py LAB_DIRECTORY HOST [PORT]     then open http://127.0.0.1:9080/
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import pathlib
import ssl
import sys
import urllib.error
import urllib.request

import yaml


class Proxy:
    """One monitoring host as its lab describes it."""

    def __init__(self, lab: pathlib.Path, host: str) -> None:
        described = yaml.safe_load((lab / "inventory/hosts.yml").read_text())["all"]
        secrets = yaml.safe_load((lab / "inventory/group_vars/all/vault.yml").read_text())
        self.address = f"https://{described['hosts'][host]['ansible_host']}"
        self.context = ssl.create_default_context(cafile=pathlib.Path(described["vars"]["tls_ca_directory"]) / "ca.pem")
        self.credential = "Basic " + base64.b64encode(f"monitoring:{secrets['vault_monitoring_ui_password']}".encode()).decode()

    def get(self, path: str) -> tuple[int, str, bytes]:
        """Status, type and content of a page."""
        request = urllib.request.Request(self.address + path, headers={"Authorization": self.credential})
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
                return answer.status, answer.headers["Content-Type"] or "", answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"] or "", error.read()


def handler(proxy: Proxy) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, content = proxy.get(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def main() -> None:
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    proxy = Proxy(pathlib.Path(sys.argv[1]), sys.argv[2])
    port = int(sys.argv[3]) if len(sys.argv) == 4 else 9080
    print(f"http://127.0.0.1:{port}/ shows {proxy.address}/", flush=True)
    http.server.ThreadingHTTPServer(("127.0.0.1", port), handler(proxy)).serve_forever()


if __name__ == "__main__":
    main()
