"""What the agent needs of the machine it runs on. Everything that could differ, or be faked, is handed in through here."""

import gc

from protocol.attestation import ENABLED


class Board:
    """One machine.

    flash: a window (agent.flash). link: moves datagrams, counts sent_bytes, received_bytes and lost. sensor: read() -> raw values. move(action, value): one actuator.
    ticks_ms(), ticks_diff(new, old): the real clock, may wrap. sleep_ms(n): awaitable. random_bytes(n): unpredictable.
    aes: makes the block cipher of protocol.aead from a key. schema, bundle: bytes. agent_digest: of the code that runs.
    image_digest: of the image, whichever agent runs; debug: dbgstat of protocol.attestation.
    reset_cause: why this boot happened (POWER..UNKNOWN). free_heap(): bytes. heap(): (free, all) bytes after
    a collection, or None. battery(): what is left in thousandths, None without one. feed(), starve(names): the watchdog.
    rooms: where agents lie (agent.rooms), None where there is no room; agent: digest of the index of the one that runs, None: the
    image's; is_counted: the image counted this start of a trial. image_keeps_notes: so does the image's agent (agent.incumbent). find_file(digest) -> a file of it as it travelled, or None. restart(): begins a new boot, and does not return.
    point(name): kill points of tests. note(lane, order): told of each event as it is recorded, or None.
    """

    def __init__(
        self, flash, link, sensor, move, ticks_ms, ticks_diff, sleep_ms, random_bytes, aes, schema, bundle
    ):
        self.flash = flash
        self.link = link
        self.sensor = sensor
        self.move = move
        self.ticks_ms = ticks_ms
        self.ticks_diff = ticks_diff
        self.sleep_ms = sleep_ms
        self.random_bytes = random_bytes
        self.aes = aes
        self.schema = schema
        self.bundle = bundle
        self.agent_digest = bytes(32)
        self.image_digest = bytes(32)
        self.debug = ENABLED
        self.rooms = None
        self.agent = None
        self.is_counted = False
        self.image_keeps_notes = False
        self.find_file = _no_file
        self.restart = _cannot_restart
        self.reset_cause = UNKNOWN
        self.free_heap = _nothing
        self.heap = _unknown
        self.battery = _unknown
        self.feed = _nothing
        self.starve = _starve_nobody
        self.point = _pass
        self.note = None


# reset causes, as a boot event names them
POWER = 0
WATCHDOG = 1
SOFTWARE = 2
UNKNOWN = 3


def _nothing() -> int:
    return 0


def _unknown():
    return None


def _no_file(digest: bytes) -> None:
    return None


def _cannot_restart() -> None:
    raise RuntimeError("this board cannot restart itself")


def _starve_nobody(names) -> None:
    pass


def _pass(name: str) -> None:
    pass


def measure_heap() -> tuple:
    """Return (free, all) bytes of MicroPython's heap after a collection: what Board.heap is on every board."""
    gc.collect()
    free = gc.mem_free()  # type: ignore[attr-defined]  # MicroPython's
    return free, free + gc.mem_alloc()  # type: ignore[attr-defined]
