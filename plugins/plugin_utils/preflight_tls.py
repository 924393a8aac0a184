# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of certificates that the user provides."""

from __future__ import annotations

import typing as t

from ansible_collections.multinode.celery.plugins.plugin_utils.preflight import Check, Finding, Host, Inventory
from ansible_collections.multinode.celery.plugins.plugin_utils.tls import CRYPTOGRAPHY_ERROR, TlsError, TlsFault, check_custom

OWN = ("tls_custom_certificate", "tls_custom_key", "tls_custom_ca")


def faults(host: Host) -> list[TlsFault]:
    """What is wrong with the files of a host, as far as these are known already."""
    certificate, key, bundle = texts = [host.get(name) for name in OWN]
    names = [*host.items("tls_names"), *host.items("tls_extra_names")]
    missing = [TlsFault(name, "is missing beside the others", "give all three") for name, text in zip(OWN, texts) if text == ""]
    if missing or not names or not all(isinstance(text, str) for text in texts):
        return missing
    try:
        return check_custom(certificate, key, bundle, names)
    except TlsError as exc:
        return [TlsFault("tls_custom_certificate", f"cannot be used, {exc}", "give PEM texts, the key without a passphrase")]


def check_custom_certificates(inventory: Inventory) -> t.Iterator[Finding]:
    """What a host shows to others is valid for it, and they trust it."""
    hosts = inventory.having("tls")
    own = [host for host in hosts if host.get("tls_custom_certificate") or host.get("tls_custom_key")]
    trustless = tuple(host.name for host in hosts if host not in own and host.get("tls_custom_ca") == "")
    if own and trustless:
        yield Finding(
            "custom_certificate", "tls_custom_ca", "", trustless, f"{own[0].name} has a certificate of your own, which nobody trusts here",
            "Set it for all hosts, in group_vars/all/tls.yml",
        )  # fmt: skip
    # Without the package the role reports it.
    for host in own if not CRYPTOGRAPHY_ERROR else ():
        for fault in faults(host):
            yield Finding(
                "custom_certificate", fault.variable, "", (host.name,), f"it {fault.problem}", f"{fault.remedy[0].upper()}{fault.remedy[1:]}",
            )  # fmt: skip


CHECKS: tuple[Check, ...] = (check_custom_certificates,)
