# Copyright: (c) 2026, multinode.celery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory in which the control machine keeps the authority of a cluster.

C(ca.pem) and C(ca.key) sign. C(next.pem) and C(next.key) are trusted already and sign after the switch. C(old-*.pem) signed
before the switch, and are trusted until they are retired; their keys are gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import tempfile
import typing as t

from ansible_collections.multinode.celery.plugins.plugin_utils.tls import CertificateAuthority, TlsError, load_certificate, new_ca, short_id

PHASES = ("introduce", "switch", "retire")


class CaDirectory:
    """Reads and changes the directory of an authority."""

    def __init__(self, path: str, name: str, days: int, passphrase: str = "") -> None:
        self.path = pathlib.Path(path)
        self.name = name
        self.days = days
        self.passphrase = passphrase

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """Keep the processes of other hosts, and other runs, out until the end."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.path / ".lock", "w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def exists(self) -> bool:
        """Whether there is an authority that signs."""
        return (self.path / "ca.pem").is_file()

    def make(self) -> bool:
        """Make the authority unless it is there; return whether it was made."""
        if self.exists():
            return False
        if (self.path / "ca.key").exists() or self.old() or (self.path / "next.pem").exists():
            raise TlsError(
                f"{self.path} holds a part of a CA but no ca.pem: restore the directory from its backup, "
                "or remove it where no host has a certificate yet"
            )
        self._write("ca", new_ca(self.name, self.days, self.passphrase))
        return True

    def signing(self) -> CertificateAuthority:
        """The authority that signs."""
        if not (self.path / "ca.key").is_file():
            raise TlsError(f"{self.path}/ca.key is missing: restore it from its backup, or rotate to a new CA")
        return CertificateAuthority(self._read("ca.pem"), self._read("ca.key"), self.passphrase)

    def old(self) -> list[pathlib.Path]:
        """Certificates of authorities that have signed before."""
        return sorted(self.path.glob("old-*.pem"))

    def bundle(self) -> str:
        """Every trusted certificate, the one that signs first."""
        files = [self.path / "ca.pem", self.path / "next.pem", *self.old()]
        return "".join(file.read_text(encoding="utf-8").strip() + "\n" for file in files if file.is_file())

    def advance(self, phase: str, dry: bool = False) -> bool:
        """Take one step of a rotation; return whether there was something to do."""
        return {"introduce": self._introduce, "switch": self._switch, "retire": self._retire}[phase](dry)

    def _introduce(self, dry: bool) -> bool:
        """Make the next authority, which every host shall trust before it signs."""
        if (self.path / "next.pem").is_file() and (self.path / "next.key").is_file():
            return False
        if not self.exists():
            raise TlsError(f"{self.path} holds no CA that could be followed by another: deploy the cluster first")
        if self.old():
            raise TlsError(f"{self.old()[0]} is still trusted from the rotation before: finish that one with tls_ca_phase=retire")
        if not dry:
            self._write("next", new_ca(self.name, self.days, self.passphrase))
        return True

    def _switch(self, dry: bool) -> bool:
        """Let the next authority sign; the previous one stays trusted, and its key goes."""
        ready = (self.path / "next.key").is_file() and (self.path / "next.pem").is_file()
        interrupted = (self.path / "next.key").is_file() and bool(self.old())
        if not ready and not interrupted:
            if self.old():
                return False
            raise TlsError(f"{self.path} holds no next CA: run the rotation with tls_ca_phase=introduce first")
        if dry:
            return True
        if ready:
            present = self._read("ca.pem")
            self._write_file(f"old-{short_id(load_certificate(present, 'ca.pem'))}.pem", present, 0o644)
            # A crash between the next two lines leaves next.key without next.pem; the second run ends what this one began.
            os.replace(self.path / "next.pem", self.path / "ca.pem")
        os.replace(self.path / "next.key", self.path / "ca.key")
        return True

    def _retire(self, dry: bool) -> bool:
        """Trust the authorities no longer that signed before."""
        if (self.path / "next.pem").is_file():
            raise TlsError(f"{self.path} holds a next CA that does not sign yet: run the rotation with tls_ca_phase=switch first")
        found = self.old()
        if not dry:
            for file in found:
                file.unlink()
        return bool(found)

    def _read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def _write(self, stem: str, ca: CertificateAuthority) -> None:
        self._write_file(f"{stem}.key", ca.key, 0o600)
        self._write_file(f"{stem}.pem", ca.certificate, 0o644)

    def _write_file(self, name: str, text: str, mode: int) -> None:
        handle, temporary = tempfile.mkstemp(dir=self.path, prefix=".new-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(temporary, self.path / name)
