"""What a segment costs over UDP and over a serial line: round trips and bytes of the device's own client and the whole gateway, counted and printed.

BLE: test_ble_cost.py. Answers carry custody alone here; receipts of the office ride on some. Not counted: Ethernet's or a radio's own headers; start and stop bits of a UART, which are two in ten.
"""

from protocol.slipmux import encode_frame
from tests.gateway.serial_bench import over_line, serial_settings
from tests.gateway.site import custody_of, segment
from tests.support.serial_lines import Plug

SEGMENT_BYTES = 500
SEGMENTS = 20
IPV4_UDP_BYTES, IPV6_UDP_BYTES = 28, 48
# CoAP's and OSCORE's own on a request and its answer, of one lane's custody: more is a finding.
OVERHEAD_BYTES_MAX = 40
ANSWER_BYTES_MAX = 80


class Counted:
    """A device's link, its datagrams counted. up, down: (datagrams, bytes, bytes as frames of slipmux)."""

    def __init__(self, link):
        self._link = link
        self.begin()

    def begin(self):
        self.up = self.down = (0, 0, 0)

    def send(self, datagram):
        self.up = _more(self.up, datagram)
        self._link.send(datagram)

    async def recv(self, timeout_ms):
        datagram = await self._link.recv(timeout_ms)
        if datagram is not None:
            self.down = _more(self.down, datagram)
        return datagram

    def __getattr__(self, name):
        return getattr(self._link, name)


def _more(counted, datagram):
    return tuple(a + b for a, b in zip(counted, (1, len(datagram), len(encode_frame(datagram))), strict=True))


def _of_size(number):
    """Return a segment of SEGMENT_BYTES."""
    bare = len(segment(number, size=100))
    return segment(number, size=SEGMENT_BYTES - bare + 100)


async def measure(device):
    """Return the link after SEGMENTS segments, each in custody; the context is confirmed before."""
    link = device.client._link = Counted(device.link)
    assert custody_of(await device.send(_of_size(0))) == 1
    link.begin()
    for number in range(1, SEGMENTS + 1):
        assert custody_of(await device.send(_of_size(number))) == number + 1
    return link


def check(link):
    """One round trip a segment; what is more than the segment is bounded both ways. Return bytes a segment, up and down together."""
    assert (link.up[0], link.down[0]) == (SEGMENTS, SEGMENTS)
    assert SEGMENT_BYTES < link.up[1] / SEGMENTS <= SEGMENT_BYTES + OVERHEAD_BYTES_MAX
    assert link.down[1] / SEGMENTS <= ANSWER_BYTES_MAX
    return (link.up[1] + link.down[1]) / SEGMENTS, (link.up[2] + link.down[2]) / SEGMENTS


def test_segment_over_udp_is_one_round_trip_of_its_own_size(site):
    """No acknowledgement by itself, no second Echo, nothing repeated."""

    async def body(running):
        running.office.gives_receipts = False
        size, _ = check(await measure(running.device(ack_timeout_ms=20_000)))
        v4, v6 = size + 2 * IPV4_UDP_BYTES, size + 2 * IPV6_UDP_BYTES
        print(
            f"UDP: {size:.0f} bytes a segment of {SEGMENT_BYTES}, 1 round trip; {v4:.0f} with IPv4, {v6:.0f} with IPv6"
        )

    site(body)


def test_segment_over_a_serial_line_is_one_round_trip_and_little_framing(site, tmp_path):
    """Slipmux adds a head, a checksum, an end, and an escape where a byte asks for one: about one in 128."""
    plug = Plug(tmp_path / "ttyUSB0")

    async def body(running):
        running.office.gives_receipts = False
        size, framed = check(await measure(over_line(plug, 1, ack_timeout_ms=20_000)))
        print(
            f"serial: {framed:.0f} bytes a segment of {SEGMENT_BYTES}, 1 round trip; {framed - size:.1f} of them framing"
        )
        assert framed - size < 2 * 8 + size / 64

    site(body, more=serial_settings(plug))
