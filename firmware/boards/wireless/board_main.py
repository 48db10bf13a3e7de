"""A board with Wi-Fi or a serial line as a device: what it says of itself, which agent runs, and that something always runs.

One file for all of them; board_chip, board_flash and board_pins are each board's own. Not tried on silicon: docs/operating/boards.md.

A board that nobody provisioned, or whose service pin is held low at its start, ends here and leaves the console to a person. From the
moment the agent runs the console takes nothing any more.
"""

import asyncio
import gc
import json
import os
import sys
import time

import board_chip
import board_flash
import board_pins
import machine
import micropython
import vfs

import protocol
import rules
from protocol._const import const

_ROOT = "/"
# A board whose agent ends again and again leaves time to hold the service pin.
_PAUSE_MS = const(3000)
# The service pin may be one that the ROM reads at a reset (ESP32): it is looked at for a while after it.
_SERVICE_LOOKS = const(30)
_SERVICE_LOOK_MS = const(50)


def image_digest() -> bytes:
    """Return the digest of the frozen sources, as the build wrote it down; zeros in an image that was made without it."""
    try:
        from board_image import DIGEST  # type: ignore[import-not-found]  # written by the build
    except ImportError:
        return bytes(32)
    return bytes.fromhex(DIGEST)


def version_line(digest: bytes) -> str:
    """Return what runs here, in one line. digest: of the image."""
    release = ".".join([str(part) for part in sys.implementation.version[:3]])
    text = "outstation device on {}: protocol {}, rules {}, MicroPython {}, image {}"
    return text.format(board_pins.NAME, protocol.VERSION, rules.VERSION, release, digest.hex()[:16])


def _read(name: str) -> bytes:
    with open(_ROOT + name, "rb") as file:
        return file.read()


_causes: list = []


def reset_cause() -> int:
    """Return why this boot happened, as agent.board names it. The chip is asked once: it may forget with the answer."""
    if not _causes:
        _causes.append(board_chip.take_cause())
    return _causes[0]


def read_settings():
    """Return the items of device.json, or None on a board that was not provisioned."""
    try:
        return json.loads(_read("device.json"))
    except (OSError, ValueError):
        return None


def read_claim():
    """Return the items of claim.json on a board that waits to be admitted, else None."""
    from agent.newcomer import Folder
    from agent.newcomer import read_claim as read

    return read(Folder(_ROOT))


def is_service_asked() -> bool:
    """Return whether a person pulls the service pin low in the first moments."""
    pin = machine.Pin(board_pins.SERVICE, machine.Pin.IN, machine.Pin.PULL_UP)
    for _ in range(_SERVICE_LOOKS):
        if pin.value() == 0:
            return True
        time.sleep_ms(_SERVICE_LOOK_MS)
    return False


class Feeder:
    """The hardware watchdog. Armed with the first feeding: the recovery at boot may take longer than it waits."""

    def __init__(self, timeout_ms: int):
        self._timeout_ms = timeout_ms
        self._dog = None

    def feed(self) -> int:
        """Begin, or go on, to be watched; the number is of no meaning."""
        if self._dog is None:
            self._dog = machine.WDT(timeout=self._timeout_ms)  # type: ignore[assignment]  # None until then
        self._dog.feed()  # type: ignore[attr-defined]  # see above
        return 0


def _starve(names) -> None:
    # Who is not fed any more resets; nothing else is to be done here.
    print("watchdog: no sign of life from " + ", ".join(names))


def _choose(items: dict, cause: int):
    """Return (window, rooms, choice) of this boot, and let `import agent` find the agent that is due."""
    from agent.layout import window_sectors
    from agent.rooms import ROOMS_SECTORS, Rooms
    from agent.starter import choose_agent, start_agent

    window = board_flash.open_window(window_sectors(items["flash_sectors"]))
    if not items.get("agents"):
        return window, None, None
    rooms = Rooms(board_flash.open_rooms(ROOMS_SECTORS), sys.implementation._mpy)
    choice = choose_agent(window, rooms, cause)
    start_agent(choice, rooms, vfs.mount, list(sys.path))
    return window, rooms, choice


def build_board(items: dict, window, rooms, choice, feed):
    """Return the board that this machine is. feed: of the watchdog."""
    import wiring

    from agent.aes import Aes128
    from agent.board import Board, measure_heap
    from agent.schema import read_schema
    from protocol.attestation import DISABLED

    schema = _read("schema.cbor")
    channels = len(read_schema(schema))
    settings = items.get("board", {})
    board = Board(
        window,
        wiring.build_link(items),
        wiring.build_sensor(settings, channels, _ROOT + "recording.csv", items.get("recording_offset", 0)),
        wiring.Relays().move,
        time.ticks_ms,
        time.ticks_diff,
        asyncio.sleep_ms,
        os.urandom,
        Aes128,
        schema,
        _read("bundle.cbor"),
    )
    board.reset_cause = reset_cause()
    board.free_heap = gc.mem_free
    board.heap = measure_heap
    board.feed = feed
    board.starve = _starve
    board.restart = board_chip.restart
    if choice is not None:
        choice.tell(board, rooms)
    board.image_digest = image_digest()
    # run_agent ends the console's interrupt; only service mode, before an agent runs, has one that takes Python.
    board.debug = DISABLED
    board.agent_digest = board.agent or board.image_digest
    return board


async def _run(agent, board, items: dict) -> None:
    import wiring
    from teller import Teller

    settings = items.get("board", {})
    tasks = [asyncio.create_task(Teller(board.link, print).watch(asyncio.sleep_ms))]
    if "wifi" in wiring.links_of(settings):
        from wifi import Wifi

        wifi = Wifi(settings["wifi"]["ssid"], settings["wifi"]["key"])
        tasks.append(asyncio.create_task(wifi.keep(asyncio.sleep_ms, print)))
    if hasattr(board.sensor, "keep_ahead"):
        # A conversion may last most of a second, in which a board that waits for it does nothing else.
        tasks.append(asyncio.create_task(board.sensor.keep_ahead(agent.until_sample_ms, asyncio.sleep_ms)))
    await agent.run()
    for task in tasks:
        task.cancel()


def run_agent(items: dict, cause: int) -> None:
    """Run the agent until something ends it."""
    window, rooms, choice = _choose(items, cause)
    feeder = Feeder(board_chip.WATCHDOG_MS)
    if choice is not None and choice.is_counted:
        # An agent on trial may hang where it is imported; one that takes too long to recover is as bad.
        feeder.feed()
    from agent.app import Agent
    from agent.config import Config

    board = build_board(items, window, rooms, choice, feeder.feed)
    agent = Agent(Config(items), board)
    gc.collect()
    print("device {} runs, boot {}, {} bytes of heap free".format(items["device"], agent.boot, gc.mem_free()))
    print("flash window {} sectors at {}".format(window.sectors, board_flash.WINDOW_AT))
    asyncio.run(_run(agent, board, items))


async def _announce(items: dict):
    import wiring

    from agent.aes import Aes128
    from agent.newcomer import Newcomer, claim_of

    settings = items.get("board", {})
    link = wiring.build_link(items)
    tasks = []
    if "wifi" in wiring.links_of(settings):
        from wifi import Wifi

        wifi = Wifi(settings["wifi"]["ssid"], settings["wifi"]["key"])
        tasks.append(asyncio.create_task(wifi.keep(asyncio.sleep_ms, print)))
    board, secret = claim_of(items)
    newcomer = Newcomer(
        board, secret, board_pins.NAME, link, Aes128, time.ticks_ms, os.urandom, asyncio.sleep_ms
    )
    # Joining has begun before the first word is sent, which would be lost without it.
    await asyncio.sleep_ms(0)
    print("board {} announces itself".format(items["claim"]["board"]))
    admission = await newcomer.run()
    for task in tasks:
        task.cancel()
    return admission


def run_newcomer(items: dict) -> None:
    """Announce a board without keys until it is admitted, and make it the device that it is to be. items: of claim.json."""
    from agent.layout import window_sectors
    from agent.newcomer import Folder, install

    try:
        admission = asyncio.run(_announce(items))
        window = board_flash.open_window(window_sectors(items["flash_sectors"]))
        install(window, Folder(_ROOT), admission, items)
        print("board {} is admitted".format(items["claim"]["board"]))
    except Exception as error:
        sys.print_exception(error)
        time.sleep_ms(_PAUSE_MS)


def run() -> None:
    """Run the agent for ever: whatever ends it, the board begins anew. Returns on a board that is not to run one."""
    cause = reset_cause()
    print(version_line(image_digest()))
    print("reset cause {}, {} bytes of heap free".format(cause, gc.mem_free()))
    items = read_settings()
    claim = read_claim() if items is None else None
    if items is None and claim is not None and not is_service_asked():
        run_newcomer(claim)
        board_chip.restart()
    if items is None or is_service_asked():
        print("not provisioned: no settings on flash" if items is None else "service: the console is yours")
        return
    # Whoever reaches the console of a running device may listen, and nothing else.
    micropython.kbd_intr(-1)
    try:
        run_agent(items, cause)
    except Exception as error:
        sys.print_exception(error)
    time.sleep_ms(_PAUSE_MS)
    board_chip.restart()
