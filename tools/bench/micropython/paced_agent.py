"""The very agent, one sample a turn, on a clock that goes on by one sample a turn: no waiting and no gateway.

Runs on MicroPython and, after `tools.shim.install()`, on CPython. What a turn does is the agent's own: sampling, rules,
recording, sealing, checkpoints, view periods. Left out is the exchange, which another benchmark measures.
"""

from agent.app import Agent
from agent.board import Board
from agent.config import Config
from agent.flash import SECTOR_BYTES
from agent.keystore import Keystore
from agent.layout import KEY_SECTOR, RING_SECTOR, window_sectors
from protocol.event import INPUTS
from protocol.keys import LANES, OFFICE, ROUTINE, SITE, seal_start, view_start
from protocol.messages import Receipt
from protocol.segment import parse_segment

SAMPLE_MS = 36000
# Device milliseconds in one of the board's clock: an hour of a recording is 36 of them.
SCALE = 1000
# So late that a segment is sealed when it is full, and never because it is old.
WHEN_FULL_MS = 1 << 30
AT_ONCE_MS = 0


class Rows:
    """A sensor over rows of readings, from an offset on, round and round. A value None is missing."""

    def __init__(self, rows, offset=0):
        self._rows = rows
        self._next = offset % len(rows)

    def read(self):
        """Return the next row."""
        row = self._rows[self._next]
        self._next = (self._next + 1) % len(self._rows)
        return row


class PacedAgent(Agent):
    """An agent whose loop is ours: turn() is one sample and all that follows from it."""

    def __init__(self, config, board, clock):
        self._paced = clock
        Agent.__init__(self, config, board)

    def turn(self) -> None:
        """Let the time of one sample pass and do what is due."""
        self._paced.now_ms += SAMPLE_MS // SCALE
        self._take_turn()

    def note_receipts(self) -> None:
        """Take receipts up to both heads, as if the office held everything: what is released may be overwritten."""
        journal = self._journal
        for lane in LANES:
            held = journal.lanes[lane]
            if held.next_number:
                number = held.next_number - 1
                generation = journal.keystore.seal_key(lane)[0]
                said = Receipt(journal.device, lane, journal.epoch, number, held.previous, generation)
                assert journal.note_receipt(said) == "ok"

    def seal_all(self) -> None:
        """Seal what is open."""
        for lane in LANES:
            self._journal.seal(lane)

    def record_inputs(self) -> None:
        """Record what each channel has read so far: without a link, telemetry's share of it is nothing, and none is recorded."""
        for channel in range(len(self._channels)):
            fields = self._telemetry.counted(channel)
            self._recorder.record(ROUTINE, self._clock.tick_ms(), INPUTS, fields)

    def sealed_events(self) -> int:
        """Return how many events both lanes hold or held, as the headers of the segments on flash say.

        An assertion fails where a segment does not continue the one before.
        """
        return sum([_events_up_to(self.segments(lane)) for lane in LANES])

    def view_keys(self, view_class: int, period: int) -> tuple:
        """Return (body key, iv key) of a view class and period that this device still holds."""
        return self._journal.view_keys(view_class, period)

    def ctr(self, key: bytes, iv: bytes, text: bytes) -> bytes:
        """Return text encrypted or decrypted as the journal does it."""
        return self._journal.ctr(key, iv, text)

    def segments(self, lane: int):
        """Yield the sealed bytes of a lane that are still on flash, in order."""
        for number in range(self._journal.kept_from(lane), self._journal.lanes[lane].next_number):
            yield self._journal.read(lane, number)


def _events_up_to(segments) -> int:
    """Return the sequence after the last event of segments in order: events that a ring gave up are in it."""
    after = None
    for raw in segments:
        header = parse_segment(raw).header
        assert after is None or header.first_sequence == after
        after = header.first_sequence + header.count
    return after or 0


class _Clock:
    def __init__(self):
        self.now_ms = 0

    def ticks_ms(self) -> int:
        return self.now_ms


def _difference(new: int, old: int) -> int:
    return new - old


async def _no_sleep(_ms: int) -> None:
    pass


def _no_move(action: int, value: int) -> None:
    pass


def provision(flash, seal_root: bytes, view_root: bytes, downlink: bytes) -> None:
    """Write a device's first keys to erased flash."""
    seal_keys = tuple([seal_start(seal_root, lane) for lane in LANES])
    ratchets = (view_start(view_root, SITE), view_start(view_root, OFFICE))
    Keystore(flash, KEY_SECTOR).provision(seal_keys, ratchets, downlink)


def boot(flash, device_hex: str, sensor, aes, schema: bytes, bundle: bytes, routine_seal_ms: int, note=None):
    """Return a PacedAgent that has booted from a provisioned flash. note(lane, order): told of each event, or None."""
    clock = _Clock()
    settings = {
        "device": device_hex,
        "link": {"kid": "01", "secret": "00" * 16},
        "sample_ms": SAMPLE_MS,
        "clock_scale": SCALE,
        "routine_seal_ms": routine_seal_ms,
    }
    board = Board(
        flash,
        None,
        sensor,
        _no_move,
        clock.ticks_ms,
        _difference,
        _no_sleep,
        bytes,
        aes,
        schema,
        bundle,
    )
    board.note = note
    return PacedAgent(Config(settings), board, clock)


def used_image(ring_sectors: int) -> bytearray:
    """Return the image of a flash whose ring has so many sectors, each full of what nobody needs, and all else erased."""
    image = bytearray(b"\xff" * (window_sectors(ring_sectors) * SECTOR_BYTES))
    start = RING_SECTOR * SECTOR_BYTES
    image[start : start + ring_sectors * SECTOR_BYTES] = bytes(ring_sectors * SECTOR_BYTES)
    return image
