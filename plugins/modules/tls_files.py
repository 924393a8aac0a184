#!/usr/bin/python
# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_files
short_description: Keep the key, the certificate and the trusted CAs of a host
version_added: "1.0.0"
description:
  - The part of M(multinode.celery.tls_certificate) that runs on the host; use that module.
  - Makes a key where there is none, or where a new one is asked for, keeps it beside the present one until its certificate
    arrives, and returns the public half only.
  - Writes the time at which the certificates expire for the textfile collector of the node exporter.
extends_documentation_fragment:
  - multinode.celery.attributes
options:
  ca_path:
    description: File of the trusted CAs.
    type: path
    required: true
  certificate_path:
    description: File of the certificate.
    type: path
    required: true
  key_path:
    description: File of the key.
    type: path
    required: true
  group:
    description: Group that may read the key; it is made where it does not exist.
    type: str
    required: true
  bundle:
    description: The trusted CAs, as text.
    type: str
    required: true
  bundle_expiry:
    description: When the first of them expires, in seconds since 1970.
    type: int
    required: true
  replace_ca:
    description: Whether CAs of the host may be replaced by others that have none in common with them.
    type: bool
    default: false
  new_key:
    description: Whether a new key is made although there is one.
    type: bool
    default: false
  certificate:
    description: Certificate to put in place, with the key that waits for it or with O(key).
    type: str
    default: ""
  key:
    description: Key that belongs to O(certificate), where it was not made on the host.
    type: str
    default: ""
  metrics_path:
    description: File for the node exporter; none is written where it is empty.
    type: str
    default: ""
author:
  - multinode.celery contributors (@multinode)
"""

EXAMPLES = r"""
- name: Read the certificate of a host
  multinode.celery.tls_files:
    ca_path: /etc/multinode-tls/ca.pem
    certificate_path: /etc/multinode-tls/host.pem
    key_path: /etc/multinode-tls/host.key
    group: multinode-tls
    bundle: "{{ lookup('ansible.builtin.file', 'tls/ca.pem') }}"
    bundle_expiry: 2000000000
"""

RETURN = r"""
foreign:
  description: Whether the host trusts CAs that have none in common with O(bundle); nothing was changed then.
  returned: always
  type: bool
certificate:
  description: The certificate of the host, as text.
  returned: always
  type: str
public_key:
  description: Public half of the host's key.
  returned: always
  type: str
pending_public_key:
  description: Public half of the key that waits for its certificate; empty where none was made in this run.
  returned: always
  type: str
changed_paths:
  description: Files that were written, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

import calendar
import grp
import os
import re
import tempfile
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def blocks(text: str) -> set[str]:
    """Every certificate of a text, in a form that can be compared."""
    return {"".join(block.split()) for block in BLOCK.findall(text)}


def is_foreign(present: str, wanted: str) -> bool:
    """Whether two bundles have nothing in common; an empty one is not foreign."""
    return bool(blocks(present)) and not blocks(present) & blocks(wanted)


def seconds_since_epoch(line: str) -> int:
    """The time in what C(openssl x509 -enddate) prints, or 0."""
    value = line.partition("=")[2].strip()
    try:
        return calendar.timegm(time.strptime(value, "%b %d %H:%M:%S %Y GMT"))
    except ValueError:
        return 0


def metrics(expiries: t.Mapping[str, int]) -> str:
    """The text for the textfile collector."""
    name = "multinode_certificate_expiry_timestamp_seconds"
    lines = [f"# HELP {name} When the first certificate in a file expires.", f"# TYPE {name} gauge"]
    lines += [f'{name}{{path="{path}"}} {value}' for path, value in sorted(expiries.items()) if value]
    return "\n".join(lines) + "\n"


def read(path: str) -> str:
    """The text of a file, nothing where it does not exist."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


class Host:
    """The files of one host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.pending_path = self.params["key_path"] + ".new"
        self.changed_paths: list[str] = []

    def run(self, *arguments: str) -> str:
        """Run a command, with its messages in the language that is parsed here."""
        code, out, err = self.module.run_command(
            list(arguments), environ_update={"LC_ALL": "C"}, handle_exceptions=False, expand_user_and_vars=False
        )
        if code:
            self.module.fail_json(msg=f"{arguments[0]} {arguments[1]} failed: {err.strip() or out.strip()}")
        return out

    def mark(self, path: str) -> None:
        if path not in self.changed_paths:
            self.changed_paths.append(path)

    def write(self, path: str, text: str, mode: int, group: int) -> None:
        """Replace a file at once where its content differs, and set its owner and mode in any case."""
        if read(path) != text:
            self.mark(path)
            if self.module.check_mode:
                return
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                os.fchown(stream.fileno(), 0, group)
                os.fchmod(stream.fileno(), mode)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        self.attributes(path, mode, group)

    def attributes(self, path: str, mode: int, group: int) -> None:
        """Set owner and mode of a file that exists."""
        found = os.stat(path)
        if (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, group, mode):
            return
        self.mark(path)
        if not self.module.check_mode:
            os.chown(path, 0, group)
            os.chmod(path, mode)

    def group(self) -> int:
        """The number of the group, which is made where it is missing."""
        name = self.params["group"]
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            self.mark(name)
        if self.module.check_mode:
            return 0
        self.run("groupadd", "--system", name)
        return grp.getgrnam(name).gr_gid

    def directories(self) -> None:
        """Make the directories of all files."""
        paths = [self.params[name] for name in ("ca_path", "certificate_path", "key_path", "metrics_path")]
        for directory in sorted({os.path.dirname(path) for path in paths if path}):
            if not os.path.isdir(directory):
                self.mark(directory)
                if not self.module.check_mode:
                    os.makedirs(directory, 0o755)

    def public_key(self, path: str) -> str:
        """The public half of a key, nothing where it cannot be read."""
        if not os.path.isfile(path):
            return ""
        code, out, _err = self.module.run_command(["openssl", "pkey", "-in", path, "-pubout"], expand_user_and_vars=False)
        return out if code == 0 else ""

    def make_key(self) -> str:
        """Make a key that waits for its certificate, and return its public half."""
        self.mark(self.params["key_path"])
        if self.module.check_mode:
            return ""
        umask = os.umask(0o077)
        self.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.pending_path)
        os.umask(umask)
        return self.public_key(self.pending_path)

    def install(self, group: int) -> None:
        """Put a certificate in place together with its key."""
        key = self.params["key"] or read(self.pending_path) or read(self.params["key_path"])
        self.write(self.params["key_path"], key, 0o640, group)
        self.write(self.params["certificate_path"], self.params["certificate"], 0o644, 0)
        if os.path.exists(self.pending_path) and not self.module.check_mode:
            os.unlink(self.pending_path)

    def expiries(self) -> dict[str, int]:
        """When the certificates of the host expire."""
        found = {self.params["ca_path"]: self.params["bundle_expiry"]}
        path = self.params["certificate_path"]
        if os.path.isfile(path):
            code, out, _err = self.module.run_command(
                ["openssl", "x509", "-in", path, "-noout", "-enddate"], environ_update={"LC_ALL": "C"}, expand_user_and_vars=False
            )
            found[path] = seconds_since_epoch(out) if code == 0 else 0
        return found

    def apply(self) -> dict[str, t.Any]:
        """Do what was asked, and tell what the host has."""
        params = self.params
        if not params["replace_ca"] and is_foreign(read(params["ca_path"]), params["bundle"]):
            return {"foreign": True, "certificate": "", "public_key": "", "pending_public_key": ""}
        group = self.group()
        self.directories()
        self.write(params["ca_path"], params["bundle"], 0o644, 0)
        pending = ""
        if params["certificate"]:
            self.install(group)
        else:
            for path, mode, owner in ((params["key_path"], 0o640, group), (params["certificate_path"], 0o644, 0)):
                if os.path.isfile(path):
                    self.attributes(path, mode, owner)
        public_key = self.public_key(params["key_path"])
        if not params["certificate"] and (params["new_key"] or not public_key):
            pending = self.make_key()
        if params["metrics_path"] and os.path.isfile(params["certificate_path"]):
            self.write(params["metrics_path"], metrics(self.expiries()), 0o644, 0)
        return {"foreign": False, "certificate": read(params["certificate_path"]), "public_key": public_key, "pending_public_key": pending}


def main() -> None:
    """Compare the files of a host and write those that differ."""
    module = AnsibleModule(
        argument_spec={
            "ca_path": {"type": "path", "required": True},
            "certificate_path": {"type": "path", "required": True},
            "key_path": {"type": "path", "required": True, "no_log": False},
            "group": {"type": "str", "required": True},
            "bundle": {"type": "str", "required": True},
            "bundle_expiry": {"type": "int", "required": True},
            "replace_ca": {"type": "bool", "default": False},
            "new_key": {"type": "bool", "default": False, "no_log": False},
            "certificate": {"type": "str", "default": ""},
            "key": {"type": "str", "default": "", "no_log": True},
            "metrics_path": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    host = Host(module)
    try:
        result = host.apply()
    except OSError as exc:
        module.fail_json(msg=f"{exc.filename or 'a file of the host'}: {exc.strerror}; the packages of tls_packages must be there")
    module.exit_json(changed=bool(host.changed_paths), changed_paths=host.changed_paths, **result)


if __name__ == "__main__":
    main()
