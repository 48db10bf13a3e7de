"""X.509 of an office: its own certificate authority, its server's certificate, and its gateways'. No files, no clock.

All keys are ECDSA P-256. A gateway makes its own key; what comes from it is a request, of which only the public key is taken.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
# For clocks that go slow.
EARLIER = timedelta(days=1)
GATEWAY_URN = "urn:outstation:gateway:"
REQUEST_BYTES_MAX = 8192

_PEM = serialization.Encoding.PEM
_DER = serialization.Encoding.DER


class RequestRefused(ValueError):
    """What came is no certificate request that can be signed. Who must act: who made it."""


class Issuer(NamedTuple):
    """A certificate authority with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def key_bytes(self) -> bytes:
        """Return the private key, PKCS #8 in DER."""
        return private_bytes(self.key, _DER)


def make_authority(now_ms: int, number: int = 1) -> Issuer:
    """Return a new authority, valid for ten years. number: which of this office's it is, for people."""
    key = ec.generate_private_key(ec.SECP256R1())
    words = "Outstation office authority" + (f" {number}" if number > 1 else "")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])
    builder = _builder(name, name, key.public_key(), key.public_key(), now_ms, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign=True), critical=True)
    return Issuer(builder.sign(key, hashes.SHA256()), key)


def issue_server(
    issuer: Issuer, public: ec.EllipticCurvePublicKey, hosts: Sequence[str], now_ms: int
) -> x509.Certificate:
    """Return a certificate of the office's listener. hosts: its names and addresses, the first one its common name."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    names: list[x509.GeneralName] = [_host(host) for host in hosts]
    purpose = ExtendedKeyUsageOID.SERVER_AUTH
    return _issue(issuer, subject, public, names, purpose, now_ms, SERVER_DAYS)


def issue_gateway(
    issuer: Issuer, public: ec.EllipticCurvePublicKey, gateway: str, now_ms: int, days: float
) -> x509.Certificate:
    """Return a certificate that makes the holder of a key this gateway for the office."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(GATEWAY_URN + quote(gateway, safe=""))]
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH
    return _issue(issuer, subject, public, names, purpose, now_ms, days)


def read_request(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Return the public key of a certificate request, whose own signature holds. Raises RequestRefused."""
    if len(pem) > REQUEST_BYTES_MAX:
        raise RequestRefused(f"a certificate request has at most {REQUEST_BYTES_MAX} bytes, not {len(pem)}")
    try:
        request = x509.load_pem_x509_csr(pem)
        public = request.public_key()
        is_signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RequestRefused(f"it is no certificate request in PEM: {error}") from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(
        public.curve, (ec.SECP256R1, ec.SECP384R1)
    ):
        raise RequestRefused("the key must be on the curve P-256 or P-384")
    if not is_signed:
        raise RequestRefused("its signature does not hold: the key is not the sender's")
    return public


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether an authority signed a certificate."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses that a server's certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in names if isinstance(name, (x509.DNSName, x509.IPAddress))]


def common_name(certificate: x509.Certificate) -> str | None:
    """Return the one common name of a certificate's subject; None if it has none, or several."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else None


def public_bytes(public: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as SubjectPublicKeyInfo (DER)."""
    return public.public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def private_bytes(key: ec.EllipticCurvePrivateKey, encoding: serialization.Encoding = _PEM) -> bytes:
    """Return a private key as PKCS #8, not encrypted: its file has mode 0600."""
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def load_private(raw: bytes) -> ec.EllipticCurvePrivateKey:
    """Return a private key of ours from PKCS #8 in DER or PEM."""
    load = serialization.load_pem_private_key if raw.startswith(b"-") else serialization.load_der_private_key
    key = load(raw, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate in DER."""
    return certificate.public_bytes(_DER)


def pem(certificates: Sequence[x509.Certificate]) -> str:
    """Return certificates in PEM, one after the other."""
    return b"".join(one.public_bytes(_PEM) for one in certificates).decode()


def milliseconds(moment: datetime) -> int:
    """Return a certificate's moment as milliseconds since 1970."""
    return int(moment.timestamp()) * 1000


def _issue(
    issuer: Issuer,
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    names: list[x509.GeneralName],
    purpose: x509.ObjectIdentifier,
    now_ms: int,
    days: float,
) -> x509.Certificate:
    authority = issuer.certificate
    builder = _builder(subject, authority.subject, public, issuer.key.public_key(), now_ms, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(sign=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer_public: ec.EllipticCurvePublicKey,
    now_ms: int,
    days: float,
) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_public), critical=False)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
