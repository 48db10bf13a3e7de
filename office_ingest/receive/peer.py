"""uvicorn's HTTP/1.1 protocol, which also tells the application who showed a certificate.

uvicorn does not fill in the TLS extension of ASGI; this does, as far as we need it: the leaf's DER, which TLS verified.
Source: ASGI TLS extension 0.2; uvicorn.protocols.http.httptools_impl.
"""

import ssl
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Of OpenSSL, not named by Python: who shows an expired certificate is let in, and told so by the application.
_NO_CHECK_TIME = 0x200000
EXTENSION = "tls"
_CERTIFICATE = "outstation.client_certificate"


class PeerProtocol(HttpToolsProtocol):
    """One connection; its peer's certificate is read once and told with each request."""

    _peer: bytes | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self._peer = tls.getpeercert(binary_form=True) if tls is not None else None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {_CERTIFICATE: self._peer}}


def certificate_of(scope: Mapping[str, Any]) -> bytes | None:
    """Return the verified certificate (DER) of the connection that a request came on, or None."""
    return scope.get("extensions", {}).get(EXTENSION, {}).get(_CERTIFICATE)


def ask_for_certificates(context: ssl.SSLContext, authorities: str) -> None:
    """Let a listener ask for certificates and take those of the authorities (PEM); who shows none is let in as well.

    It may be called again with more authorities: new connections see them.
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    # A resumed session would skip the handshake in which a certificate is shown.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if authorities:
        context.load_verify_locations(cadata=authorities)
