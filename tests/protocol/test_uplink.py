"""Promises of protocol.uplink beyond its vectors."""

import pytest

from protocol import uplink
from protocol.errors import NAMES, TOO_LARGE, ProtocolError
from protocol.limits import uplink_links_max, uplink_segments_max


def test_unknown_keys_are_passed_over():
    """A newer gateway or office may say more."""
    assert uplink.parse_request(b"\xa3\x00\x80\x01\x80\x09\x01") == ([], [])


def test_encoder_refuses_what_the_parser_would():
    """One segment too many is refused where it is made."""
    with pytest.raises(ProtocolError) as refused:
        uplink.encode_request([b"s"] * (uplink_segments_max + 1), [])

    assert refused.value.code == TOO_LARGE


def test_every_reject_code_has_an_outcome_of_its_own():
    """Outcomes and reject codes share one number without meeting."""
    quarantined = {uplink.QUARANTINED + code for code in NAMES}

    assert quarantined.isdisjoint({uplink.STORED, uplink.DUPLICATE, uplink.FORK})
    assert quarantined.isdisjoint({uplink.HEARTBEAT_TAKEN, uplink.HEARTBEAT_SEEN})
    assert max(quarantined) <= 255


def test_full_request_is_read_whole():
    """512 segments of 512 bytes and 256 heartbeats come back in order."""
    segments = [n.to_bytes(2, "big") + bytes(510) for n in range(512)]
    heartbeats = [bytes([n]) * 400 for n in range(256)]

    assert uplink.parse_request(uplink.encode_request(segments, heartbeats)) == (segments, heartbeats)


def test_more_links_than_a_site_has_are_refused():
    """4,096 devices with two secrets each are taken; one device more is too many, there or gone."""
    devices = [at.to_bytes(8, "big") for at in range(uplink_links_max + 1)]
    full = [(device, kid, bytes(16)) for device in devices[:-1] for kid in (b"a", b"b")]
    said = uplink.encode_uplink_answer(uplink.UplinkAnswer(links=(bytes(8), None, full, [])))
    entries = [(device,) for device in devices]

    assert uplink.parse_uplink_answer(said).links == (bytes(8), None, full, [])
    for links in ((bytes(8), None, entries, []), (bytes(8), bytes(8), [], devices)):
        with pytest.raises(ProtocolError) as refused:
            uplink.encode_uplink_answer(uplink.UplinkAnswer(links=links))
        assert refused.value.code == TOO_LARGE
