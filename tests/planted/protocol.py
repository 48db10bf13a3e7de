"""Faults to plant in protocol/: each is a mistake that somebody could make. A planter takes pytest's monkeypatch."""

import os

from protocol import cbor, columns, keys, messages, segment
from protocol.errors import MALFORMED, ProtocolError


def fixed_iv(monkeypatch):
    """Reuse an IV: every body under one."""
    monkeypatch.setattr(segment, "_synthetic_iv", lambda iv_key, header, plaintext: bytes(16))


def random_iv(monkeypatch):
    """Draw the IV instead of making it from what is said: equal input no longer gives equal bytes."""
    monkeypatch.setattr(segment, "_synthetic_iv", lambda iv_key, header, plaintext: os.urandom(12) + bytes(4))


def iv_without_header(monkeypatch):
    """Make the IV from the plaintext alone: the same events under another number share a key stream."""
    honest = segment._synthetic_iv
    monkeypatch.setattr(
        segment, "_synthetic_iv", lambda iv_key, header, plaintext: honest(iv_key, b"", plaintext)
    )


def skip_tag_check(monkeypatch):
    """Take a segment without looking at its seal."""
    monkeypatch.setattr(segment.Segment, "verify", lambda self, tag_key: None)


def skip_message_tag_check(monkeypatch):
    """Take a short message without looking at its seal."""
    monkeypatch.setattr(messages.Message, "verify", lambda self, key: None)


def skip_iv_check(monkeypatch):
    """Open a body without computing its IV again."""

    def open_body(self, body_key, iv_key, ctr):
        return ctr(body_key, self._iv, self._ciphertext)

    monkeypatch.setattr(segment.Segment, "open_body", open_body)


def tag_truncated_compare(monkeypatch):
    """Compare the first eight bytes of a tag only."""
    monkeypatch.setattr(segment, "is_equal", lambda first, second: first[:8] == second[:8])


def accept_longer_heads(monkeypatch):
    """Take a head that is longer than it need be."""

    def read_head(data, at):
        low = data[at] & 31 if at < len(data) else 31
        if low < 24 or low > 27 or at + 1 + (1 << (low - 24)) > len(data):
            return honest(data, at)
        end = at + 1 + (1 << (low - 24))
        return data[at] >> 5, int.from_bytes(data[at + 1 : end], "big"), end

    honest = cbor.read_head
    monkeypatch.setattr(cbor, "read_head", read_head)


def accept_unsorted_map_keys(monkeypatch):
    """Take the keys of a map in any order, and twice."""

    def read_map(data, n, at, depth):
        if depth <= 0 or 2 * n > len(data) - at:
            raise cbor._no_room(data, n, at, depth)
        items = {}
        for _ in range(n):
            key, at = cbor._decode(data, at, 0)
            if isinstance(key, bool) or not isinstance(key, int):
                raise ProtocolError(MALFORMED, "map key is not an integer")
            items[key], at = cbor._decode(data, at, depth - 1)
        return items, at

    monkeypatch.setattr(cbor, "_map", read_map)


def accept_bytes_after_the_end(monkeypatch):
    """Look at the first item only."""
    monkeypatch.setattr(segment, "loads", lambda data: cbor.load_prefix(data)[0])


def wrong_generation_divisor(monkeypatch):
    """Move the seal key one segment late."""
    monkeypatch.setattr(keys, "generation_segments", 33)


def chain_stands_still(monkeypatch):
    """Give the same seal key to every generation."""
    monkeypatch.setattr(keys, "seal_ahead", lambda key, steps: key)


def signed_zigzag_off_by_one(monkeypatch):
    """Write a negative difference as one less."""
    monkeypatch.setattr(columns, "zigzag", lambda v: v << 1 if v >= 0 else ((-v) << 1) + 1)


def outlier_place_off_by_one(monkeypatch):
    """Put an outlier one place late."""
    honest = columns._get_apart

    def get_apart(data, at, count):
        apart, end = honest(data, at, count)
        return {min(i + 1, count - 1): apart[i] for i in apart}, end

    monkeypatch.setattr(columns, "_get_apart", get_apart)


def skip_sequence_in_chain(monkeypatch):
    """Look at the digest of a chain only."""

    def check_follows(header, before, before_digest):
        if header.previous != before_digest:
            raise ProtocolError(8, "another digest")

    monkeypatch.setattr(segment, "check_follows", check_follows)
