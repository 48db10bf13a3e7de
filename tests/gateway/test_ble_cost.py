"""What a segment costs over BLE: packets and bytes on the air, counted over virtual radios, and printed.

A packet is one L2CAP packet: ATT's piece with 7 bytes before it (opcode, handle; length, channel). The radio's own headers (10 bytes at 1 Mbit/s
each 251 bytes), its empty packets and its repetitions are not counted: bumble's controllers have none.
"""

import pytest

from protocol.slipmux import encode_frame
from tests.support.ble_site import BleSite

# A segment of 500 bytes in CoAP and OSCORE, and an answer with custody of one lane.
REQUEST_BYTES = 526
ANSWER_BYTES = 55
_COAP_BYTES = 11
SEGMENTS = 20


def measure(mtu):
    """Return (packets of finding and opening, packets a segment, bytes a segment)."""

    async def body(site):
        site.answer_bytes = ANSWER_BYTES - _COAP_BYTES
        device = site.device()
        assert await device.ask(0, REQUEST_BYTES - _COAP_BYTES)
        opened = site.air.packets
        bytes_before = site.air.bytes
        for question in range(1, SEGMENTS + 1):
            assert await device.ask(question, REQUEST_BYTES - _COAP_BYTES)
        assert device.transmissions == SEGMENTS + 1
        return opened, site.air.packets - opened, site.air.bytes - bytes_before

    opened, packets, size = BleSite(mtu=mtu, adapter_mtu=mtu).run(body)
    return opened - packets // SEGMENTS, packets / SEGMENTS, size / SEGMENTS


@pytest.mark.parametrize(("mtu", "packets"), [(23, 30), (61, 12), (185, 4), (247, 4), (512, 3)])
def test_segment_costs_its_pieces_and_nothing_else(mtu, packets):
    """One round trip, as many packets as frame and answer have pieces, seven bytes more for each."""
    opening, counted, size = measure(mtu)
    print(
        f"MTU {mtu}: {counted:.1f} packets and {size:.0f} bytes a segment, 1 round trip; {opening} packets to find and open"
    )

    framed = len(encode_frame(bytes(REQUEST_BYTES))) + len(encode_frame(bytes(ANSWER_BYTES)))
    assert packets <= counted <= packets + 1
    assert size - framed - 7 * counted < 10
    assert opening < 40
