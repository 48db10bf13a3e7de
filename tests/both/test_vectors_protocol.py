"""The golden vectors of protocol/vectors/ against our own code, on both runtimes."""

from protocol import admission, command, event, keys, messages, segment, uplink
from protocol.aead import AesCcm
from protocol.aead import ctr as _ctr
from protocol.cbor import dumps, loads
from protocol.columns import get_column, put_column
from protocol.ranges import Ranges
from tests.both.vector_files import bytes_of, code_of, read_vectors

try:
    import cryptolib  # noqa: F401  only MicroPython has it
except ImportError:
    from protocol.aes_host import Aes128
else:
    from agent.aes import Aes128

_PARSERS = {
    "heartbeat": messages.parse_heartbeat,
    "receipt": messages.parse_receipt,
    "time_token": messages.parse_time_token,
    "command": command.parse_command,
}
_SEALERS = {
    "heartbeat": (messages.Heartbeat, messages.seal_heartbeat),
    "receipt": (messages.Receipt, messages.seal_receipt),
    "time_token": (messages.TimeToken, messages.seal_time_token),
    "command": (command.Command, command.seal_command),
}


def ctr(key, iv, data):
    return _ctr(Aes128(key), iv, data)


def _ccm(key):
    return AesCcm(Aes128(key))


def _refused(parse, vectors):
    for vector in vectors:
        assert code_of(parse, bytes_of(vector)) == vector["code"], vector["name"]


def test_cbor_gives_the_golden_bytes_and_reads_them_back():
    """Each value has exactly the bytes that cbor2's canonical encoding has."""
    for vector in read_vectors("cbor")["accept"]:
        assert dumps(vector["value"]) == bytes_of(vector), vector["name"]
        assert loads(bytes_of(vector)) == vector["value"], vector["name"]


def test_cbor_refuses_every_golden_bad_item():
    """Every other encoding, and everything outside the subset, has its reject code."""
    _refused(loads, read_vectors("cbor")["reject"])


def test_columns_give_the_golden_bytes_and_read_them_back():
    """The encoder takes the shortest way, which a search over all ways found."""
    for vector in read_vectors("columns")["accept"]:
        out = bytearray()
        put_column(out, vector["values"])
        assert bytes(out) == bytes_of(vector), vector["name"]
        assert out[0] == vector["mode"], vector["name"]


def test_columns_are_read_in_every_way_they_can_be_said():
    """A decoder accepts every well-formed column, not only the shortest."""
    held = read_vectors("columns")
    for vector in held["accept"] + held["decode"]:
        raw = bytes_of(vector)
        assert get_column(raw, 0, len(vector["values"])) == (vector["values"], len(raw)), vector["name"]


def test_columns_refuse_every_golden_bad_column():
    """Each field of a column, broken alone, has its reject code."""
    for vector in read_vectors("columns")["reject"]:
        assert code_of(get_column, bytes_of(vector), 0, vector["count"]) == vector["code"], vector["name"]


def _events_of(vector):
    return [(order, tick, kind, tuple(fields)) for order, tick, kind, fields in vector["events"]]


def test_events_give_the_golden_bytes_and_read_them_back():
    """Every kind of row, every quality, samples and rows in turn."""
    for vector in read_vectors("event")["accept"]:
        listed = _events_of(vector)
        assert event.encode_events(vector["boot"], listed) == bytes_of(vector), vector["name"]
        assert event.decode_events(bytes_of(vector), len(listed)) == (vector["boot"], listed), vector["name"]


def test_events_refuse_every_golden_bad_plaintext():
    """Each field of each kind, broken alone, has its reject code."""
    for vector in read_vectors("event")["reject"]:
        code = code_of(event.decode_events, bytes_of(vector), vector["count"])
        assert code == vector["code"], vector["name"]


def test_keys_are_those_of_the_schedule():
    """Chains, ratchets, labels and generations as the standard library's HMAC gives them."""
    for vector in read_vectors("keys")["accept"]:
        result = getattr(keys, vector["name"])(*vector["arguments"])
        result = list(result) if isinstance(result, tuple) else result
        assert result == vector["result"], vector["name"]


def test_ranges_are_those_that_counting_gives():
    """What is held, missing and whole from the start agrees with a set of numbers."""
    for vector in read_vectors("ranges")["accept"]:
        ranges = Ranges()
        for step, start, stop in vector["steps"]:
            getattr(ranges, step)(start, stop)
        assert [list(pair) for pair in ranges.pairs] == vector["pairs"], vector["name"]
        assert ranges.count() == vector["count"], vector["name"]
        assert ranges.watermark() == vector["watermark"], vector["name"]
        assert [list(pair) for pair in ranges.missing(0, 16)] == vector["missing_0_16"], vector["name"]


def _seal(vector):
    header = segment.Header(*vector["header"][1:])
    if "tombstone" in vector:
        return segment.seal_tombstone(header, segment.Tombstone(*vector["tombstone"]), vector["tag_key"])
    body_keys = (vector["body_key"], vector["iv_key"])
    return segment.seal_segment(header, vector["plaintext"], vector["tag_key"], *body_keys, ctr)


def test_segments_seal_to_the_golden_bytes():
    """Both lanes, both classes, generation edges, longest integers, rows of every kind, tombstones."""
    for vector in read_vectors("segment")["accept"]:
        assert _seal(vector) == bytes_of(vector), vector["name"]


def test_golden_segments_parse_verify_and_open():
    """What a header says comes back, the seal holds and the body opens."""
    for vector in read_vectors("segment")["accept"]:
        parsed = segment.parse_segment(bytes_of(vector))
        parsed.verify(vector["tag_key"])
        assert parsed.header.as_list() == vector["header"], vector["name"]
        if "tombstone" in vector:
            assert parsed.tombstone.as_list() == vector["tombstone"]
        else:
            assert parsed.open_body(vector["body_key"], vector["iv_key"], ctr) == vector["plaintext"]


def test_segments_refuse_every_golden_bad_segment():
    """Each field of frame, header, body and tombstone, broken alone under a right seal, has its reject code."""
    _refused(segment.parse_segment, read_vectors("segment")["reject"])


def test_seals_refuse_wrong_keys_and_changed_tags():
    """One bit at either end of the tag, a neighbouring key, another external_aad: all SEAL."""
    for vector in read_vectors("segment")["verify"]:
        parsed = segment.parse_segment(bytes_of(vector))
        assert code_of(parsed.verify, vector["tag_key"]) == vector["code"], vector["name"]


def test_bodies_refuse_wrong_keys_and_chosen_ivs():
    """A body whose IV is not made from header and plaintext does not open, though its seal is right."""
    for vector in read_vectors("segment")["open"]:
        parsed = segment.parse_segment(bytes_of(vector))
        parsed.verify(vector["tag_key"])
        code = code_of(parsed.open_body, vector["body_key"], vector["iv_key"], ctr)
        assert code == vector["code"], vector["name"]


def test_chains_hold_only_where_each_segment_follows():
    """Number, digest, sequence and place are each needed; the first names its genesis."""
    for vector in read_vectors("segment")["chain"]:
        header = segment.Header(*vector["header"][1:])
        if vector["before"] is None:
            code = code_of(segment.check_first, header)
        else:
            before = segment.Header(*vector["before"][1:])
            code = code_of(segment.check_follows, header, before, vector["before_digest"])
        assert code == vector["code"], vector["name"]
    for vector in read_vectors("segment")["genesis"]:
        assert segment.genesis(vector["device"], vector["lane"], vector["epoch"]) == vector["digest"]


def test_messages_seal_to_the_golden_bytes_and_read_back():
    """Heartbeats with and without heads, receipts, time tokens, commands, up to their longest integers."""
    for vector in read_vectors("messages")["accept"] + read_vectors("routine_class")["accept"]:
        shape, seal = _SEALERS[vector["rule"]]
        assert seal(shape(*vector["fields"][1:]), vector["key"]) == bytes_of(vector), vector["name"]
        message = _PARSERS[vector["rule"]](bytes_of(vector))
        message.verify(vector["key"])
        assert seal(message.fields, vector["key"]) == bytes_of(vector), vector["name"]


def test_messages_refuse_every_golden_bad_message():
    """Each field of each message, broken alone under a right seal, has its reject code."""
    for vector in read_vectors("messages")["reject"]:
        code = code_of(_PARSERS[vector["rule"]], bytes_of(vector))
        assert code == vector["code"], vector["name"]


def test_message_seals_refuse_wrong_keys_and_other_purposes():
    """A tag holds for one key and one purpose."""
    for vector in read_vectors("messages")["verify"]:
        message = _PARSERS[vector["rule"]](bytes_of(vector))
        assert code_of(message.verify, vector["key"]) == vector["code"], vector["name"]


def test_answers_give_the_golden_bytes_and_read_back():
    """Each key of an answer alone, and all together."""
    for vector in read_vectors("answer")["accept"] + read_vectors("bulk")["accept"]:
        assert messages.encode_answer(messages.Answer(**vector["fields"])) == bytes_of(vector), vector["name"]
        answer = messages.parse_answer(bytes_of(vector))
        assert messages.encode_answer(answer) == bytes_of(vector), vector["name"]


def test_answers_refuse_every_golden_bad_answer():
    """Each field of an answer, broken alone, has its reject code."""
    _refused(messages.parse_answer, read_vectors("answer")["reject"] + read_vectors("bulk")["reject"])


def test_uplink_gives_the_golden_bytes_and_reads_back():
    """Requests up to their limits, answers with every outcome."""
    held = read_vectors("uplink")
    for vector in held["requests"]:
        assert uplink.encode_request(vector["segments"], vector["heartbeats"]) == bytes_of(vector), vector[
            "name"
        ]
        assert uplink.parse_request(bytes_of(vector)) == (vector["segments"], vector["heartbeats"])
    for vector in held["answers"]:
        answer = uplink.UplinkAnswer(**vector["fields"])
        assert uplink.encode_uplink_answer(answer) == bytes_of(vector), vector["name"]
        again = uplink.parse_uplink_answer(bytes_of(vector))
        assert uplink.encode_uplink_answer(again) == bytes_of(vector), vector["name"]


def test_uplink_refuses_every_golden_bad_message():
    """Each field of request and answer, broken alone, has its reject code."""
    held = read_vectors("uplink")
    _refused(uplink.parse_request, held["request_reject"])
    _refused(uplink.parse_uplink_answer, held["answer_reject"])


def test_view_grants_are_read_and_refused_as_the_vectors_say():
    """A key, none, as many as there may be, and each way in which a grant is none."""
    held = read_vectors("views")
    for vector in held["accept"]:
        answer = uplink.UplinkAnswer(**vector["fields"])
        assert uplink.encode_uplink_answer(answer) == bytes_of(vector), vector["name"]
        read = [list(grant) for grant in uplink.parse_uplink_answer(bytes_of(vector)).views]
        assert read == vector["fields"]["views"], vector["name"]
    _refused(uplink.parse_uplink_answer, held["reject"])


def test_revoked_devices_are_read_and_refused_as_the_vectors_say():
    """One device, as many as there may be, and each way in which the list is none."""
    held = read_vectors("revocation")
    for vector in held["accept"]:
        answer = uplink.UplinkAnswer(**vector["fields"])
        assert uplink.encode_uplink_answer(answer) == bytes_of(vector), vector["name"]
        assert uplink.parse_uplink_answer(bytes_of(vector)).revoked == vector["fields"]["revoked"], vector[
            "name"
        ]
    _refused(uplink.parse_uplink_answer, held["reject"])


def test_links_are_read_and_refused_as_the_vectors_say():
    """A whole set, a difference, two secrets of a device, and each way in which a set is none; the mark is the golden one."""
    held = read_vectors("links")
    for vector in held["accept"]:
        answer = uplink.UplinkAnswer(**vector["fields"])
        assert uplink.encode_uplink_answer(answer) == bytes_of(vector), vector["name"]
        mark, base, entries, gone = uplink.parse_uplink_answer(bytes_of(vector)).links
        assert [mark, base, [list(entry) for entry in entries], gone] == vector["fields"]["links"], vector[
            "name"
        ]
    for vector in held["marks"]:
        entries = [tuple(entry) for entry in vector["links"]]
        assert uplink.links_mark(reversed(entries)) == vector["mark"], vector["name"]
    _refused(uplink.parse_uplink_answer, held["reject"])


def test_boards_announcement_and_admission_are_as_the_vectors_say():
    """What a board says and is given: the same bytes on every runtime, sealed and open, and each way in which it is none."""
    held = read_vectors("admission")
    for vector in held["accept"]:
        raw, fields = bytes_of(vector), vector["fields"]
        if vector["rule"] == "announcement":
            assert admission.seal_announcement(fields[0], fields[1], vector["secret"]) == raw
            said = admission.parse_announcement(raw)
            said.verify(admission.announcement_key(vector["secret"]))
            assert [said.fields.board, said.fields.hardware] == fields
        elif vector["rule"] == "admission":
            assert dumps(admission.parse_admission(raw).items()) == raw
            assert dumps(admission.Admission(**fields).items()) == raw
    for vector in held["sealed"]:
        given = admission.parse_admission(vector["opened"])
        assert admission.seal_admission(given, vector["secret"], _ccm) == bytes_of(vector)
        opened = admission.open_admission(bytes_of(vector), given.device, vector["secret"], _ccm)
        assert opened.items() == given.items()
    readers = {"announcement": admission.parse_announcement, "admission": admission.parse_admission}
    for rule, read in readers.items():
        _refused(read, [vector for vector in held["reject"] if vector["rule"] == rule])
