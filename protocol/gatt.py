"""Where the byte stream of slipmux frames goes over BLE: service, characteristics, advertisement, pieces.

Source: SPEC.md section 13.1; Bluetooth Core Specification 5.4, volume 3 part C section 11 (advertisement), part F 3.2.8 and 3.4.7.1.
"""

SERVICE = "867009b6-bee8-4a23-ae2f-da5976c90001"
DOWN = "867009b6-bee8-4a23-ae2f-da5976c90002"
UP = "867009b6-bee8-4a23-ae2f-da5976c90003"
# What a central writes first: a device says nothing before.
OPENING = b"\xc0"
# Every connection begins with it, and none has less.
mtu_min = 23
# An attribute has at most 512 bytes; with it a piece fits whatever MTU a stack agrees to.
piece_bytes_max = 509
# Opcode and handle before each piece.
header_bytes = 3


def advertisement() -> bytes:
    """Return what a device advertises: flags (general discoverable, no BR/EDR) and the service in full, last byte first."""
    digits = SERVICE.replace("-", "")
    return b"\x02\x01\x06\x11\x07" + bytes([int(digits[at : at + 2], 16) for at in range(30, -2, -2)])


def piece_bytes(mtu: int) -> int:
    """Return how many bytes one piece may have. mtu: that of ATT, as the two ends agreed."""
    return min(max(mtu, mtu_min) - header_bytes, piece_bytes_max)
