"""Promises of protocol.messages beyond its vectors."""

import pytest

from protocol import messages
from protocol.command import parse_command
from protocol.errors import ProtocolError
from protocol.limits import answer_bytes_max, message_bytes_max

DIGEST = bytes(range(32))
TOP = 0xFFFFFFFF


def _receipt(lane=0):
    return messages.seal_receipt(messages.Receipt(bytes(8), lane, TOP, TOP, DIGEST, TOP), bytes(32))


def test_answer_leaves_out_what_does_not_fit():
    """The longest of everything still gives an answer: wants go first, custody and time stay."""
    token = messages.seal_time_token(messages.TimeToken(bytes(8), TOP, TOP, 1 << 62, 1 << 62), bytes(32))
    wants = [(1, TOP, TOP, 1 << 62)] * 8
    custody = [(1, TOP, 1 << 62)] * 4
    raw = messages.encode_answer(messages.Answer(custody, wants, [_receipt()] * 3, token, 1 << 62, 1 << 62))
    answer = messages.parse_answer(raw)

    assert len(raw) <= answer_bytes_max
    assert len(answer.custody) == 4
    assert answer.time_token == token
    assert 0 < len(answer.wants) < 8
    assert len(answer.receipts) == 3


def test_unknown_keys_of_an_answer_are_passed_over():
    """A newer gateway may say more."""
    assert messages.parse_answer(b"\xa2\x04\x07\x18\x63\x80").release == 7


def test_longest_heartbeat_fits_its_limit():
    """The longest integers in every place stay below message_bytes_max."""
    head = (TOP, TOP, DIGEST)
    health = dict.fromkeys(range(9), 1 << 62)
    heartbeat = messages.Heartbeat(bytes(8), TOP, TOP, TOP, 1 << 62, TOP, head, head, (TOP, DIGEST), health)

    assert len(messages.seal_heartbeat(heartbeat, bytes(32))) <= message_bytes_max


def test_message_for_one_purpose_is_none_for_another():
    """A receipt is no heartbeat, time token or command, whatever its key."""
    for parse in (messages.parse_heartbeat, messages.parse_time_token, parse_command):
        with pytest.raises(ProtocolError):
            parse(_receipt())


def test_heads_are_told_by_lane():
    """head(0) is the critical lane's, head(1) the routine one's."""
    heartbeat = messages.Heartbeat(bytes(8), 0, 0, 0, 0, 0, (0, 1, DIGEST), None, (1, DIGEST), {})

    assert heartbeat.head(0) == (0, 1, DIGEST)
    assert heartbeat.head(1) is None
