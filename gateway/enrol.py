"""Makes this machine a gateway: a key of its own, a certificate for it, and a folder with settings.

By a code of the office: the code names the office's authority, so the office is verified before the code's secret is sent. Or by the
company's authority: a request goes out, a certificate comes back. The private key is made here, has mode 0600, and never leaves.

Source: SPEC.md section 14.
"""

import asyncio
import json
import ssl
from pathlib import Path
from typing import NamedTuple

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.identity import (
    IdentityWrong,
    key_pem,
    move_over,
    new_key,
    next_of,
    read_key,
    replace_file,
    request_pem,
    take_certificate,
)
from protocol.diagnostic import NOT_ALLOWED, TRY_AGAIN, UNREACHABLE, Diagnostic, DiagnosticError, printable
from protocol.enrolment import AUTHORITIES_PATH, ENROLMENTS_PATH, Code, pin_of

_TIMEOUT_S = 15.0
_ANSWER_BYTES_MAX = 65_536
_DETAIL_CHARACTERS_MAX = 300


class Place(NamedTuple):
    """Where a gateway is made. folder: its files; office: https address; host, port: where devices reach it."""

    folder: Path
    office: str
    host: str = "127.0.0.1"
    port: int = 5683

    @property
    def settings(self) -> Path:
        """Return the path of gateway.toml."""
        return self.folder / "gateway.toml"

    @property
    def identity(self) -> Path:
        """Return the path of identity.pem."""
        return self.folder / "identity.pem"


def enrol(place: Place, code: Code) -> str:
    """Become the gateway that a code was made for; return its name. Asking again after a cut is safe, with the same code.

    Raises DiagnosticError: the office is another one than the code's, cannot be reached, or refuses.
    """
    return asyncio.run(_enrol(place, code))


async def _enrol(place: Place, code: Code) -> str:
    authority = await _pinned_authority(place.office, code.pin)
    context = ssl.create_default_context(cadata=authority)
    key = _prepare_key(place)
    body = {"secret": code.secret.hex(), "request": request_pem(key).decode()}
    answer = await _call(place.office, context, "POST", ENROLMENTS_PATH, body)
    try:
        gateway, site, certificate, authorities = (
            str(answer[name]) for name in ("gateway", "site", "certificate", "authorities")
        )
        found = take_certificate(key, certificate.encode(), authorities.encode(), gateway)
    except (KeyError, ValueError, IdentityWrong) as error:
        raise _refused(f"the office's answer cannot be used: {error}") from None
    _check_settings(place, gateway)
    replace_file(place.folder / "office-ca.pem", authorities.encode(), 0o644)
    write_settings(place, gateway, site)
    replace_file(next_of(place.identity), found.pem())
    move_over(next_of(place.identity), place.identity)
    return gateway


async def _pinned_authority(office: str, pin: bytes) -> str:
    """Return the authority that the code names, in PEM. Until it is found the office is believed nothing, and told nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    answer = await _call(office, context, "GET", AUTHORITIES_PATH)
    try:
        offered = x509.load_pem_x509_certificates(str(answer.get("authorities")).encode())
    except ValueError:
        offered = []
    for one in offered:
        if is_pinned(one.public_bytes(serialization.Encoding.DER), pin):
            return one.public_bytes(serialization.Encoding.PEM).decode()
    message = "this is not the office that made the code: it does not show the authority that the code names"
    fix = "check the address; if it is right, somebody stands between: tell who runs the office. The code was not sent"
    raise DiagnosticError(Diagnostic("gateway-other-office", message, office, fix=fix), NOT_ALLOWED)


def is_pinned(authority: bytes, pin: bytes) -> bool:
    """Return whether an authority (DER) is the one of a code."""
    return pin_of(authority) == pin


def _prepare_key(place: Place):  # type: ignore[no-untyped-def] # the type is cryptography's, see identity.new_key
    if place.identity.exists():
        fix = "it renews its certificate by itself; to make it anew move this file away"
        raise DiagnosticError(
            Diagnostic("provision-exists", "this gateway is enrolled already", str(place.identity), fix=fix)
        )
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    following = next_of(place.identity)
    key = read_key(following)
    if key is None:
        key = new_key()
        replace_file(following, key_pem(key))
    return key


def request_certificate(place: Place, name: str, site: str, out: Path) -> None:
    """Make the key, the folder and a request for the company's authority. Raises DiagnosticError."""
    key = _prepare_key(place)
    _check_settings(place, name)
    write_settings(place, name, site)
    out.write_bytes(request_pem(key, name))


def take_companys(folder: Path, certificate: Path, office_ca: Path | None) -> str:
    """Take up the certificate that the company's authority made of that request; return the gateway's name.

    office_ca: PEM of the authority of the office's server. Raises DiagnosticError: it is for another key or name.
    """
    from gateway.config import read_gateway

    settings, files = read_gateway(folder / "gateway.toml")
    following = next_of(files.identity)
    key = read_key(following)
    if key is None:
        fix = "begin with outstation gateway enrol --csr-out"
        raise DiagnosticError(
            Diagnostic("gateway-identity", "there is no key that waits", str(following), fix=fix)
        )
    try:
        found = take_certificate(key, certificate.read_bytes(), b"", settings.gateway.name)
        if office_ca is not None:
            x509.load_pem_x509_certificates(office_ca.read_bytes())
    except (IdentityWrong, ValueError) as error:
        raise DiagnosticError(Diagnostic("gateway-identity", str(error), str(certificate))) from None
    if office_ca is not None:
        replace_file(files.ca, office_ca.read_bytes(), 0o644)
    replace_file(following, found.pem())
    move_over(following, files.identity)
    return settings.gateway.name


def _check_settings(place: Place, gateway: str) -> None:
    """Return unless the folder is another gateway's."""
    if not place.settings.exists():
        return
    from gateway.config import read_gateway

    name = read_gateway(place.settings)[0].gateway.name
    if name != gateway:
        message = f"this is the folder of gateway {name!r}, and the code is for {gateway!r}"
        raise DiagnosticError(
            Diagnostic("provision-exists", message, str(place.settings), fix="choose another folder")
        )


def write_settings(place: Place, gateway: str, site: str) -> None:
    """Write gateway.toml and an empty links.toml where there are none."""
    links = place.folder / "links.toml"
    if not links.exists():
        words = b"# Link secrets of this site's devices; written by `outstation provision device`.\n"
        replace_file(links, words)
    if not place.settings.exists():
        text = settings_text(place, gateway, site)
        replace_file(place.settings, text.encode(), 0o644)


def settings_text(place: Place, gateway: str, site: str) -> str:
    """Return a gateway.toml. JSON strings are TOML strings."""
    quoted = [json.dumps(text, ensure_ascii=False) for text in (site, gateway, place.host, place.office)]
    return (
        "# A gateway of Outstation. Every key: docs/operating/gateway.md\n"
        f"[gateway]\nsite = {quoted[0]}\nname = {quoted[1]}\n\n"
        f"[listen]\nhost = {quoted[2]}\nport = {place.port}\n\n"
        f"[uplink]\nurl = {quoted[3]}\n"
    )


async def _call(
    office: str, context: ssl.SSLContext, method: str, path: str, body: dict[str, str] | None = None
) -> dict[str, object]:
    url, raw = office.rstrip("/") + path, bytearray()
    try:
        async with (
            httpx.AsyncClient(verify=context, timeout=_TIMEOUT_S, trust_env=False) as client,
            client.stream(method, url, json=body) as response,
        ):
            async for piece in response.aiter_bytes():
                raw += piece
                if len(raw) > _ANSWER_BYTES_MAX:
                    raise _refused("the office's answer is too long to be one")
    except (httpx.HTTPError, ssl.SSLError) as error:
        message = f"the office cannot be reached: {error or type(error).__name__}"
        fix = "check the address, and that the office runs; then try again with the same code"
        raise DiagnosticError(
            Diagnostic("gateway-unreachable", message, office, fix=fix), UNREACHABLE
        ) from None
    try:
        answer = json.loads(bytes(raw))
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _refused(f"the office answered {response.status_code} with something else than JSON")
    if response.is_success:
        return answer
    detail = printable(str(answer.get("detail", ""))[:_DETAIL_CHARACTERS_MAX])
    is_busy = response.status_code in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
    raise _refused(f"the office refuses: {detail}", TRY_AGAIN if is_busy else NOT_ALLOWED)


def _refused(message: str, exit_code: int = NOT_ALLOWED) -> DiagnosticError:
    fix = "outstation office gateway invite makes a new code"
    return DiagnosticError(Diagnostic("gateway-not-enrolled", message, fix=fix), exit_code)
