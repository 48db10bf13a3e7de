"""Who calls: told by the verified certificate of the connection, or, for gateways of before, by a bearer token.

TLS has checked that the certificate is from an authority that this office knows and that the caller has its key. All else is checked
here, for every request anew, so that what changes meanwhile counts at once on connections that stay open, and who is refused is told why.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from cryptography import x509

from office_ingest.certificates import common_name
from office_ingest.govern.authority import Authority
from office_ingest.govern.enrolment import Refused, certificate_row
from office_ingest.receive.registry import Registry
from office_ingest.storage.authority import COMPANY, GONE, AuthorityStore, CertificateRow

# After a gateway's newer certificate was used, the one before it ends: requests on their way are still answered.
OVERLAP_MS = 3_600_000


class Caller(NamedTuple):
    """One gateway, as it was recognised. until_ms: end of its certificate, None: it showed a token; mark: of the authorities to trust."""

    gateway: str
    until_ms: int | None = None
    mark: str = ""


class Recogniser:
    """Tells the gateway of a request. company: certificates of the company's authorities; tokens: whether bearer tokens are taken."""

    def __init__(
        self,
        store: AuthorityStore,
        authority: Authority,
        registry: Registry,
        *,
        wall_ms: Callable[[], int],
        company: list[x509.Certificate],
        tokens: bool,
    ):
        self._store = store
        self._authority = authority
        self._registry = registry
        self._wall_ms = wall_ms
        self._company = company
        self._tokens = tokens
        self._trusts: dict[str, str] = {}

    def caller(self, certificate: bytes | None, token: str | None, trusts: str | None = None) -> Caller:
        """Return who calls. certificate: DER, verified by TLS; trusts: the authorities that the gateway says it trusts.

        Raises Refused, with the reason for the caller.
        """
        named = self._registry.gateway_of(token) if token else None
        if certificate is None:
            return self._by_token(named)
        row = self._by_certificate(certificate)
        if token and named != row.gateway:
            raise Refused("two-identities", f"the certificate is of gateway {row.gateway}, the token is not")
        if trusts is not None and self._trusts.get(row.gateway) != trusts:
            self._store.put_trusts(row.gateway, trusts)
            self._trusts[row.gateway] = trusts
        return Caller(row.gateway, row.until_ms, self._authority.mark())

    def _by_token(self, named: str | None) -> Caller:
        if named is None:
            detail = "show a certificate of this office, or send Authorization: Bearer with the token from provisioning"
            raise Refused("token-unknown", detail, 401)
        self._refuse_revoked(named)
        if not self._tokens:
            detail = "tokens are not taken any more: outstation office gateway invite, then outstation gateway enrol"
            raise Refused("certificate-needed", detail, 401)
        return Caller(named)

    def _by_certificate(self, raw: bytes) -> CertificateRow:
        row = self._store.certificate(hashlib.sha256(raw).digest()) or self._register(raw)
        self._refuse_revoked(row.gateway)
        now_ms = self._wall_ms()
        # Or authority.db was put back from a copy of before.
        row = row._replace(until_ms=self._registry.ended_ms(row.fingerprint, default=row.until_ms))
        if now_ms < row.not_before_ms:
            raise Refused("certificate-not-yet-valid", "the certificate is not valid yet: a clock is wrong")
        if now_ms >= row.until_ms:
            raise self._over(row, now_ms)
        if row.authority is not None and self._is_gone(row.authority, now_ms):
            raise Refused(
                "certificate-authority-retired",
                "the authority of this certificate is trusted no more: enrol again",
            )
        if row.first_used_ms is None:
            row = self._first_use(row, now_ms)
        return row

    def _refuse_revoked(self, gateway: str) -> None:
        known = self._store.gateway(gateway)
        is_revoked = known is not None and known.revoked_ms is not None
        # Or authority.db was put back from a copy of before.
        if is_revoked or gateway in self._registry.revoked_gateways():
            raise Refused("gateway-revoked", f"gateway {gateway} was revoked")

    def _over(self, row: CertificateRow, now_ms: int) -> Refused:
        ends_ms = int(x509.load_der_x509_certificate(row.raw).not_valid_after_utc.timestamp()) * 1000
        if now_ms >= ends_ms:
            return Refused("certificate-expired", "the certificate has expired: enrol the gateway again")
        return Refused("certificate-superseded", f"a newer certificate of gateway {row.gateway} is in use")

    def _is_gone(self, number: int, now_ms: int) -> bool:
        found = next(row for row in self._authority.rows() if row.number == number)
        digest = hashlib.sha256(found.certificate).digest()
        return found.state == GONE or self._registry.ended_ms(digest, default=now_ms + 1) <= now_ms

    def _first_use(self, row: CertificateRow, now_ms: int) -> CertificateRow:
        used = row._replace(first_used_ms=now_ms)
        ended = [
            older._replace(
                until_ms=min(
                    self._registry.ended_ms(older.fingerprint, default=older.until_ms), now_ms + OVERLAP_MS
                )
            )
            for older in self._store.certificates(row.gateway)
            if older.issued_ms <= row.issued_ms and older.fingerprint != row.fingerprint
        ]
        self._registry.note_ended((one.fingerprint, one.gateway, one.until_ms) for one in ended)
        with self._store.writing():
            for one in (used, *ended):
                self._store.put_certificate(one)
        # Who can show a certificate never falls back to what can be copied.
        self._registry.end_token(row.gateway)
        return used

    def _register(self, raw: bytes) -> CertificateRow:
        """Take up a certificate of the company's that is seen for the first time. Raises Refused."""
        certificate = x509.load_der_x509_certificate(raw)
        if self._authority.issuer_of(certificate) is not None:
            raise Refused(
                "certificate-unknown", "this office has no record of having issued this certificate"
            )
        if not self._company:
            raise Refused(
                "certificate-other-authority",
                "the certificate is of an authority that this office does not trust",
            )
        name = common_name(certificate)
        known = self._store.gateway(name) if name is not None else None
        if known is None or known.way != COMPANY:
            detail = "the company's certificate names no gateway that is expected to show one"
            raise Refused("certificate-other-gateway", detail)
        row = certificate_row(certificate, known.name, None, self._wall_ms())
        with self._store.writing():
            self._store.put_certificate(row)
        return row
