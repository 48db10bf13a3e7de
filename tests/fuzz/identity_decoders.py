"""Decoders of what gives people, gateways and devices their identity: codes, labels, lists, keys, certificates, requests."""

import datetime as dt
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.identity import read_identity
from office_ingest.certificates import RequestRefused, read_request
from office_ingest.govern.authority import read_bundle
from office_ingest.govern.image_cli import read_description
from protocol.diagnostic import DiagnosticError
from protocol.enrolment import Code, CodeWrong, parse_code
from tests.fuzz.file_decoders import edit_text, write_beside
from tests.fuzz.frames import Entry
from tools.batch import read_rows
from tools.labels import LabelWrong, label_text, parse_label
from tools.provision import DevicePlan

_PEM = serialization.Encoding.PEM
_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gw-1")])
_SCALAR = 0x1234567


@cache
def _key():
    return ec.derive_private_key(_SCALAR, ec.SECP256R1())


@cache
def key_pem() -> bytes:
    """Return a private key that is the same each time."""
    return _key().private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@cache
def certificate_pem() -> bytes:
    """Return a certificate of that key, by itself."""
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(_NAME).issuer_name(_NAME).public_key(_key().public_key())
    builder = builder.serial_number(7).not_valid_before(start)
    builder = builder.not_valid_after(start + dt.timedelta(days=90))
    return builder.sign(_key(), hashes.SHA256(), ecdsa_deterministic=True).public_bytes(_PEM)


@cache
def request_pem() -> bytes:
    """Return a certificate request of that key."""
    request = x509.CertificateSigningRequestBuilder().subject_name(_NAME)
    return request.sign(_key(), hashes.SHA256(), ecdsa_deterministic=True).public_bytes(_PEM)


def _text(parse):
    return lambda raw: parse(raw.decode("utf-8", "replace"))


_CSV = b"name,site,port\npump-1,north,5683\npump-2,north,\n"
_IMAGE = b'{"board": "mps2_an385", "development": false, "sha256": "%s"}' % (b"5a" * 32)

IDENTITY_ENTRIES = [
    Entry(
        "enrolment_code",
        _text(parse_code),
        [Code(bytes(range(16)), bytes(16)).text().encode()],
        ("protocol.enrolment.parse_code",),
        60,
        (CodeWrong,),
        edit_text,
    ),
    Entry(
        "label",
        _text(parse_label),
        [label_text(bytes(range(8))).encode()],
        ("tools.labels.parse_label",),
        60,
        (LabelWrong,),
        edit_text,
    ),
    Entry(
        "device_list",
        lambda raw: read_rows(write_beside(raw, "batch", "devices.csv"), DevicePlan("d", "s")),
        [_CSV],
        ("tools.batch.read_rows",),
        20,
        (DiagnosticError,),
        edit_text,
    ),
    Entry(
        "gateway_identity",
        lambda raw: read_identity(write_beside(raw, "identity", "identity.pem")),
        [key_pem() + certificate_pem()],
        ("gateway.identity.read_identity", "gateway.identity.read_key"),
        20,
        (),
    ),
    Entry(
        "certificate_request",
        read_request,
        [request_pem()],
        ("office_ingest.certificates.read_request",),
        20,
        (RequestRefused,),
    ),
    Entry(
        "certificate_bundle",
        lambda raw: read_bundle(write_beside(raw, "bundle", "ca.pem")),
        [certificate_pem(), certificate_pem() * 2],
        ("office_ingest.govern.authority.read_bundle",),
        20,
        (ValueError,),
    ),
    Entry(
        "image_description",
        lambda raw: read_description(write_beside(raw, "image", "image.json")),
        [_IMAGE],
        ("office_ingest.govern.image_cli.read_description",),
        20,
        (DiagnosticError,),
        edit_text,
    ),
]
