# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import stat
import subprocess

import pytest
from ansible_collections.multinode.celery.plugins.plugin_utils import tls
from ansible_collections.multinode.celery.plugins.plugin_utils.tls_directory import CaDirectory
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
NAMES = ["cpu-1", "10.0.0.11"]


@pytest.fixture(scope="module")
def ca():
    return tls.new_ca("Test CA", 3650, now=NOW)


@pytest.fixture(scope="module")
def other():
    return tls.new_ca("Test CA", 3650, now=NOW)


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def public(key):
    return tls.public_pem(key)


@pytest.fixture(scope="module")
def certificate(ca, public):
    return tls.issue(ca, public, NAMES, 365, NOW)


def private_pem(key):
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


def verifies(tmp_path, bundle, certificate, *options):
    (tmp_path / "ca.pem").write_text(bundle)
    (tmp_path / "host.pem").write_text(certificate)
    command = ["openssl", "verify", "-attime", str(int(NOW.timestamp())), "-x509_strict", *options, "-CAfile", tmp_path / "ca.pem", tmp_path / "host.pem"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
def test_openssl_verifies_a_certificate_for_both_ends(tmp_path, ca, certificate, purpose):
    assert verifies(tmp_path, ca.certificate, certificate, "-purpose", purpose)


def test_openssl_verifies_the_names_and_no_other(tmp_path, ca, certificate):
    assert verifies(tmp_path, ca.certificate, certificate, "-verify_hostname", "cpu-1")
    assert verifies(tmp_path, ca.certificate, certificate, "-verify_ip", "10.0.0.11")
    assert not verifies(tmp_path, ca.certificate, certificate, "-verify_hostname", "cpu-2")


def test_a_certificate_of_a_ca_of_the_same_name_is_refused(tmp_path, other, certificate):
    assert not verifies(tmp_path, other.certificate, certificate)


def test_with_both_in_the_bundle_both_are_accepted(tmp_path, ca, other, certificate, public):
    bundle = other.certificate + ca.certificate
    assert verifies(tmp_path, bundle, certificate)
    assert verifies(tmp_path, bundle, tls.issue(other, public, NAMES, 365, NOW))


def test_a_host_cannot_issue_certificates(tmp_path, ca, key, certificate, public):
    forged = tls.issue(tls.CertificateAuthority(certificate, private_pem(key)), public, ["broker-1"], 10, NOW)
    assert not verifies(tmp_path, ca.certificate + certificate, forged)


def due(certificate, public, ca, names=tuple(NAMES), days_later=0, renew_before=30, days=365):
    return tls.reason_due(certificate, public, ca.certificate, names, renew_before, days, NOW + datetime.timedelta(days=days_later))


def test_nothing_is_due_for_a_good_certificate(certificate, public, ca):
    assert due(certificate, public, ca) == ""
    assert due(certificate, public, ca, names=["10.0.0.11", "cpu-1", "cpu-1"]) == ""
    assert due(certificate, public, ca, days_later=334) == ""


def test_what_makes_a_certificate_due(certificate, public, ca, other):
    unlisted = tls.public_pem(ec.generate_private_key(ec.SECP256R1()))
    assert "none" in due("", public, ca)
    assert "no certificate" in due("broken", public, ca)
    assert "key" in due(certificate, unlisted, ca)
    assert "key" in due(certificate, "", ca)
    assert "another CA" in due(certificate, public, other)
    assert "names" in due(certificate, public, ca, names=["cpu-1"])
    assert "names" in due(certificate, public, ca, names=[*NAMES, "::1"])
    assert "2027-06-01" in due(certificate, public, ca, days_later=336)


def test_a_certificate_never_outlives_its_ca_and_is_not_renewed_in_vain(public):
    short = tls.new_ca("Short", 20, now=NOW)
    certificate = tls.issue(short, public, NAMES, 365, NOW)
    ends = tls.load_certificate(certificate, "it").not_valid_after_utc
    assert ends == NOW + datetime.timedelta(days=20)
    assert due(certificate, public, short, days_later=5) == ""


def test_addresses_are_compared_by_value(ca, public):
    certificate = tls.issue(ca, public, ["a", "2001:db8::1"], 365, NOW)
    assert due(certificate, public, ca, names=["a", "2001:0db8:0::1"]) == ""


def test_a_custom_certificate_is_checked_before_it_is_used(ca, other, key, certificate):
    good = private_pem(key)
    assert tls.check_custom(certificate, good, ca.certificate, NAMES, NOW) == []
    unlisted = private_pem(ec.generate_private_key(ec.SECP256R1()))
    assert tls.check_custom(certificate, unlisted, ca.certificate, NAMES, NOW)[0].variable == "tls_custom_key"
    assert tls.check_custom(certificate, good, other.certificate, NAMES, NOW)[0].variable == "tls_custom_ca"
    assert "cpu-9" in tls.check_custom(certificate, good, ca.certificate, ["cpu-9"], NOW)[0].problem
    assert "expired" in tls.check_custom(certificate, good, ca.certificate, NAMES, NOW + datetime.timedelta(days=400))[0].problem


def test_an_unreadable_key_is_not_quoted():
    with pytest.raises(tls.TlsError) as caught:
        tls.load_key("-----BEGIN PRIVATE KEY-----\nsecret", "", "tls_custom_key")
    assert "secret" not in str(caught.value)


@pytest.fixture
def directory(tmp_path):
    made = CaDirectory(str(tmp_path / "tls"), "Test CA", 3650)
    with made.locked():
        assert made.make()
        assert not made.make()
    return made


def cas(directory):
    return [certificate.subject.rfc4514_string() for certificate in tls.load_certificates(directory.bundle(), "bundle")]


def test_the_directory_is_closed_to_others(directory):
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory.path / "ca.key").stat().st_mode) == 0o600


def test_a_rotation_keeps_the_previous_ca_trusted_until_the_end(directory, public):
    first = directory.signing()
    (before,) = cas(directory)
    assert directory.advance("introduce") and not directory.advance("introduce")
    assert directory.signing() == first
    after = cas(directory)[1]
    assert directory.advance("switch") and not directory.advance("switch")
    assert cas(directory) == [after, before]
    assert tls.issued_by(
        tls.load_certificate(tls.issue(directory.signing(), public, NAMES, 9), ""), tls.load_certificate(directory.signing().certificate, "")
    )
    assert directory.advance("retire") and not directory.advance("retire")
    assert cas(directory) == [after]
    assert sorted(path.name for path in directory.path.iterdir()) == [".lock", "ca.key", "ca.pem"]


@pytest.mark.parametrize("phase", ["introduce", "switch", "retire"])
def test_a_dry_step_changes_nothing(directory, phase):
    for earlier in ("introduce", "switch", "retire"):
        if earlier == phase:
            break
        directory.advance(earlier)
    before = {path.name: path.read_bytes() for path in directory.path.iterdir()}
    assert directory.advance(phase, dry=True)
    assert {path.name: path.read_bytes() for path in directory.path.iterdir()} == before


def test_steps_out_of_order_are_refused(directory):
    with pytest.raises(tls.TlsError, match="introduce first"):
        directory.advance("switch")
    assert not directory.advance("retire")
    directory.advance("introduce")
    with pytest.raises(tls.TlsError, match="switch first"):
        directory.advance("retire")
    directory.advance("switch")
    with pytest.raises(tls.TlsError, match="retire"):
        directory.advance("introduce")


def test_an_interrupted_switch_is_ended_by_the_next(directory, monkeypatch, public):
    directory.advance("introduce")
    monkeypatch.setattr("os.replace", interrupted_at("ca.key"))
    with pytest.raises(KeyboardInterrupt):
        directory.advance("switch")
    monkeypatch.undo()
    with pytest.raises(tls.TlsError, match="does not belong"):
        tls.issue(directory.signing(), public, NAMES, 9)
    assert directory.advance("switch")
    tls.issue(directory.signing(), public, NAMES, 9)
    assert len(cas(directory)) == 2


def interrupted_at(name):
    import os

    real = os.replace

    def replace(source, target):
        if str(target).endswith(name):
            raise KeyboardInterrupt
        real(source, target)

    return replace


def test_a_lost_ca_is_not_made_again_beside_its_remains(directory):
    (directory.path / "ca.pem").unlink()
    with pytest.raises(tls.TlsError, match="backup"):
        directory.make()


def test_a_key_with_a_passphrase_needs_it(tmp_path, public):
    made = CaDirectory(str(tmp_path), "Test CA", 3650, "a passphrase")
    made.make()
    assert "ENCRYPTED" in made.signing().key
    tls.issue(made.signing(), public, NAMES, 9)
    with pytest.raises(tls.TlsError, match="passphrase"):
        tls.issue(CaDirectory(str(tmp_path), "Test CA", 3650).signing(), public, NAMES, 9)
