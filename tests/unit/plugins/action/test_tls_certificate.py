# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action asks a host, and how often; the host is a dictionary with a real key."""

from __future__ import annotations

import pathlib
from types import SimpleNamespace

import pytest
from ansible_collections.multinode.celery.plugins.action.tls_certificate import ActionModule
from ansible_collections.multinode.celery.plugins.plugin_utils import tls
from ansible_collections.multinode.celery.plugins.plugin_utils.tls_directory import CaDirectory
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PATHS = {"ca_path": "/e/ca.pem", "certificate_path": "/e/host.pem", "key_path": "/e/host.key", "group": "tls", "metrics_path": ""}


class Host(ActionModule):
    """An action whose host answers as the module does, and counts its round trips."""

    def __init__(self, check_mode: bool = False) -> None:
        self._task = SimpleNamespace(check_mode=check_mode)
        self._loader = SimpleNamespace(path_dwim=str)
        self.files: dict[str, str] = {}
        self.trips: list[dict] = []

    def _execute_module(self, module_name=None, module_args=None, **_others):
        self.trips.append(module_args)
        if self.files.get("bundle") and module_args["bundle"] not in (self.files["bundle"], "") and not module_args["replace_ca"]:
            common = set(self.files["bundle"].split("-----")) & set(module_args["bundle"].split("-----"))
            if not common - {"", "\n", "BEGIN CERTIFICATE", "END CERTIFICATE"}:
                return {"changed": False, "foreign": True, "changed_paths": []}
        changed = [] if self.files.get("bundle") == module_args["bundle"] else ["/e/ca.pem"]
        self.files["bundle"] = module_args["bundle"]
        pending = ""
        if module_args.get("certificate"):
            self.files["certificate"] = module_args["certificate"]
            self.files["key"] = self.files.pop("pending", "")
            changed += ["/e/host.pem", "/e/host.key"]
        elif module_args.get("new_key") or not self.files.get("key"):
            pending = self.files["pending"] = tls.public_pem(ec.generate_private_key(ec.SECP256R1()))
        return {
            "changed": bool(changed), "foreign": False, "changed_paths": changed, "pending_public_key": pending,
            "certificate": self.files.get("certificate", ""), "public_key": self.files.get("key", ""),
        }

    def give(self, directory: pathlib.Path, *names: str, **more) -> dict:
        args = {
            "ca_directory": str(directory), "ca_name": "CA", "ca_days": 3650, "ca_passphrase": "", "ca_replace": False, "names": ["cpu-1", *names],
            "days": 365, "renew_before_days": 30, "custom_certificate": "", "custom_key": "", "custom_ca": "", **PATHS, **more,
        }
        self.trips.clear()
        return self._custom(args, {}) if args.get("custom_certificate") else self._issued(args, {})


def test_a_new_host_takes_two_trips_and_a_settled_one_takes_one(tmp_path):
    host = Host()
    assert host.give(tmp_path / "tls")["changed"] and len(host.trips) == 2
    again = host.give(tmp_path / "tls")
    assert (again["changed"], again["reason"], len(host.trips)) == (False, "", 1)


def test_no_private_key_travels(tmp_path):
    host = Host()
    host.give(tmp_path / "tls")
    assert not any("PRIVATE" in str(trip) for trip in host.trips)


def test_a_renewal_comes_with_a_new_key(tmp_path):
    host = Host()
    host.give(tmp_path / "tls")
    before = dict(host.files)
    assert "names" in host.give(tmp_path / "tls", "10.0.0.9")["reason"] and len(host.trips) == 3
    assert host.files["key"] != before["key"] and host.files["certificate"] != before["certificate"]


def test_check_mode_changes_nothing_and_reports_what_is_due(tmp_path):
    host = Host(check_mode=True)
    assert host.give(tmp_path / "tls")["changed"]
    assert not (tmp_path / "tls").exists() and not host.trips


def test_a_host_follows_a_rotation_step_by_step(tmp_path):
    host = Host()
    host.give(tmp_path / "tls")
    directory = CaDirectory(str(tmp_path / "tls"), "CA", 3650)
    directory.advance("introduce")
    reported = host.give(tmp_path / "tls")
    assert (reported["changed"], reported["reason"], reported["changed_paths"]) == (True, "", ["/e/ca.pem"])
    directory.advance("switch")
    assert "another CA" in host.give(tmp_path / "tls")["reason"]
    directory.advance("retire")
    assert host.give(tmp_path / "tls")["reason"] == ""
    assert not host.give(tmp_path / "tls")["changed"]


def test_a_host_does_not_change_to_a_foreign_ca(tmp_path):
    host = Host()
    host.give(tmp_path / "tls")
    before = dict(host.files)
    with pytest.raises(tls.TlsError, match="tls_ca_replace"):
        host.give(tmp_path / "other")
    assert host.files == before
    assert host.give(tmp_path / "other", ca_replace=True)["changed"]


def test_a_host_changes_over_to_certificates_of_the_user_in_three_runs(tmp_path):
    host, company = Host(), tls.new_ca("Company", 60)
    host.give(tmp_path / "tls")
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    own = {"custom_certificate": tls.issue(company, tls.public_pem(key.public_key()), ["cpu-1"], 30), "custom_key": text}
    with pytest.raises(tls.TlsError, match="three runs"):
        host.give(tmp_path / "tls", **own, custom_ca=company.certificate)
    cluster = host.files["bundle"]
    assert host.give(tmp_path / "tls", custom_ca=company.certificate)["changed_paths"] == ["/e/ca.pem"]
    assert host.files["bundle"] == cluster + company.certificate
    assert "/e/host.pem" in host.give(tmp_path / "tls", **own, custom_ca=company.certificate + cluster)["changed_paths"]
    host.give(tmp_path / "tls", **own, custom_ca=company.certificate)
    assert host.files["bundle"] == company.certificate
    with pytest.raises(tls.TlsError, match="tls_custom_ca holds no certificate"):
        host.give(tmp_path / "tls", custom_ca="/etc/ssl/company.pem")
