"""What a device's radio took to move what it moved, estimated from bytes and datagrams: no figure here was measured on a device.

A byte takes the time that the link's bit rate gives it, at the current of the datasheet. A datagram keeps the radio awake for a while
besides, listening: the greater part, and the one that nobody's datasheet has. The rest of the device, sleep and beacons included, is not in it.

At 3.3 V, ESP32 Series Datasheet, "RF Power-Consumption Specifications" (current by RF mode), as a page that repeats its table has it:

    UDP     802.11g at 54 Mbit/s: sending 190 mA, receiving 100 mA; awake 10 ms a datagram (assumed), receiving
    serial  nothing that counts beside a processor that runs
    BLE     1 Mbit/s at 0 dBm: sending 130 mA, receiving 100 mA; awake 3 ms a datagram (assumed), receiving

Whoever has another board, or has measured, says so under [energy] of office.toml.
"""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from protocol.usage import LINK_NAMES

_NANOJOULES_MAX = 1_000_000_000
_NJ_PER_UJ = 1000
_UJ_PER_MJ = 1000
_UJ_PER_J = 1_000_000

Nanojoules = Annotated[int, Meta(ge=0, le=_NANOJOULES_MAX)]


class LinkEnergy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nanojoules that a device's end of a link takes: for a byte that it sends, one that it receives, and each datagram besides."""

    sent_byte_nj: Nanojoules = 0
    received_byte_nj: Nanojoules = 0
    datagram_nj: Nanojoules = 0


class EnergySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model, by kind of link. 190 mA x 3.3 V x 8 bits / 54 Mbit/s = 93 nJ; the others alike."""

    udp: LinkEnergy = LinkEnergy(93, 49, 3_300_000)
    serial: LinkEnergy = LinkEnergy()
    ble: LinkEnergy = LinkEnergy(3_432, 2_640, 990_000)


class Moved(NamedTuple):
    """What a device's end of a link did."""

    sent_bytes: int
    received_bytes: int
    datagrams: int


def estimated_uj(model: EnergySection, link: int, moved: Moved) -> int:
    """Return the estimate for one link, microjoules, rounded down; 0 for a kind of link that is not known here."""
    if link >= len(LINK_NAMES):
        return 0
    cost: LinkEnergy = getattr(model, LINK_NAMES[link])
    nanojoules = moved.sent_bytes * cost.sent_byte_nj + moved.received_bytes * cost.received_byte_nj
    return (nanojoules + moved.datagrams * cost.datagram_nj) // _NJ_PER_UJ


def energy_text(microjoules: int) -> str:
    """Return an energy as a person reads it: 12 mJ, 3.4 J."""
    if microjoules < _UJ_PER_J:
        return f"{microjoules // _UJ_PER_MJ} mJ"
    tenths = microjoules * 10 // _UJ_PER_J
    return f"{tenths // 10:,}.{tenths % 10} J"
