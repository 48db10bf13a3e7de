"""The office's certificate authority: which authorities are trusted, which one issues, and how one follows another.

    ca rotate, first     a new authority is made and announced: gateways learn of it with their next exchange
    ca rotate, second    the server's certificate comes from it; gateways renew theirs. Both are trusted
    ca rotate, third     the old one is trusted no more

An office of an older version threw its authority's key away: such an authority goes on vouching for the server, and a new one,
announced at once, issues the gateways' certificates.
"""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from office_ingest.certificates import (
    Issuer,
    der,
    hosts_of,
    is_issued_by,
    issue_server,
    load_private,
    make_authority,
    milliseconds,
    pem,
    private_bytes,
)
from office_ingest.storage.authority import CURRENT, GONE, NEXT, OLD, AuthorityRow, AuthorityStore
from protocol.diagnostic import Diagnostic, DiagnosticError
from protocol.enrolment import authorities_mark

# The server's certificate is made anew when this part of its life is left.
RENEW_LEFT = 1 / 3


class Paths(NamedTuple):
    """The office's files that the authority writes: what gateways trust, the server's certificate, its key."""

    bundle: Path
    certificate: Path
    key: Path


class Authority:
    """The authorities of one office. paths: its files under tls/; what is in them follows from the store."""

    def __init__(self, store: AuthorityStore, paths: Paths):
        self._store = store
        self.paths = paths

    # what is so

    def rows(self) -> list[AuthorityRow]:
        """Return every authority, the newest first."""
        return self._store.authorities()

    def trusted(self) -> list[x509.Certificate]:
        """Return the authorities to be trusted: the one that issues first."""
        return [x509.load_der_x509_certificate(one) for one in self._trusted()]

    def _trusted(self) -> list[bytes]:
        rows = [row for row in self.rows() if row.state != GONE]
        issuer = self._issuing(rows)
        rows.sort(key=lambda row: (row is not issuer, -row.number))
        return [row.certificate for row in rows]

    def known(self) -> list[x509.Certificate]:
        """Return every authority there ever was: TLS lets them all in, so that who is refused is told why."""
        return [x509.load_der_x509_certificate(row.certificate) for row in self.rows()]

    def mark(self) -> str:
        """Return what changes with the authorities to be trusted."""
        return authorities_mark(self._trusted())

    def issuer(self) -> tuple[int, Issuer]:
        """Return (number, authority) that issues the gateways' certificates. Raises DiagnosticError: there is none yet."""
        row = self._issuing(self.rows())
        if row is None or row.key is None:
            fix = "outstation office ca rotate makes one"
            raise DiagnosticError(
                Diagnostic("office-no-authority", "no authority of this office can issue", fix=fix)
            )
        return row.number, Issuer(x509.load_der_x509_certificate(row.certificate), load_private(row.key))

    def issuer_of(self, certificate: x509.Certificate) -> AuthorityRow | None:
        """Return the authority of ours that signed a certificate, or None."""
        return next(
            (
                row
                for row in self.rows()
                if is_issued_by(certificate, x509.load_der_x509_certificate(row.certificate))
            ),
            None,
        )

    def server_authority(self) -> x509.Certificate:
        """Return the authority that vouches for the server now: what an invitation pins. Raises DiagnosticError."""
        found = self._server_authority()
        if found is None:
            message = "no authority is known that vouches for the server's certificate"
            fix = "put it, in PEM, beside that certificate as ca.pem"
            raise DiagnosticError(
                Diagnostic("office-no-authority", message, str(self.paths.certificate), fix=fix)
            )
        return found

    def _server_authority(self) -> x509.Certificate | None:
        with contextlib.suppress(OSError, ValueError):
            server = x509.load_pem_x509_certificate(self.paths.certificate.read_bytes())
            for one in [*self.trusted(), *read_bundle(self.paths.bundle)]:
                if is_issued_by(server, one):
                    return one
        return None

    @staticmethod
    def _issuing(rows: list[AuthorityRow]) -> AuthorityRow | None:
        with_key = {row.state: row for row in rows if row.key is not None}
        return with_key.get(CURRENT) or with_key.get(NEXT)

    # what changes it

    def found(self, hosts: list[str], now_ms: int) -> None:
        """Make the first authority, and the server's certificate and key (0600), of a new office."""
        with self._store.writing():
            self._add(CURRENT, now_ms)
        self.paths.certificate.parent.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        with os.fdopen(os.open(self.paths.key, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(private_bytes(key))
        self._write_server(hosts, key, now_ms)
        self.write_bundle()

    def adopt(self, now_ms: int) -> None:
        """Take up the authority of an office that was made before offices kept one: its certificate without its key."""
        if self.rows():
            return
        with self._store.writing():
            server = self._server_authority()
            if server is not None:
                self._store.add_authority(der(server), None, CURRENT, now_ms)
            self._add(NEXT if server is not None else CURRENT, now_ms)
        self.write_bundle()

    def renew_server(self, now_ms: int) -> bool:
        """Make the server's certificate anew where it is ours and most of its life is over; return whether it was."""
        with contextlib.suppress(OSError, ValueError):
            server = x509.load_pem_x509_certificate(self.paths.certificate.read_bytes())
            current = self._state(CURRENT)
            if current is None or current.key is None:
                return False
            is_ours = is_issued_by(server, x509.load_der_x509_certificate(current.certificate))
            starts, ends = milliseconds(server.not_valid_before_utc), milliseconds(server.not_valid_after_utc)
            if is_ours and ends - now_ms < RENEW_LEFT * (ends - starts):
                self._write_server(hosts_of(server), load_private(self.paths.key.read_bytes()), now_ms)
                return True
        return False

    def rotate(self, now_ms: int, *, lagging: list[str], bound: list[str], anyway: bool = False) -> str:
        """Take the next step from one authority to another; return its name: 'announced', 'switched' or 'retired'.

        lagging: gateways that do not trust the newest authority yet; bound: those whose certificate is from the old one.
        Raises DiagnosticError where a gateway would be left behind, unless anyway.
        """
        following, old = self._state(NEXT), self._state(OLD)
        if old is not None:
            _refuse_if(bound, "still have a certificate of the old authority", anyway)
            with self._store.writing():
                self._store.set_state(old.number, GONE, now_ms)
            step = "retired"
        elif following is not None:
            _refuse_if(lagging, "do not trust the new authority yet", anyway)
            step = self._switch(following, now_ms)
        else:
            with self._store.writing():
                self._add(NEXT, now_ms)
            step = "announced"
        self.write_bundle()
        return step

    def _switch(self, following: AuthorityRow, now_ms: int) -> str:
        current = self._state(CURRENT)
        hosts = hosts_of(x509.load_pem_x509_certificate(self.paths.certificate.read_bytes()))
        with self._store.writing():
            if current is not None:
                self._store.set_state(current.number, OLD, now_ms)
            self._store.set_state(following.number, CURRENT, now_ms)
        # After the commit: a cut between leaves a certificate of the old authority, which all still trust; see mend_server.
        self._write_server(hosts, load_private(self.paths.key.read_bytes()), now_ms)
        return "switched"

    def mend_server(self, now_ms: int) -> bool:
        """Finish a switch that was cut off before the server's certificate was written; return whether there was one."""
        old = self._state(OLD)
        with contextlib.suppress(OSError, ValueError):
            server = x509.load_pem_x509_certificate(self.paths.certificate.read_bytes())
            if old is not None and is_issued_by(server, x509.load_der_x509_certificate(old.certificate)):
                self._write_server(hosts_of(server), load_private(self.paths.key.read_bytes()), now_ms)
                return True
        return False

    def _add(self, state: str, now_ms: int) -> None:
        made = make_authority(now_ms, len(self.rows()) + 1)
        self._store.add_authority(der(made.certificate), made.key_bytes(), state, now_ms)

    def _state(self, state: str) -> AuthorityRow | None:
        return next((row for row in self.rows() if row.state == state), None)

    def _write_server(self, hosts: list[str], key: ec.EllipticCurvePrivateKey, now_ms: int) -> None:
        current = self._state(CURRENT)
        assert current is not None
        assert current.key is not None
        issuer = Issuer(x509.load_der_x509_certificate(current.certificate), load_private(current.key))
        public = key.public_key()
        replace(self.paths.certificate, pem([issue_server(issuer, public, hosts, now_ms)]))

    def write_bundle(self) -> None:
        """Write ca.pem: what provisioning copies to a gateway."""
        if trusted := self.trusted():
            text = pem(trusted)
            if not self.paths.bundle.exists() or self.paths.bundle.read_text() != text:
                replace(self.paths.bundle, text)


def replace(path: Path, text: str) -> None:
    """Write a file that is whole at every moment, also after a power cut."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_bundle(path: Path) -> list[x509.Certificate]:
    """Return the certificates of a PEM file; none if it is not there. Raises ValueError: it is something else."""
    return x509.load_pem_x509_certificates(path.read_bytes()) if path.is_file() else []


def _refuse_if(gateways: list[str], words: str, anyway: bool) -> None:
    if gateways and not anyway:
        message = f"{len(gateways)} gateways {words}: {', '.join(gateways[:5])}"
        fix = "wait for their next exchange, or --anyway: they are then enrolled again by hand"
        raise DiagnosticError(Diagnostic("office-gateways-behind", message, fix=fix))
