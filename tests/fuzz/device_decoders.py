"""Every decoder that runs on a device: of what comes over the link, of what lies on flash. Runs on both runtimes."""

import hashlib
import json
from binascii import unhexlify

import rules
from agent.checkpoint import decode_checkpoint
from agent.pages import decode_page, encode_page
from agent.schema import read_schema
from protocol import (
    admission,
    agent_index,
    bins,
    blockwise,
    cbor,
    coap,
    columns,
    command,
    envelope,
    event,
    lms,
    manifest,
    messages,
    oscore,
    segment,
    uplink,
)
from protocol.aead import AesCcm
from rules.bundle import read_bundle
from rules.engine import Engine
from tests.both.flash_site import Aes128
from tests.both.vector_files import bytes_of, read_vectors
from tests.fuzz.flash_readers import FLASH_ENTRIES
from tests.fuzz.frames import Entry

_LABEL = b"a label of pages"


def _hexes(name, *lists):
    vectors = read_vectors(name)
    return [bytes_of(vector) for one in lists for vector in vectors[one] if len(bytes_of(vector)) < 2000]


def _counted(name, items):
    vectors = read_vectors(name)
    found = [bytes([len(v[items])]) + bytes_of(v) for v in vectors["accept"] if len(v[items]) < 256]
    return found + [b"\x03" + bytes_of(v) for v in vectors["reject"]]


def _by_rule(rule):
    vectors = read_vectors("messages")
    return [bytes_of(v) for one in ("accept", "reject") for v in vectors[one] if v.get("rule") == rule]


def _of_boards(rule):
    vectors = read_vectors("admission")
    found = [bytes_of(v) for one in ("accept", "reject") for v in vectors[one] if v["rule"] == rule]
    return [raw for raw in found if len(raw) < 2000]


def _bundles():
    folder = rules.__file__.rsplit("/", 1)[0] + "/vectors/"
    found = []
    for name in ("refused", "engine", "gates", "adopt"):
        with open(folder + name + ".json") as file:
            found += [unhexlify(v["bundle"]) for v in json.load(file) if len(v.get("bundle", "")) < 2400]
    with open(folder + "demo_bundle.json") as file:
        return found + [unhexlify(json.load(file)["bundle"])] * 20


def _again(raw):
    """What is accepted encodes back to the same bytes."""
    if cbor.dumps(cbor.loads(raw)) != raw:
        raise ValueError("another encoding was accepted")


def _answer_again(raw):
    messages.encode_answer(messages.parse_answer(raw))


def _uplink_answer_again(raw):
    uplink.encode_uplink_answer(uplink.parse_uplink_answer(raw))


def _events(raw):
    """The first byte is the count that is told from outside."""
    event.decode_events(raw[1:], raw[0] if raw else 1)


def _column(raw):
    columns.get_column(raw, 1, raw[0] if raw else 1)


def _bins(raw):
    """Counts that are taken encode back to the same bytes."""
    if bins.encode_bins(bins.decode_bins(raw)) != raw:
        raise ValueError("another encoding was accepted")


def _prefix(raw):
    cbor.load_prefix(raw)


def _bundle(raw):
    """A bundle that is taken can be run."""
    Engine(read_bundle(raw))


# ---- the link

_SECRET = bytes(range(1, 17))


def _context(sender, recipient):
    numbers = [0]

    def next_sequence():
        numbers[0] += 1
        return numbers[0]

    return oscore.OscoreContext(Aes128, _SECRET, sender, recipient, next_sequence)


_DEVICE = _context(b"\x01", b"")
_GATEWAY = _context(b"", b"\x01")
_REQUEST = coap.Message(coap.CON, coap.POST, 7, b"t", coap.path_options("h"), b"a payload")
_ANSWER = coap.Message(coap.ACK, coap.CHANGED, 7, b"t", [(coap.MAX_AGE, b"\x1e")], b"an answer")
_SEALED, _EXCHANGE = _DEVICE.protect_request(_REQUEST)
_EXCHANGE_THERE = _GATEWAY.unprotect_request(_SEALED, oscore.ReplayWindow())[1]
_SEALED_ANSWER = _GATEWAY.protect_response(_ANSWER, _EXCHANGE_THERE)
_INNER = b"\x44" + b"\x41\x1e\xff" + b"an answer"
_CCM = AesCcm(Aes128(_GATEWAY.sender_key))
_AAD = oscore.associated_data(_EXCHANGE.kid, _EXCHANGE.partial_iv)


def _datagram(raw):
    coap.decode(raw)


def _protected_request(raw):
    _GATEWAY.unprotect_request(coap.decode(raw), oscore.ReplayWindow())


def _protected_answer(raw):
    _DEVICE.unprotect_response(coap.decode(raw), _EXCHANGE)


def _strange_inside(raw):
    """A peer with the right key says anything inside."""
    sealed = _CCM.seal(_EXCHANGE.nonce, raw, _AAD)
    _DEVICE.unprotect_response(
        coap.Message(coap.ACK, coap.CHANGED, 7, b"t", [(coap.OSCORE, b"")], sealed), _EXCHANGE
    )


# ---- releases

_SIGNED = read_vectors("envelope")["verify"][0]
_LMS = read_vectors("lms")["accept"][-1]
_CHECK = read_vectors("manifest")["check"][0]


def _standing():
    s = _CHECK["standing"]
    return manifest.Standing(
        s["device"], s["cohort"], s["kind"], s["hardware"], s["schema"], s["floor"], s["roots"], s["now"]
    )


_STANDING = _standing()


def _checked_release(raw):
    manifest.check_release(raw, _STANDING)


def _signature(raw):
    lms.verify(_LMS["public"], _LMS["message"], raw)


def _leaf(raw):
    lms.leaf_of(raw)


def _succession(raw):
    envelope.check_succession(raw, _SIGNED["public"])


def _as_if_signed(call, raw, other):
    """Call with signatures that all hold: what lies behind a true one is read, too."""
    verify = envelope.verify
    envelope.verify = _holds
    try:
        call(raw, other)
    finally:
        envelope.verify = verify


def _holds(_public, _message, _signature):
    return True


def _signed_succession(raw):
    whole = envelope.encode_envelope(_ROOT_ID, raw, b"signature")
    _as_if_signed(envelope.check_succession, whole, _SIGNED["public"])


def _signed_manifest(raw):
    digest = hashlib.sha256(raw).digest()
    signed = envelope.encode_envelope(envelope.key_id(_STANDING.roots[0]), digest, b"signature")
    _as_if_signed(manifest.check_release, manifest.encode_release(raw, [signed]), _STANDING)


def _page(raw):
    page = (raw + b"\xff" * 256)[:256]
    decode_page(_LABEL, page)


_PAGES = [
    encode_page(_LABEL, item)
    for item in ([1, 2, b"etag"], [0, bytes(32), None, [1, [2, 3]]], list(range(20)))
]
_ROOT_ID = envelope.key_id(_SIGNED["public"])
_SUCCESSIONS = [
    envelope.encode_succession(envelope.Succession(_ROOT_ID, _LMS["public"], made))
    for made in (0, 1_700_000_000_000)
]
_SCHEMAS = _hexes("schema", "accept", "reject")
_RELEASES = [bytes_of(v) for v in read_vectors("manifest")["releases"]]
_OPTIONS = [b"\x09\x14", b"\x09\x14\x00", b"\x19\x14\x08\x37\xcb\xf3\x21\x00\x17\xa2\xd3", b"\x01\x00", b""]
_DATAGRAMS = [coap.encode(one) for one in (_REQUEST, _ANSWER, _SEALED, _SEALED_ANSWER)]

ENTRIES = [
    Entry(
        "cbor",
        _again,
        _hexes("cbor", "accept", "reject"),
        ("protocol.cbor.loads", "protocol.cbor.read_head"),
        2000,
    ),
    Entry("cbor_prefix", _prefix, _hexes("cbor", "accept"), ("protocol.cbor.load_prefix",), 400),
    Entry(
        "columns",
        _column,
        _counted("columns", "values"),
        ("protocol.columns.get_column", "protocol.columns.get_uvarint"),
        1000,
    ),
    Entry(
        "bins",
        _bins,
        _hexes("levels", "counts", "counts_reject"),
        ("protocol.bins.decode_bins",),
        200,
    ),
    Entry(
        "events",
        _events,
        _counted("event", "events"),
        (
            "protocol.event.decode_events",
            "protocol.event.decode_samples",
            "protocol.event_shape.check_fields",
        ),
        900,
    ),
    Entry(
        "segment",
        segment.parse_segment,
        _hexes("segment", "accept", "reject"),
        ("protocol.segment.parse_segment",),
        900,
    ),
    Entry(
        "heartbeat",
        messages.parse_heartbeat,
        _by_rule("heartbeat"),
        ("protocol.messages.parse_heartbeat", "protocol.messages.open_frame"),
        500,
    ),
    Entry("receipt", messages.parse_receipt, _by_rule("receipt"), ("protocol.messages.parse_receipt",), 400),
    Entry(
        "time_token",
        messages.parse_time_token,
        _by_rule("time_token"),
        ("protocol.messages.parse_time_token",),
        400,
    ),
    Entry("command", command.parse_command, _by_rule("command"), ("protocol.command.parse_command",), 400),
    Entry(
        "announcement",
        admission.parse_announcement,
        _of_boards("announcement"),
        ("protocol.admission.parse_announcement",),
        400,
    ),
    Entry(
        "admission",
        admission.parse_admission,
        _of_boards("admission"),
        ("protocol.admission.parse_admission",),
        400,
    ),
    Entry(
        "answer",
        _answer_again,
        _hexes("answer", "accept", "reject"),
        ("protocol.messages.parse_answer",),
        500,
    ),
    Entry(
        "uplink_request",
        uplink.parse_request,
        _hexes("uplink", "requests", "request_reject"),
        ("protocol.uplink.parse_request",),
        150,
    ),
    Entry(
        "uplink_answer",
        _uplink_answer_again,
        _hexes("uplink", "answers", "answer_reject"),
        ("protocol.uplink.parse_uplink_answer",),
        300,
    ),
    Entry("datagram", _datagram, _DATAGRAMS, ("protocol.coap.decode", "protocol.coap.decode_body"), 600),
    Entry("oscore_option", oscore.decode_option, _OPTIONS, ("protocol.oscore.decode_option",), 400),
    Entry(
        "block_option",
        blockwise.decode_block,
        [b"", b"\x06", b"\x1e", b"\xff\xff\xfe"],
        ("protocol.blockwise.decode_block", "protocol.coap.read_uint"),
        100,
    ),
    Entry(
        "protected_request",
        _protected_request,
        _DATAGRAMS[2:],
        ("protocol.oscore.OscoreContext.unprotect_request",),
        100,
    ),
    Entry(
        "protected_answer",
        _protected_answer,
        _DATAGRAMS[2:],
        ("protocol.oscore.OscoreContext.unprotect_response",),
        100,
    ),
    Entry(
        "strange_inside",
        _strange_inside,
        [_INNER, b"\x45\xffx", b"\x84"],
        ("protocol.oscore.OscoreContext.unprotect_response",),
        100,
    ),
    Entry(
        "envelope",
        envelope.parse_envelope,
        _hexes("envelope", "accept", "reject"),
        ("protocol.envelope.parse_envelope",),
        200,
    ),
    Entry(
        "succession",
        _succession,
        _hexes("envelope", "accept", "reject"),
        ("protocol.envelope.check_succession",),
        10,
    ),
    Entry(
        "signed_succession", _signed_succession, _SUCCESSIONS, ("protocol.envelope.check_succession",), 100
    ),
    Entry(
        "signed_manifest",
        _signed_manifest,
        _hexes("manifest", "accept"),
        ("protocol.manifest.check_release",),
        100,
    ),
    Entry("lms_signature", _signature, [_LMS["signature"]], ("protocol.lms.verify",), 10),
    Entry("lms_leaf", _leaf, [_LMS["signature"][:64]], ("protocol.lms.leaf_of",), 40),
    Entry(
        "lms_public",
        lms.check_public,
        [_LMS["public"], _SIGNED["public"]],
        ("protocol.lms.check_public",),
        100,
    ),
    Entry(
        "manifest",
        manifest.parse_manifest,
        _hexes("manifest", "accept", "reject"),
        ("protocol.manifest.parse_manifest",),
        200,
    ),
    Entry(
        "agent_index",
        agent_index.parse_agent_index,
        _hexes("agent", "accept", "reject"),
        ("protocol.agent_index.parse_agent_index",),
        200,
    ),
    Entry("release", manifest.parse_release, _RELEASES, ("protocol.manifest.parse_release",), 100),
    Entry("checked_release", _checked_release, [bytes_of(_CHECK)], ("protocol.manifest.check_release",), 10),
    Entry("bundle", _bundle, _bundles(), ("rules.bundle.read_bundle",), 300),
    Entry("schema", read_schema, _SCHEMAS, ("agent.schema.read_schema",), 200),
    Entry(
        "checkpoint",
        decode_checkpoint,
        _hexes("checkpoint", "accept", "reject"),
        ("agent.checkpoint.decode_checkpoint",),
        200,
    ),
    Entry("page", _page, _PAGES, ("agent.pages.decode_page",), 200),
]
ENTRIES.extend(FLASH_ENTRIES)
