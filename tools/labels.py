"""Labels for devices: a QR code and the same in letters, on sheets to print. No secret is on them.

    OUTSTATION:1:IDENTITY:CHECK     IDENTITY: 16 hex digits; CHECK: four characters over them

The check finds a digit that was read or typed wrongly. It proves nothing: whoever knows an identity can compute it.
"""

import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import segno

PREFIX = "OUTSTATION:1:"
_DEVICE_BYTES = 8
# Crockford's: without I, L, O and U.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHECK_CHARACTERS = 4
# Millimetres: a sheet of A4 with labels of 70 by 37, as they are sold.
_PAGE_WIDTH, _PAGE_HEIGHT = 210, 297
_WIDTH, _HEIGHT, _COLUMNS, _ROWS = 70, 37, 3, 8
_CODE = 27.0
_NAME_CHARACTERS = 16
_PNG_SCALE = 8


class LabelWrong(ValueError):
    """What was read is no label of ours, or a character of it is wrong. Who must act: who read it."""


class Label(NamedTuple):
    """What a label says. device: identity (8 bytes)."""

    device: bytes
    name: str
    site: str


def label_text(device: bytes) -> str:
    """Return what the QR code of a device holds."""
    return f"{PREFIX}{device.hex().upper()}:{label_check(device)}"


def label_check(device: bytes) -> str:
    """Return the check of an identity: 20 bits of its SHA-256, in four characters."""
    number = int.from_bytes(hashlib.sha256(b"outstation label\0" + device).digest()[:4], "big") >> 12
    shifts = range(5 * (_CHECK_CHARACTERS - 1), -1, -5)
    return "".join(_ALPHABET[number >> shift & 31] for shift in shifts)


def parse_label(text: str) -> bytes:
    """Return the identity on a label, as it was scanned or typed. Raises LabelWrong."""
    parts = "".join(text.split()).upper().removeprefix(PREFIX).split(":")
    try:
        device = bytes.fromhex(parts[0])
    except ValueError:
        device = b""
    if len(parts) != 2 or len(device) != _DEVICE_BYTES:
        raise LabelWrong(
            f"it is not {PREFIX}, 16 hex digits, a colon and a check of {_CHECK_CHARACTERS} characters"
        )
    if parts[1].translate(str.maketrans("ILO", "110")) != label_check(device):
        raise LabelWrong("the check does not fit: a character was read or typed wrongly")
    return device


def write_sheets(labels: Sequence[Label], folder: Path) -> list[Path]:
    """Write sheets of A4 as SVG, 24 labels each, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    sheets: list[Path] = []
    for at in range(0, len(labels), _COLUMNS * _ROWS):
        path = folder / f"labels-{len(sheets) + 1}.svg"
        path.write_text(_sheet(labels[at : at + _COLUMNS * _ROWS]), "utf-8")
        sheets.append(path)
    return sheets


def write_pictures(labels: Sequence[Label], folder: Path) -> list[Path]:
    """Write the QR code of each device as PNG, named by its identity, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for label in labels:
        path = folder / f"{label.device.hex()}.png"
        code(label.device).save(str(path), scale=_PNG_SCALE)
        pictures.append(path)
    return pictures


def code(device: bytes) -> segno.QRCode:
    """Return the QR code of a device; a quarter of it may be scratched off."""
    return segno.make_qr(label_text(device), error="q", boost_error=False)


def _sheet(labels: Sequence[Label]) -> str:
    drawn = "\n".join(
        _drawn(label, number % _COLUMNS * _WIDTH, number // _COLUMNS * _HEIGHT)
        for number, label in enumerate(labels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_PAGE_WIDTH}mm" height="{_PAGE_HEIGHT}mm" '
        f'viewBox="0 0 {_PAGE_WIDTH} {_PAGE_HEIGHT}" font-family="monospace">\n{drawn}\n</svg>\n'
    )


def _drawn(label: Label, left: float, top: float) -> str:
    made = code(label.device)
    # With the quiet zone of four modules that readers need.
    modules = made.symbol_size(border=4)[0]
    picture = made.svg_inline(border=4, scale=_CODE / modules, omitsize=False)
    digits = label.device.hex().upper()
    lines = (_short(label.name), _short(label.site), digits[:8], digits[8:], label_check(label.device))
    words = "".join(
        f'<text x="32" y="{9 + 5.5 * row}" font-size="3.6">{escape(line)}</text>'
        for row, line in enumerate(lines)
    )
    return f'<g transform="translate({left + 2} {top + 2})">{picture}{words}</g>'


def _short(text: str) -> str:
    return text if len(text) <= _NAME_CHARACTERS else f"{text[: _NAME_CHARACTERS - 1]}…"
