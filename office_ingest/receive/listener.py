"""The TLS side of the office's listener, kept up to date while it runs: a new certificate is taken up by the next connection."""

import contextlib
import ssl
from pathlib import Path

from cryptography import x509

from office_ingest.certificates import pem
from office_ingest.config import Configuration, Files
from office_ingest.govern.authority import Authority, Paths
from office_ingest.receive.peer import ask_for_certificates
from office_ingest.storage.authority import AuthorityStore
from protocol.diagnostic import Diagnostic, DiagnosticError


def open_authority(files: Files, now_ms: int) -> tuple[AuthorityStore, Authority]:
    """Return the office's authority; one that was founded before offices kept one gets it here. Raises as AuthorityStore.open."""
    is_there = files.authority.is_file()
    store = AuthorityStore.open(files.authority) if is_there else AuthorityStore.create(files.authority)
    bundle = files.certificate.parent / "ca.pem"
    authority = Authority(store, Paths(bundle, files.certificate, files.key))
    try:
        authority.adopt(now_ms)
    except BaseException:
        store.close()
        raise
    return store, authority


def company_authorities(configuration: Configuration) -> list[x509.Certificate]:
    """Return the company's authorities that the settings name. Raises DiagnosticError: the file is not there, or no PEM."""
    path = configuration.settings.gateways.authorities
    if path is None:
        return []
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        message = f"the company's certificate authorities cannot be read: {error}"
        fix = "name a file with one or more certificates in PEM under [gateways] authorities"
        raise DiagnosticError(Diagnostic("file-unusable", message, str(path), fix=fix)) from None


class Listener:
    """What the listener's TLS context holds, and from what it was made."""

    def __init__(self, context: ssl.SSLContext, authority: Authority, company: list[x509.Certificate]):
        self._context = context
        self._authority = authority
        self._company = company
        self._made_from: tuple[object, ...] = ()

    def refresh(self) -> bool:
        """Take up a certificate, a key or an authority that is new; return whether there was one. What cannot be read stays as it was."""
        authorities = [*self._authority.known(), *self._company]
        paths = self._authority.paths
        made_from = (_stamp(paths.certificate), _stamp(paths.key), len(authorities))
        if made_from == self._made_from:
            return False
        # Of a pair that is being replaced by hand one may be older: the next look finds both.
        with contextlib.suppress(OSError, ssl.SSLError):
            ask_for_certificates(self._context, pem(authorities))
            self._context.load_cert_chain(paths.certificate, paths.key)
            self._made_from = made_from
            return True
        return False


def _stamp(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_ino
    return None
