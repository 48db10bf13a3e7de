"""Frames on a byte stream are those of slipmux, and nothing that is spoiled gets through."""

from binascii import unhexlify

from protocol.coap import datagram_bytes_max
from protocol.slipmux import COAP, TEXT, FrameReader, encode_frame, encode_text

# SPEC.md section 13.
EXAMPLES = (
    ("", "c0a9b3c8c0"),
    ("40000001", "c0a940000001e973c0"),
    ("c0db", "c0a9dbdcdbddf1f7c0"),
    ("0049", "c0a90049dbdc8ac0"),
)
EVERY_BYTE = bytes(range(256))


def check_x25(content):
    """Return CRC-16/X-25 bit by bit, as RFC 1662 writes it down."""
    register = 0xFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return register ^ 0xFFFF


def test_frames_are_those_of_the_specification():
    for datagram, frame in EXAMPLES:
        assert encode_frame(unhexlify(datagram)) == unhexlify(frame)


def test_check_is_the_one_of_hdlc():
    # The check value of the catalogues of such codes, and that of a frame of ours.
    assert check_x25(b"123456789") == 0x906E
    check = check_x25(b"\xa9abc")

    assert encode_frame(b"abc") == b"\xc0\xa9abc" + bytes((check & 255, check >> 8)) + b"\xc0"


def test_every_datagram_comes_back_however_the_stream_is_cut():
    datagrams = [b"", EVERY_BYTE, b"\xc0\xdb\xdc\xdd\xa9\x0a" * 100, EVERY_BYTE * 4]
    stream = b"".join([encode_frame(one) for one in datagrams])
    for size in (1, 2, 3, 7, 64, len(stream)):
        reader = FrameReader()
        found = []
        for at in range(0, len(stream), size):
            found += reader.feed(stream[at : at + size])

        assert found == [(COAP, one) for one in datagrams]
        assert (reader.dropped, reader.foreign) == (0, 0)


def test_every_flipped_bit_is_seen_and_the_next_frame_arrives():
    frame = encode_frame(b"\x40\x00\x00\x01\xdb\xc0")
    for at in range(1, len(frame) - 1):
        for bit in range(8):
            spoiled = bytearray(frame)
            spoiled[at] ^= 1 << bit
            reader = FrameReader()
            found = reader.feed(bytes(spoiled)) + reader.feed(encode_frame(b"next"))

            assert found[-1] == (COAP, b"next")
            assert [one for one in found[:-1] if one[0] == COAP] == []
            assert reader.dropped + reader.foreign + len(found) - 1 >= 1


def test_every_truncated_frame_is_dropped():
    frame = encode_frame(b"\x40\x00\x00\x01\xdb\xc0")
    for length in range(2, len(frame) - 1):
        reader = FrameReader()

        assert reader.feed(frame[:length] + b"\xc0") == []
        assert reader.dropped == 1


def test_longest_datagram_passes_and_one_byte_more_is_dropped():
    longest = b"\xc0" * datagram_bytes_max
    reader = FrameReader()

    assert reader.feed(encode_frame(longest)) == [(COAP, longest)]
    longer = b"\xa9" + b"x" * (datagram_bytes_max + 1)
    check = check_x25(longer)
    assert reader.feed(b"\xc0" + longer + bytes((check & 255, check >> 8)) + b"\xc0") == []
    assert reader.dropped == 1


def test_endless_noise_takes_no_memory_and_ends_with_the_next_delimiter():
    reader = FrameReader()
    for _ in range(40):
        assert reader.feed(b"x" * 1000) == []

    assert reader.feed(b"\xc0" + encode_frame(b"again")) == [(COAP, b"again")]
    assert reader.dropped == 1


def test_text_arrives_beside_datagrams_and_other_kinds_are_counted():
    reader = FrameReader()
    ip = b"\xc0\x45\x00\x00\xc0"

    assert reader.feed(encode_text("boot 7") + ip + encode_frame(b"x")) == [(TEXT, b"boot 7"), (COAP, b"x")]
    assert (reader.dropped, reader.foreign) == (0, 1)


def test_abandoned_half_is_never_joined_with_what_comes_after_it():
    frame = encode_frame(b"one and the same")
    for length in range(2, len(frame)):
        reader = FrameReader()
        assert reader.feed(frame[:length]) == []
        reader.abandon()
        assert reader.feed(frame[length:]) == []
        assert reader.feed(encode_frame(b"next")) == [(COAP, b"next")]


def test_abandoning_counts_a_frame_only_where_one_had_begun():
    reader = FrameReader()
    reader.feed(encode_frame(b"whole"))
    reader.abandon()
    assert reader.dropped == 0

    reader.feed(b"x" * 5000)
    reader.abandon()
    assert reader.dropped == 1
