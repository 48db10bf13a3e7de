"""Opens sealed bodies on the office's side: the view key's two children, the native cipher, the events."""

from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocol.event import decode_events
from protocol.keys import body_keys
from protocol.segment import Segment


def ctr(key: bytes, iv: bytes, text: bytes) -> bytes:
    """Return text encrypted or decrypted with AES-128-CTR; iv: the first counter block, 16 bytes."""
    encryptor = Cipher(algorithms.AES128(key), modes.CTR(iv)).encryptor()
    return encryptor.update(text) + encryptor.finalize()


# Two HMACs for each period, not for each segment; a few hundred devices stay in it.
_children = lru_cache(maxsize=1024)(body_keys)


def open_events(segment: Segment, view_key: bytes) -> tuple[int, list]:
    """Return (boot, events in order) of a verified segment, its IV and count checked. Raises ProtocolError."""
    body_key, iv_key = _children(view_key)
    return decode_events(segment.open_body(body_key, iv_key, ctr), segment.header.count)
