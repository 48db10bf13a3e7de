"""How a gateway gets its certificate, gets the next one, and loses the right to any: invite, enrol, renew, revoke.

A code is used once. Its use is bound to the key that used it: the same key may ask again, because the answer may have been lost on its
way, and gets the same certificate; another key gets nothing.
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import NamedTuple

from cryptography import x509

from office_ingest.certificates import (
    RequestRefused,
    der,
    issue_gateway,
    milliseconds,
    pem,
    public_bytes,
    read_request,
)
from office_ingest.govern.authority import Authority
from office_ingest.receive.registry import Registry
from office_ingest.storage.authority import (
    COMPANY,
    OFFICE,
    AuthorityStore,
    CertificateRow,
    GatewayRow,
)
from protocol.diagnostic import Diagnostic, DiagnosticError
from protocol.enrolment import SECRET_BYTES, Code, code_hash, pin_of

NAME_CHARACTERS_MAX = 64


class Refused(Exception):
    """The office does not do what was asked of it. kind: the last word of the problem's type; status: of HTTP."""

    def __init__(self, kind: str, detail: str, status: int = 403):
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status


class Issued(NamedTuple):
    """What a gateway is answered: its name and site, its certificate and the authorities to trust, both in PEM."""

    gateway: str
    site: str
    certificate: str
    authorities: str


class Enrolment:
    """wall_ms: the office's clock. days: how long a gateway's certificate lasts."""

    def __init__(
        self,
        store: AuthorityStore,
        authority: Authority,
        registry: Registry,
        *,
        wall_ms: Callable[[], int],
        days: float,
    ):
        self._store = store
        self._authority = authority
        self._registry = registry
        self._wall_ms = wall_ms
        self._days = days

    # by a person

    def sites(self) -> set[str]:
        """Return the sites that somebody made, or that something is of."""
        return self._registry.sites() | {name for name, *_ in self._store.sites()}

    def invite(self, gateway: str, site: str, author: str, minutes: float) -> Code:
        """Return a code, shown once, with which one machine may become this gateway. Earlier codes for it end.

        Raises DiagnosticError: the name cannot be used, was revoked, or is a gateway's of another site or another way.
        """
        self._check(gateway, site, OFFICE)
        code = Code(secrets.token_bytes(SECRET_BYTES), pin_of(der(self._authority.server_authority())))
        self._authority.issuer()
        now_ms = self._wall_ms()
        with self._store.writing():
            until_ms = now_ms + int(minutes * 60_000)
            self._store.add_invitation(code_hash(code.secret), gateway, author, now_ms, until_ms)
            self._put(gateway, site, OFFICE, author)
        return code

    def expect(self, gateway: str, site: str, author: str) -> None:
        """Let the company's authority name this gateway: whoever shows its certificate with this common name is the gateway."""
        self._check(gateway, site, COMPANY)
        with self._store.writing():
            self._put(gateway, site, COMPANY, author)
        self._registry.add_certified_gateway(gateway, site=site, now_ms=self._wall_ms())

    def revoke(self, gateway: str, author: str, reason: str) -> list[bytes]:
        """Refuse a gateway from its next request on, for good; return the devices whose link secret is marked for replacement.

        What it brought before stays. Raises DiagnosticError: there is no gateway of this name.
        """
        site = self._registry.site_of_gateway(gateway)
        known = self._store.gateway(gateway)
        if site is None and known is None:
            fix = "outstation office gateway list shows them"
            raise DiagnosticError(Diagnostic("office-no-gateway", f"there is no gateway {gateway}", fix=fix))
        site = site or (known.site if known else "")
        devices = self._registry.devices_of_site(site)
        now_ms = self._wall_ms()
        since = known.revoked_ms if known is not None and known.revoked_ms is not None else now_ms
        way = known.way if known else OFFICE
        with self._store.writing():
            self._store.end_invitations(gateway, now_ms)
            self._store.put_gateway(GatewayRow(gateway, site, way, since, reason, author, ""))
            for device in devices:
                self._store.put_link_secret(device, gateway, now_ms)
        self._registry.end_token(gateway)
        self._registry.note_revoked(gateway, now_ms)
        return devices

    def _check(self, gateway: str, site: str, way: str) -> None:
        found = [
            Diagnostic(
                "provision-name",
                f"the {what} cannot be called {name!r}",
                fix="take 1 to 64 characters that can be printed",
            )
            for what, name in (("gateway", gateway), ("site", site))
            if not (0 < len(name) <= NAME_CHARACTERS_MAX and name.isprintable() and name.strip() == name)
        ]
        known = self._store.gateway(gateway)
        if known is not None and known.revoked_ms is not None:
            fix = "a new machine gets a new name"
            found.append(Diagnostic("office-gateway-revoked", f"gateway {gateway} was revoked", fix=fix))
        elif known is not None and known.way != way:
            message = f"the certificate of gateway {gateway} comes from {'the company' if way == OFFICE else 'this office'}"
            found.append(Diagnostic("office-gateway-way", message, fix="give the new one another name"))
        before = self._registry.site_of_gateway(gateway) or (known.site if known else site)
        if before != site:
            message = f"gateway {gateway} is of site {before!r}, not {site!r}"
            found.append(
                Diagnostic("provision-name-taken", message, fix="name its site, or choose another name")
            )
        if site not in self.sites():
            message = f"the office knows no site {site!r}"
            fix = "outstation site create makes it"
            found.append(Diagnostic("office-no-site", message, fix=fix))
        if found:
            raise DiagnosticError(found)

    def _put(self, gateway: str, site: str, way: str, author: str) -> None:
        known = self._store.gateway(gateway)
        self._store.put_gateway(
            GatewayRow(gateway, site, way, None, "", author, known.trusts if known else "")
        )

    # by a gateway

    def enrol(self, secret: bytes, request: bytes) -> Issued:
        """Return the certificate for the key of a request, once for each code. Raises Refused."""
        hashed = code_hash(secret)
        invitation = self._store.invitation(hashed)
        if invitation is None:
            raise Refused("code-unknown", "this office gave out no such code")
        public = self._public(request)
        if invitation.used_ms is not None:
            return self._again(invitation.public, invitation.fingerprint, public)
        now_ms = self._wall_ms()
        if now_ms >= invitation.until_ms:
            raise Refused(
                "code-expired", "the code is over: ask for a new one, outstation office gateway invite"
            )
        gateway = self._standing(invitation.gateway)
        if not self._registry.use_code(hashed, public, gateway.name, now_ms):
            # Or authority.db was put back from a copy of before. Noted first: a cut from here on leaves the code to this key alone.
            raise _code_used()
        self._registry.add_certified_gateway(gateway.name, site=gateway.site, now_ms=now_ms)
        # Whoever had the name before has it no more: the code was given for a new key.
        ended = [
            older._replace(
                until_ms=min(self._registry.ended_ms(older.fingerprint, default=older.until_ms), now_ms)
            )
            for older in self._store.certificates(gateway.name)
        ]
        with self._store.writing():
            row = self._issue(gateway.name, request, now_ms)
            if not self._store.use_invitation(hashed, public, row.fingerprint, now_ms):
                raise Refused("code-used", "another machine used this code a moment ago")
            for older in ended:
                self._store.put_certificate(older)
        self._registry.note_ended((one.fingerprint, one.gateway, one.until_ms) for one in ended)
        return self._answer(row)

    def _again(self, by: bytes | None, fingerprint: bytes | None, public: bytes) -> Issued:
        row = self._store.certificate(fingerprint) if fingerprint is not None else None
        if row is None or by != public:
            raise _code_used()
        self._standing(row.gateway)
        return self._answer(row)

    def renew(self, gateway: str, request: bytes) -> Issued:
        """Return a certificate for the gateway's next key; the one that it has stays good beside it. Raises Refused."""
        known = self._standing(gateway)
        if known.way == COMPANY:
            raise Refused(
                "not-our-certificate", "the company's authority issues the certificates of this gateway", 409
            )
        public = self._public(request)
        for row in self._store.certificates(gateway):
            if row.public == public:
                return self._answer(row)
        with self._store.writing():
            row = self._issue(gateway, request, self._wall_ms())
        return self._answer(row)

    def _standing(self, gateway: str) -> GatewayRow:
        known = self._store.gateway(gateway)
        was_revoked = gateway in self._registry.revoked_gateways()
        if known is None or known.revoked_ms is not None or was_revoked:
            raise Refused("gateway-revoked", f"gateway {gateway} was revoked")
        return known

    def _public(self, request: bytes) -> bytes:
        try:
            return public_bytes(read_request(request))
        except RequestRefused as error:
            raise Refused("request-malformed", str(error), 400) from None

    def _issue(self, gateway: str, request: bytes, now_ms: int) -> CertificateRow:
        number, issuer = self._authority.issuer()
        public = read_request(request)
        certificate = issue_gateway(issuer, public, gateway, now_ms, self._days)
        row = certificate_row(certificate, gateway, number, now_ms)
        self._store.put_certificate(row)
        return row

    def _answer(self, row: CertificateRow) -> Issued:
        known = self._standing(row.gateway)
        certificate = pem([x509.load_der_x509_certificate(row.raw)])
        return Issued(known.name, known.site, certificate, pem(self._authority.trusted()))


def _code_used() -> Refused:
    detail = "the code was used already: if it was not by you, revoke the gateway, and ask for a new code"
    return Refused("code-used", detail)


def certificate_row(
    certificate: x509.Certificate, gateway: str, authority: int | None, now_ms: int
) -> CertificateRow:
    """Return what is kept of a gateway's certificate that was not used yet."""
    raw = der(certificate)
    return CertificateRow(
        hashlib.sha256(raw).digest(),
        gateway,
        raw,
        public_bytes(certificate.public_key()),  # type: ignore[arg-type]
        authority,
        milliseconds(certificate.not_valid_before_utc),
        milliseconds(certificate.not_valid_after_utc),
        now_ms,
        None,
    )
