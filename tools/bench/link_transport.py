"""What carrying a payload costs, byte by byte: CoAP with OSCORE over UDP, MQTT with TLS 1.3 over TCP, acknowledgements included.

Made by real code and counted: every CoAP message and its OSCORE form (our codec), every TLS record (the TLS library, two ends
in memory), every MQTT packet. Computed, since no socket shows them: the headers of IPv4 (20), UDP (8) and TCP (20, no
options), one TCP segment for each 1,460 bytes, and one for each acknowledgement that finds no data to ride on. Setting up the
channel is not counted for anybody; `TlsPeer.setup` says what it takes.
"""

import datetime as dt
import ssl
from itertools import count
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocol.aes_host import Aes128
from protocol.blockwise import encode_block
from protocol.coap import (
    ACK,
    BLOCK1,
    CHANGED,
    CON,
    CONTENT_FORMAT,
    CONTINUE,
    POST,
    Message,
    encode,
    path_options,
    uint_value,
)
from protocol.oscore import OscoreContext, ReplayWindow

UDP_HEADERS = 28
TCP_HEADERS = 40
TCP_PAYLOAD_MAX = 1460
BLOCK_BYTES = 1024
SENML_CBOR_FORMAT = 112
_TOKEN_BYTES = 2
_PUBLISH, _PUBACK = 0x30, 0x40
_QOS_1 = 0x02


class Cost(NamedTuple):
    """Bytes of one delivery: payload, seal (end to end), channel (OSCORE or TLS), headers (all else, acknowledgements too)."""

    payload: int
    seal: int
    channel: int
    headers: int

    def total(self) -> int:
        """Return everything that crosses the link."""
        return sum(self)


class OscorePeer:
    """A CoAP client and server that share an OSCORE context, and nothing between them."""

    def __init__(self, kid: bytes):
        numbers = count()
        others = count()
        secret = bytes(16)
        self._client = OscoreContext(Aes128, secret, kid, b"", lambda: next(numbers))
        self._server = OscoreContext(Aes128, secret, b"", kid, lambda: next(others))
        self._window = ReplayWindow()
        self._message_ids = count(1)

    def deliver(self, path: str, payload: bytes) -> Cost:
        """Return what posting a payload costs, in blocks of 1,024 bytes where it is longer, each one acknowledged."""
        blocks = [payload[at : at + BLOCK_BYTES] for at in range(0, len(payload), BLOCK_BYTES)]
        plain = protected = 0
        for number, block in enumerate(blocks):
            is_last = number == len(blocks) - 1
            control = [(BLOCK1, encode_block(number, not is_last, BLOCK_BYTES))] if len(blocks) > 1 else []
            both = self._exchange(path, block, control, is_last)
            plain += both[0]
            protected += both[1]
        headers = plain - len(payload) + 2 * len(blocks) * UDP_HEADERS
        return Cost(len(payload), 0, protected - plain, headers)

    def _exchange(
        self, path: str, block: bytes, control: list[tuple[int, bytes]], is_last: bool
    ) -> tuple[int, int]:
        """Return the bytes of a request and its answer, plain and protected."""
        number = next(self._message_ids)
        token = number.to_bytes(_TOKEN_BYTES, "big")
        kind = [(CONTENT_FORMAT, uint_value(SENML_CBOR_FORMAT))]
        request = Message(CON, POST, number, token, path_options(path) + kind + control, block)
        answer = Message(ACK, CHANGED if is_last else CONTINUE, number, token, control, b"")
        sent, _ = self._client.protect_request(request)
        opened, exchange = self._server.unprotect_request(sent, self._window)
        assert opened.payload == block
        returned = self._server.protect_response(answer, exchange)
        return len(encode(request)) + len(encode(answer)), len(encode(sent)) + len(encode(returned))


class TlsPeer:
    """A TLS 1.3 client and server with a certificate, both in memory. setup: bytes of the handshake, both ways.

    folder: for the certificate and its key.
    """

    def __init__(self, folder: Path):
        certificate, key = self_signed(folder)
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.minimum_version = ssl.TLSVersion.TLSv1_3
        serving.load_cert_chain(certificate, key)
        asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        asking.load_verify_locations(certificate)
        self._up, self._down = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._client = asking.wrap_bio(self._down, self._up, server_hostname="bench")
        self._server = serving.wrap_bio(self._up, self._down, server_side=True)
        self.setup = self._shake_hands()

    def _shake_hands(self) -> int:
        total = 0
        is_done = [False, False]
        while not all(is_done):
            for end, side in enumerate((self._client, self._server)):
                if not is_done[end]:
                    try:
                        side.do_handshake()
                        is_done[end] = True
                    except ssl.SSLWantReadError:
                        pass  # the other end has the word
                total += self._up.pending if end == 0 else self._down.pending
        # The server's tickets wait for the client; they belong to the set-up.
        try:
            self._client.read(1)
        except ssl.SSLWantReadError:
            pass
        assert self._client.version() == "TLSv1.3"
        return total

    def up(self, packet: bytes) -> int:
        """Return the bytes of the records in which a client sends a packet."""
        return _carry(self._client, self._server, self._up, packet)

    def down(self, packet: bytes) -> int:
        """Return the bytes of the records in which a server sends a packet."""
        return _carry(self._server, self._client, self._down, packet)

    def deliver(self, topic: str, payload: bytes, *, has_puback: bool) -> Cost:
        """Return what publishing a payload costs. has_puback: at QoS 1, else at QoS 0.

        With it the broker's PUBACK carries TCP's acknowledgement, and the client acknowledges that one; without, TCP
        acknowledges alone.
        """
        packet = publish(topic, payload, packet_id=1 if has_puback else None)
        answer = bytes([_PUBACK, 2, 0, 1]) if has_puback else b""
        up = self.up(packet)
        down = self.down(answer) if answer else 0
        segments = -(-up // TCP_PAYLOAD_MAX) + (2 if has_puback else 1)
        plain = len(packet) + len(answer)
        return Cost(len(payload), 0, up + down - plain, plain - len(payload) + segments * TCP_HEADERS)


def publish(topic: str, payload: bytes, packet_id: int | None) -> bytes:
    """Return an MQTT 3.1.1 PUBLISH, at QoS 1 if it has a packet id. Source: MQTT 3.1.1 sections 2.2 and 3.3."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name
    if packet_id is not None:
        body += packet_id.to_bytes(2, "big")
    body += payload
    head = bytearray([_PUBLISH | (_QOS_1 if packet_id is not None else 0)])
    left = len(body)
    while left > 0x7F:
        head.append(left & 0x7F | 0x80)
        left >>= 7
    head.append(left)
    return bytes(head) + body


def _carry(sender: ssl.SSLObject, receiver: ssl.SSLObject, wire: ssl.MemoryBIO, packet: bytes) -> int:
    sender.write(packet)
    size = wire.pending
    arrived = b""
    while len(arrived) < len(packet):
        arrived += receiver.read(len(packet) - len(arrived))
    assert arrived == packet
    return size


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for the name "bench" and its key into a folder; return both paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    start = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start.replace(year=2100))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("bench")]), critical=False)
    certificate = folder / "bench.pem"
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = folder / "bench.key"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, private
