"""Who this gateway is: its private key and certificate in one file, which is replaced whole or not at all.

    identity.pem        the private key, then the certificate; mode 0600. What the uplink shows the office
    identity.pem.next   the key that comes next, later with its certificate: made, asked for, tried, and then moved over identity.pem
    office-ca.pem       the office's authorities, the one that issues first

A power cut between any two steps leaves a gateway that can go on: the old identity stays until the new one was accepted.
"""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol.diagnostic import Diagnostic, DiagnosticError
from protocol.enrolment import authorities_mark

_PEM = serialization.Encoding.PEM
_DER = serialization.Encoding.DER


class IdentityWrong(Exception):
    """A certificate is not for this gateway's key, or not from who it should be. Who must act: who issued it."""


class Identity(NamedTuple):
    """A private key with its certificate; more: what links it to an authority, as the issuer gave it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    more: tuple[x509.Certificate, ...] = ()

    @property
    def name(self) -> str:
        """Return the gateway that the certificate names."""
        found = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(found[0].value) if len(found) == 1 else ""

    @property
    def life_ms(self) -> tuple[int, int]:
        """Return from when until when it is valid, in milliseconds since 1970."""
        certificate = self.certificate
        moments = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        return int(moments[0].timestamp()) * 1000, int(moments[1].timestamp()) * 1000

    def pem(self) -> bytes:
        """Return what identity.pem holds."""
        chain = (self.certificate, *self.more)
        return key_pem(self.key) + b"".join(one.public_bytes(_PEM) for one in chain)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key. It never leaves this machine."""
    return ec.generate_private_key(ec.SECP256R1())


def request_pem(key: ec.EllipticCurvePrivateKey, name: str = "") -> bytes:
    """Return a certificate request. name: of the gateway, for an authority that takes it from there; ours gives the name itself."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
    built = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    return built.sign(key, hashes.SHA256()).public_bytes(_PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key in PEM, for a file of mode 0600."""
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def read_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    """Return the private key in a file, or None where there is no whole one."""
    with contextlib.suppress(OSError, ValueError, TypeError, UnsupportedAlgorithm):
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        return key if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return None


def read_identity(path: Path) -> Identity | None:
    """Return the identity in a file, or None where it does not hold both parts, and of each other."""
    key = read_key(path)
    with contextlib.suppress(OSError, ValueError):
        chain = x509.load_pem_x509_certificates(path.read_bytes())
        if key is not None and _public(key.public_key()) == _public(chain[0].public_key()):
            return Identity(key, chain[0], tuple(chain[1:]))
    return None


def require_identity(path: Path, name: str) -> Identity:
    """Return the identity of the gateway that the settings name. Raises DiagnosticError: damaged, or somebody else's."""
    fix = "enrol the gateway again: outstation office gateway invite, then outstation gateway enrol"
    found = read_identity(path)
    if found is None:
        message = "it does not hold a private key and the certificate of that key"
        raise DiagnosticError(Diagnostic("gateway-identity", message, str(path), fix=fix))
    if found.name != name:
        message = f"the certificate is of gateway {found.name!r}, and these settings are of {name!r}"
        raise DiagnosticError(Diagnostic("gateway-identity", message, str(path), fix=fix))
    return found


def take_certificate(key: ec.EllipticCurvePrivateKey, pem: bytes, trusted: bytes, name: str) -> Identity:
    """Return the identity that an issuer's answer makes of a key. trusted: PEM of the authorities, none: not checked.

    Raises IdentityWrong: it is not for this key or name, or from an authority that is not trusted.
    """
    try:
        chain = x509.load_pem_x509_certificates(pem)
        authorities = x509.load_pem_x509_certificates(trusted) if trusted else []
    except ValueError as error:
        raise IdentityWrong(f"what came is no certificate in PEM: {error}") from None
    found = Identity(key, chain[0], tuple(chain[1:]))
    if _public(found.certificate.public_key()) != _public(key.public_key()):
        raise IdentityWrong("the certificate is for another key than this machine's")
    if found.name != name:
        raise IdentityWrong(f"the certificate names {found.name!r}, not {name!r}")
    if authorities and not any(_signed(found.certificate, one) for one in authorities):
        raise IdentityWrong("the certificate is not from an authority of this office")
    return found


def is_from_issuer(identity: Identity, authorities: bytes) -> bool:
    """Return whether the first of the office's authorities (PEM), the one that issues now, signed a certificate."""
    with contextlib.suppress(ValueError):
        return _signed(identity.certificate, x509.load_pem_x509_certificates(authorities)[0])
    return True


def mark_of(authorities: Path) -> str:
    """Return the mark of the authorities in a file: what the office compares with its own. Empty if they cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return mark_of_pem(authorities.read_bytes())
    return ""


def mark_of_pem(authorities: bytes) -> str:
    """Return the mark of authorities in PEM. Raises ValueError: they are something else."""
    return authorities_mark([one.public_bytes(_DER) for one in x509.load_pem_x509_certificates(authorities)])


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that is whole at every moment, also after a power cut. mode: from its first byte on."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        # A umask takes bits away: who else is to read a file that is not secret would not.
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    move_over(draft, path)


def move_over(draft: Path, path: Path) -> None:
    """Give a whole file its name, durably."""
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def next_of(path: Path) -> Path:
    """Return where the identity that comes after the one at path is made."""
    return path.with_name(f"{path.name}.next")


def _public(key: object) -> bytes:
    return key.public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
