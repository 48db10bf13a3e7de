"""Parts of a site for the gateway's tests: a device with true keys, an office over HTTPS, a gateway in this process or its own."""

import asyncio
import datetime as dt
import hashlib
import ipaddress
import os
import random
import signal
import ssl
import subprocess
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import NameOID

from agent.coap_client import CoapClient
from agent.links.udp import UdpLink
from gateway.clock import SystemClock
from gateway.config import read_configuration
from gateway.points import KillPoint
from gateway.store import open_store
from protocol import coap
from protocol.aes_host import Aes128
from protocol.blockwise import decode_block, encode_block
from protocol.errors import ProtocolError
from protocol.keys import CLEAR, OFFICE, downlink_key, tag_key
from protocol.manifest import parse_release
from protocol.messages import (
    Heartbeat,
    Receipt,
    TimeToken,
    parse_answer,
    parse_heartbeat,
    seal_heartbeat,
    seal_receipt,
    seal_time_token,
)
from protocol.oscore import OscoreContext
from protocol.segment import Header, Tombstone, genesis, parse_segment, seal_segment, seal_tombstone
from protocol.uplink import UplinkAnswer, encode_uplink_answer, parse_request
from protocol.witness import PATH as WITNESS

ROOT = Path(__file__).resolve().parents[2]
DOWNLINK = b"d" * 32
RECEIPT_KEY = downlink_key(DOWNLINK, "receipt")
TIME_KEY = downlink_key(DOWNLINK, "time")
TOKEN = "test-token"


def ctr(key, iv, data):
    """AES-128-CTR by another library than the one under test."""
    return Cipher(algorithms.AES128(key), modes.CTR(iv)).encryptor().update(data)


def device_id(n=1):
    """Return the identity of the n-th device."""
    return bytes(7) + bytes([n])


def secret_of(n=1):
    """Return the link secret of the n-th device."""
    return hashlib.sha256(b"link %d" % n).digest()[:16]


def segment(number, *, lane=1, epoch=0, device=None, text=b"reading", previous=None, size=None):
    """Return the bytes of one sealed segment; text makes another digest for the same number."""
    device = device or device_id()
    header = Header(
        device,
        lane,
        epoch,
        number,
        number,
        1,
        previous or genesis(device, lane, epoch),
        number // 32,
        OFFICE,
        0,
    )
    plaintext = text.ljust(size, b".") if size else text
    return seal_segment(header, plaintext, tag_key(b"k" * 32), b"b" * 16, b"v" * 32, ctr)


def tombstone(number, first, last, *, lane=1, epoch=0, device=None):
    """Return the bytes of a sealed tombstone over first..last."""
    device = device or device_id()
    header = Header(device, lane, epoch, number, number, 1, bytes(32), number // 32, CLEAR, 0)
    body = Tombstone(first, last, bytes(32), bytes(32), last - first + 1, 0)
    return seal_tombstone(header, body, tag_key(b"k" * 32))


def heartbeat(*, boot=1, counter=1, epoch=0, critical=None, routine=None, device=None):
    """Return the bytes of a sealed heartbeat. critical, routine: (kept_from, number, digest) or None."""
    fields = Heartbeat(
        device or device_id(), 0, boot, counter, 1000, epoch, critical, routine, (1, bytes(32)), {}
    )
    return seal_heartbeat(fields, b"h" * 32)


def receipt(number, raw, *, lane=1, epoch=0, device=None):
    """Return the office's sealed receipt up to number, whose segment is raw."""
    digest = hashlib.sha256(raw).digest()
    return seal_receipt(
        Receipt(device or device_id(), lane, epoch, number, digest, number // 32), RECEIPT_KEY
    )


def time_token(*, boot=1, counter=1, device=None):
    """Return the office's sealed time token for a heartbeat."""
    return seal_time_token(TimeToken(device or device_id(), boot, counter, 1_700_000_000_000, 5), TIME_KEY)


def write_files(
    folder,
    *,
    office_port,
    coap_port,
    devices=2,
    store_bytes=1 << 30,
    retry_max_s=0.1,
    timeout_s=2.0,
    more="",
    listen="",
):
    """Write gateway.toml and all it names into folder; return the path of gateway.toml. more: further text of it; listen: further lines of [listen]."""
    links = "".join(
        f'[[device]]\nid = "{device_id(n).hex()}"\nkid = "{n:02x}"\nsecret = "{secret_of(n).hex()}"\n'
        for n in range(1, devices + 1)
    )
    write_private(folder / "links.toml", links)
    write_private(folder / "token", TOKEN + "\n")
    path = folder / "gateway.toml"
    path.write_text(
        f'[gateway]\nsite = "north"\nname = "gw-1"\n[listen]\nport = {coap_port}\n{listen}'
        f'[uplink]\nurl = "https://127.0.0.1:{office_port}"\nretry_min_s = 0.05\nretry_max_s = {retry_max_s}\n'
        f"timeout_s = {timeout_s}\n[store]\nbytes_max = {store_bytes}\n{more}"
    )
    return path


def write_private(path, text):
    """Write a file that only its owner may read."""
    path.touch(0o600)
    path.write_text(text)


def make_certificates(folder):
    """Write office-ca.pem, office.pem and office.key: a private authority and the office's certificate for 127.0.0.1."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)

    def certificate(subject, public, extensions):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - day).not_valid_after(now + day)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "office")])
    authority = x509.BasicConstraints(ca=True, path_length=None)
    (folder / "office-ca.pem").write_bytes(certificate(ca_name, ca_key.public_key(), [authority]))
    (folder / "office.pem").write_bytes(certificate(name, key.public_key(), [address]))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "office.key").write_bytes(private)


class OfficeDouble:
    """An HTTPS server that keeps what arrives and answers as the office would, or as `misbehave` says.

    wanted: device -> number of a release; commands: device -> [sealed]; bodies: path -> bytes, what GETs find; gets: paths asked for.
    slow: path -> pour(writer), which writes an answer that never ends: `drip` byte by byte, `flood` without a length.
    misbehave(body) -> (status, headers, body) or None; None answers in order. It knows what segments are, but not the keys:
    it gives receipts for what is contiguous. hold: an asyncio.Event that each answer waits for.
    """

    def __init__(self, folder):
        self._folder = folder
        self.segments = {}
        self.arrivals = []
        self.heartbeats = []
        self.requests = 0
        self.wants = []
        self.wanted = {}
        self.commands = {}
        self.bodies = {}
        self.gets = []
        self.slow = {}
        self.misbehave = lambda body: None
        self.gives_receipts = True
        self.gives_tokens = True
        self.outcome_of = lambda raw: None
        self.hold = asyncio.Event()
        self.hold.set()
        self.authorizations = set()
        self._server = None
        self.port = None

    async def start(self, port=0):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "office.pem", self._folder / "office.key")
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self._server.close()
        self._server.close_clients() if hasattr(self._server, "close_clients") else None
        await asyncio.sleep(0)

    async def _serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                fields = {key.lower(): value for key, value in fields.items()}
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                path = head.split(" ")[1]
                self.requests += 1
                self.authorizations.add(fields.get("authorization"))
                await self.hold.wait()
                if path in self.slow:
                    self.gets.append(path)
                    await self.slow[path](writer)
                if head.startswith("GET "):
                    status, headers, answer = self._body(path)
                elif path == WITNESS:
                    # An office that is too old for it: nothing here is about what leaves signed.
                    status, headers, answer = 404, {}, b""
                else:
                    status, headers, answer = self.misbehave(body) or (200, {}, self.answer(body))
                lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(answer)}"]
                lines += [f"{key}: {value}" for key, value in headers.items()]
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            # The loop ends. Python 3.11 logs a connection's cancelled task as an error, and tests look for those.
            return
        finally:
            writer.close()

    def _body(self, path):
        self.gets.append(path)
        found = self.bodies.get(path)
        return (404, {}, b"") if found is None else (200, {}, found)

    def put_release(self, release, bodies):
        """Hold a release and its parts where a gateway asks for them; return its number."""
        manifest = parse_release(release).manifest
        self.bodies[f"/v1/releases/{manifest.number}"] = release
        for (_, digest, _), body in zip(manifest.parts, bodies, strict=True):
            self.bodies[f"/v1/parts/{digest.hex()}"] = body
        return manifest.number

    def answer(self, body):
        """Take a request and return the encoded answer."""
        segments, heartbeats = parse_request(body)
        answer = UplinkAnswer()
        named = set()
        for raw in segments:
            self.arrivals.append(raw)
            answer.outcomes.append(self._take(raw))
            named.add(raw_device(raw))
        for raw in heartbeats:
            self.heartbeats.append(raw)
            answer.heartbeat_outcomes.append(8)
            fields = parse_heartbeat(raw).fields
            named.add(fields.device)
            answer.releases.append((fields.device, self.wanted.get(fields.device, 0)))
            answer.commands += self.commands.get(fields.device, [])
            if self.gives_tokens:
                answer.time_tokens.append(
                    time_token(boot=fields.boot, counter=fields.counter, device=fields.device)
                )
        if self.gives_receipts:
            answer.receipts = [sealed for device in named for sealed in self.receipts(device)]
        answer.wants = list(self.wants)
        return encode_uplink_answer(answer)

    def _take(self, raw):
        told = self.outcome_of(raw)
        if told is not None:
            return told
        try:
            key = parse_segment(raw).header.key()
        except ProtocolError as error:
            return 16 + error.code
        known = self.segments.setdefault(key, raw)
        if known is not raw:
            return 1 if known == raw else 2
        return 0

    def receipts(self, device):
        """Return a receipt for each lane of a device whose segment 0 is here."""
        lanes = {key[:3] for key in self.segments if key[0] == device}
        sealed = []
        for _, lane, epoch in sorted(lanes):
            number = -1
            while (device, lane, epoch, number + 1) in self.segments:
                number += 1
            if number >= 0:
                raw = self.segments[device, lane, epoch, number]
                sealed.append(receipt(number, raw, lane=lane, epoch=epoch, device=device))
        return sealed

    def numbers(self, device, lane=1, epoch=0):
        """Return the numbers held of a lane, sorted."""
        return sorted(key[3] for key in self.segments if key[:3] == (device, lane, epoch))


def raw_device(raw):
    """Return the device that a segment names, or None if it is none."""
    try:
        return parse_segment(raw).header.device
    except ProtocolError:
        return None


async def drip(writer):
    """Answer with a body that honestly tells its size, and sends it so slowly that no single read waits long."""
    writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def flood(writer):
    """Answer with a body that tells no size and never ends; quick, but no more than a test's memory holds."""
    writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + bytes(0x1000) + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


class Counter:
    """Sequence numbers that live as long as the test."""

    def __init__(self, start=0):
        self.next = start

    def __call__(self):
        self.next += 1
        return self.next - 1


class DeviceDouble:
    """The device's own client code with true keys, and segments that the test makes."""

    def __init__(self, port, n=1, *, id_context=None, secret=None, ack_timeout_ms=400, sequence=0, link=None):
        self.device = device_id(n)
        self.sequence = Counter(sequence)
        self.link = link or UdpLink("127.0.0.1", port)
        self.context = OscoreContext(
            Aes128, secret or secret_of(n), bytes([n]), b"", self.sequence, id_context=id_context
        )
        clock = SystemClock()
        self.client = CoapClient(
            self.link,
            self.context,
            lambda: int(clock.monotonic() * 1000),
            os.urandom,
            ack_timeout_ms=ack_timeout_ms,
            separate_timeout_ms=5000,
        )

    async def post(self, path, payload):
        """Return the verified response."""
        return await self.client.request(coap.POST, path, payload)

    async def get(self, path, block=None):
        """Return the verified response to a GET. block: (number, size), or None for no Block2."""
        options = [] if block is None else [(coap.BLOCK2, encode_block(block[0], False, block[1]))]
        return await self.client.request(coap.GET, path, b"", options)

    async def fetch(self, path, size=512, start=0):
        """Return the bytes of a body from block start on, fetched block by block."""
        whole, number, is_more = b"", start, True
        while is_more:
            answer = await self.get(path, (number, size))
            assert answer.code == coap.CONTENT, coap.code_text(answer.code)
            said, is_more, _ = decode_block(coap.option(answer.options, coap.BLOCK2))
            assert said == number
            whole += answer.payload
            number += 1
        return whole

    async def send(self, raw):
        """Send a segment, require custody, return the answer."""
        response = await self.post("s", raw)
        assert response.code == coap.CHANGED, coap.code_text(response.code)
        return parse_answer(response.payload)

    async def beat(self, **fields):
        """Send a heartbeat, return the answer."""
        response = await self.post("h", heartbeat(device=self.device, **fields))
        assert response.code == coap.CHANGED, coap.code_text(response.code)
        return parse_answer(response.payload)

    def close(self):
        self.link.close()


def custody_of(answer, lane=1, epoch=0):
    """Return the watermark of a lane in an answer."""
    return {(entry[0], entry[1]): entry[2] for entry in answer.custody}[lane, epoch]


def new_store(folder, *, bytes_max=1 << 30, clock=None, point=None, seed=0, **more):
    """Return a store in folder."""
    return open_store(
        folder / "gateway.db",
        bytes_max=bytes_max,
        clock=clock or SystemClock(),
        rng=random.Random(seed),
        point=point or KillPoint(),
        **more,
    )


class TestClock:
    """A clock that moves when the test says so; sleep() only notes how long."""

    __test__ = False

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def monotonic(self):
        return self.now

    def wall_ms(self):
        return 1_700_000_000_000 + int(self.now * 1000)

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


async def until(condition, what, seconds=10):
    """Wait until condition() is true; fail naming what never came."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.01)


class GatewayProcess:
    """A real gateway process: `python -m gateway run`, or one with a planted fault."""

    def __init__(self, config, *, point=None, fault=None, prefix=()):
        module = ["gateway"] if fault is None else ["tests.gateway.planted_process", fault]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"}
        environment.pop("OUTSTATION_POINT", None)
        if point:
            environment["OUTSTATION_POINT"] = point
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", *module, "run", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self.ready = self.process.stdout.readline()

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        return self.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        _, self.errors = self.process.communicate(timeout=30)
        return self.process.returncode


def configuration(path):
    """Return the configuration that a file names."""
    return read_configuration(path)
