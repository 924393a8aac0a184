# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: what an authority issues, and when a host needs another one. Nothing here touches a file or a host."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import datetime
import ipaddress
import itertools
import typing as t

from ansible.errors import AnsibleError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    CRYPTOGRAPHY_ERROR = ""
except ImportError as exc:
    CRYPTOGRAPHY_ERROR = str(exc)

# Clocks of hosts may be behind the controller's.
SKEW = datetime.timedelta(hours=1)
# A renewal that gains less than this is none; it would be repeated in each run.
GAIN = datetime.timedelta(days=1)


class TlsError(AnsibleError):
    """What is wrong with a certificate or a key, as the user sees it."""


@dataclasses.dataclass(frozen=True)
class CertificateAuthority:
    """A certificate authority; the key is there only where it may sign."""

    certificate: str
    key: str = ""
    passphrase: str = ""


def now_utc() -> datetime.datetime:
    """The time now, to the second, as certificates state it."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def load_certificate(text: str, what: str) -> x509.Certificate:
    """Read a certificate, the first one of the text."""
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError as exc:
        raise TlsError(f"{what} holds no certificate in PEM form ({exc})") from exc


def load_certificates(text: str, what: str) -> list[x509.Certificate]:
    """Read every certificate of a text."""
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError as exc:
        raise TlsError(f"{what} holds no certificate in PEM form ({exc})") from exc


def load_key(text: str, passphrase: str, what: str) -> t.Any:
    """Read a private key; the error never quotes it."""
    try:
        return serialization.load_pem_private_key(text.encode(), passphrase.encode() or None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise TlsError(f"{what} cannot be read as a private key in PEM form ({type(exc).__name__}): is its passphrase right?") from None


def pem(certificate: x509.Certificate) -> str:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def public_pem(key: t.Any) -> str:
    """The public half of a key, of either half, as text."""
    public = key.public_key() if hasattr(key, "public_key") else key
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def short_id(certificate: x509.Certificate) -> str:
    """The first characters of a certificate's fingerprint, enough to tell one from another."""
    return certificate.fingerprint(hashes.SHA256()).hex()[:12]


def expiry(text: str) -> int:
    """The time at which the first of the certificates in a text to expire does, in seconds since 1970."""
    return min(int(certificate.not_valid_after_utc.timestamp()) for certificate in load_certificates(text, "the bundle"))


def new_ca(name: str, days: int, passphrase: str = "", now: datetime.datetime | None = None) -> CertificateAuthority:
    """Make an authority that signs itself."""
    now = now or now_utc()
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # Two authorities of one name would be taken for each other during a rotation.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name[:54]} {identifier.digest.hex()[:8]}")])
    usage = dict.fromkeys(USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    secret: t.Any = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret).decode()
    return CertificateAuthority(pem(certificate), text, passphrase)


USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def general_name(name: str) -> x509.GeneralName:
    """A name or an address as a certificate states it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as exc:
        raise TlsError(f"{name!r} cannot be in a certificate ({exc}): set tls_names to names and addresses of the host") from exc


def last_moment(ca: x509.Certificate, days: int, now: datetime.datetime) -> datetime.datetime:
    """When a certificate that is issued now expires: never after its authority."""
    return min(now + datetime.timedelta(days=days), ca.not_valid_after_utc)


def issue(ca: CertificateAuthority, public_key: str, names: c.Sequence[str], days: int, now: datetime.datetime | None = None) -> str:
    """Make the certificate of a host, for both ends of a connection; its own name comes first among the names."""
    now = now or now_utc()
    issuer = load_certificate(ca.certificate, "the certificate of the CA")
    issuer_key: t.Any = issuer.public_key()
    signer = load_key(ca.key, ca.passphrase, "the key of the CA")
    if public_pem(signer) != public_pem(issuer_key):
        raise TlsError("the key of the CA does not belong to its certificate")
    try:
        key: t.Any = serialization.load_pem_public_key(public_key.encode())
    except ValueError as exc:
        raise TlsError(f"the host gave no public key ({exc})") from exc
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - SKEW, issuer.not_valid_before_utc))
        .not_valid_after(last_moment(issuer, days, now))
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in dict.fromkeys(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**(dict.fromkeys(USAGES, False) | {"digital_signature": True})), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return pem(certificate)


def names_of(certificate: x509.Certificate) -> set[str]:
    """The names and addresses that a certificate is for."""
    try:
        stated = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(stated.get_values_for_type(x509.DNSName)) | {str(address) for address in stated.get_values_for_type(x509.IPAddress)}


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether an authority has signed a certificate."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def canonical(name: str) -> str:
    """A name in the form in which certificates are compared."""
    stated = general_name(name)
    return str(stated.value)


def reason_due(
    certificate: str,
    public_key: str,
    ca: str,
    names: c.Sequence[str],
    renew_before_days: int,
    days: int,
    now: datetime.datetime | None = None,
) -> str:
    """Why a host needs another certificate; nothing where the present one will do."""
    now = now or now_utc()
    issuer = load_certificate(ca, "the certificate of the CA")
    if not certificate.strip():
        return "the host has none"
    try:
        present = load_certificate(certificate, "the host")
    except TlsError as exc:
        return str(exc)
    if public_pem(present.public_key()) != public_key.strip() + "\n":
        return "it does not belong to the key of the host"
    if not issued_by(present, issuer):
        return "another CA has issued it"
    if names_of(present) != {canonical(name) for name in names}:
        return "the names of the host have changed"
    ends = present.not_valid_after_utc
    if ends - now < datetime.timedelta(days=renew_before_days) and last_moment(issuer, days, now) - ends > GAIN:
        return f"it expires on {ends:%Y-%m-%d}"
    return ""


class TlsFault(t.NamedTuple):
    """What is wrong with what the user provides: a variable, what it does or is, and what to do."""

    variable: str
    problem: str
    remedy: str


def check_custom(certificate: str, key: str, bundle: str, names: c.Sequence[str], now: datetime.datetime | None = None) -> list[TlsFault]:
    """Look at a certificate that the user provides, its key and the CAs to be trusted. Raises TlsError for a text that is none of these."""
    now = now or now_utc()
    chain = load_certificates(certificate, "tls_custom_certificate")
    leaf = chain[0]
    trusted = load_certificates(bundle, "tls_custom_ca")
    found = []
    if public_pem(load_key(key, "", "tls_custom_key")) != public_pem(leaf.public_key()):
        found.append(TlsFault("tls_custom_key", "does not belong to tls_custom_certificate", "give the key for which the certificate was issued"))
    if leaf.not_valid_after_utc <= now:
        found.append(TlsFault("tls_custom_certificate", f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}", "give one that has not"))
    lacking = sorted({canonical(name) for name in names} - names_of(leaf))
    if lacking:
        found.append(
            TlsFault("tls_custom_certificate", f"is not valid for {', '.join(lacking)}", "get one that is, or set tls_names to what it is valid for")
        )
    # Each link of the chain that is given, then one of the roots.
    if not all(issued_by(child, parent) for child, parent in itertools.pairwise(chain)):
        found.append(TlsFault("tls_custom_certificate", "holds certificates that do not follow each other", "put that of the host first, each issuer after it"))
    if not any(issued_by(chain[-1], root) or chain[-1] == root for root in trusted):
        found.append(
            TlsFault("tls_custom_ca", "holds no CA that has issued tls_custom_certificate", "add the right one, or the intermediate certificates to the other")
        )
    return found
