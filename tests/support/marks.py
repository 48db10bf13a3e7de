"""Marks that must lie nowhere in the open, the forms in which they could, and the search for them in files and bytes."""

import base64
import struct
from pathlib import Path
from typing import NamedTuple

# Shorter pieces occur by chance in megabytes.
PIECE_BYTES = 16
_DISTINCT_MIN = 10


class Found(NamedTuple):
    """One mark at one place."""

    what: str
    where: str

    def __str__(self):
        return f"{self.what} in {self.where}"


def of_number(number):
    """Return the bytes in which a reading of more than 16 bits could lie: as people, CBOR, columns and machines write it."""
    zigzag, varint = number << 1, b""
    while zigzag > 127:
        varint, zigzag = varint + bytes([zigzag & 127 | 128]), zigzag >> 7
    return [
        str(number).encode(),
        b"\x1a" + struct.pack(">I", number),
        varint + bytes([zigzag]),
        struct.pack("<q", number),
        struct.pack(">q", number),
    ]


def of_bytes(raw):
    """Return a secret as it is, in hex and in both alphabets of base64, without the ends that depend on what stands beside it."""
    text = [alphabet(raw).rstrip(b"=")[:-1] for alphabet in (base64.b64encode, base64.urlsafe_b64encode)]
    return [raw, raw.hex().encode(), raw.hex().upper().encode(), *text]


def of_text(text):
    """Return a secret that is written as text, and that text in hex and base64."""
    return of_bytes(text.encode())


def pieces(raw):
    """Return two pieces of a body that nothing else holds by chance, as they are and in hex; fewer of one that is short or dull."""
    found = [raw[8 : 8 + PIECE_BYTES], raw[-PIECE_BYTES - 4 : -4]]
    told = [piece for piece in found if len(piece) == PIECE_BYTES and len(set(piece)) >= _DISTINCT_MIN]
    return [*told, *(piece.hex().encode() for piece in told)]


def search(marks, places):
    """Return what was found, each mark once a place. marks: name -> forms; places: name -> bytes or file."""
    found = []
    for where, place in places.items():
        content = place.read_bytes() if isinstance(place, Path) else place
        found += [
            Found(what, where) for what, forms in marks.items() if any(form in content for form in forms)
        ]
    return found


def files_below(folder):
    """Return every file below a folder, by its name from there."""
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
