"""One boot of a device as a process of MicroPython's unix port: a file is the flash, a recording the sensor, UDP, a tty or a radio at an
address the link, or several of them.

unix_main.py starts it, and says which agent it imports here.
"""

import asyncio
import gc
import hashlib
import os
import sys
import time

from agent.aes import Aes128
from agent.app import Agent
from agent.board import POWER, SOFTWARE, WATCHDOG, Board, measure_heap
from agent.config import Config
from agent.flash import FileFlash
from agent.halt import KILL_POINT, POWER_CUT, halt
from agent.image import fit_image
from agent.links.udp import make_udp
from agent.schema import read_schema
from agent.sensors.recording import Recording

_SETTINGS_EXIT = 2
_WATCHDOG_EXIT = 72
_INTERRUPTED_EXIT = 130
# Never seen from outside: unix_main.py begins another boot.
_RESTART_EXIT = 73
_FOLDER_MARK = 0x4000


class Points:
    """Kill points by name: at the count-th time that one is reached the process ends, as under kill -9."""

    def __init__(self, counts: dict, flash):
        self._left = dict(counts)
        self._flash = flash

    def reach(self, name: str) -> None:
        """Pass a point, or end here."""
        if name in self._left:
            self._left[name] -= 1
            if self._left[name] <= 0:
                halt(KILL_POINT, self._flash)


class RecordLog:
    """Wall time of each event as it is recorded: measurement only, outside the journal."""

    def __init__(self, path: str):
        self._file = open(path, "a")

    def note(self, lane: int, order: int) -> None:
        """Append one line: lane, order, unix milliseconds."""
        # The port's file is unbuffered: a cut loses no line.
        self._file.write("{} {} {}\n".format(lane, order, time.time_ns() // 1000000))


class Gauge:
    """A battery's gauge that is a file: what is left in thousandths. Whoever tries a device out writes it, also while it runs."""

    def __init__(self, path: str):
        self._path = path

    def read(self):
        """Return thousandths, or None where there is no number."""
        try:
            with open(self._path) as file:
                return int(file.read())
        except (OSError, ValueError):
            return None


class ResetCause:
    """Keeps why the process ended, as a board's reset register does: nothing written means that power was lost."""

    def __init__(self, path: str):
        self._path = path

    def take(self) -> int:
        """Return the cause of this boot, and forget it."""
        try:
            with open(self._path) as file:
                cause = int(file.read())
        except (OSError, ValueError):
            return POWER
        os.remove(self._path)
        return cause

    def keep(self, cause: int) -> None:
        """Note the cause for the next boot."""
        with open(self._path, "w") as file:
            file.write(str(cause))


def _sources(folder: str):
    for entry in sorted(os.ilistdir(folder)):
        path = folder + "/" + entry[0]
        if entry[1] == _FOLDER_MARK:
            for inner in _sources(path):
                yield inner
        elif path.endswith(".py"):
            yield path


def agent_digest() -> bytes:
    """Return SHA-256 over the agent's files, in the order of their names."""
    digest = hashlib.sha256()
    for path in _sources(__file__[: __file__.rindex("/") + 1] + "agent" if "/" in __file__ else "agent"):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.digest()


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _flash(items: dict) -> FileFlash:
    sectors = fit_image(items["flash"], items["flash_sectors"])
    return FileFlash(items["flash"], sectors, on_cut=lambda: halt(POWER_CUT))


async def _arm(flash, fault: dict) -> None:
    """Cut the power on purpose: after so many more operations, counted from after_ms of real time on."""
    await asyncio.sleep_ms(fault.get("after_ms", 0))
    flash.cut_after(
        fault["power_cut_operation"], fault["mode"], programs_only=fault.get("programs_only", False)
    )


def _restart(cause: ResetCause):
    def restart() -> None:
        cause.keep(SOFTWARE)
        sys.exit(_RESTART_EXIT)

    return restart


def _starve(cause: ResetCause):
    def starve(names) -> None:
        print("watchdog: no sign of life from " + ", ".join(names))
        cause.keep(WATCHDOG)
        sys.exit(_WATCHDOG_EXIT)

    return starve


def _link(items: dict):
    order = items.get("order")
    if order:
        from agent.links.several import SeveralLinks

        return SeveralLinks([_one_link(items, kind) for kind in order], time.ticks_ms, time.ticks_diff)
    return _one_link(items, "serial" if items.get("serial") else "ble" if items.get("radio") else "udp")


def _one_link(items: dict, kind: str):
    if kind == "ble":
        from unix_radio import RadioLink

        return RadioLink(items["radio"], time.ticks_ms, time.ticks_diff)
    if kind == "serial":
        from unix_line import UnixLine

        from agent.links.serial import SerialLink

        return SerialLink(UnixLine(items["serial"], items["baud"]))
    return make_udp(items, os.urandom)


def build_board(items: dict, flash, cause: ResetCause, agents=None) -> Board:
    """Return the board that this machine is, from the items of device.json. agents: unix_main.Agents, None: there is no room for any."""
    schema = _read(items["schema"])
    sensor = Recording(items["recording"], len(read_schema(schema)), items.get("recording_offset", 0))
    board = Board(
        flash,
        _link(items["link"]),
        sensor,
        lambda action, value: None,
        time.ticks_ms,
        time.ticks_diff,
        asyncio.sleep_ms,
        os.urandom,
        Aes128,
        schema,
        _read(items["bundle"]),
    )
    if agents is not None:
        agents.tell(board)
        board.restart = _restart(cause)
    board.image_digest = agent_digest()
    board.agent_digest = board.agent or board.image_digest
    board.free_heap = gc.mem_free
    board.heap = measure_heap
    if items.get("battery"):
        board.battery = Gauge(items["battery"]).read
    board.reset_cause = cause.take()
    board.starve = _starve(cause)
    board.point = Points(items.get("points") or {}, flash).reach
    if items.get("record_log"):
        board.note = RecordLog(items["record_log"]).note
    return board


async def _run(agent: Agent, flash, items: dict, interrupts) -> None:
    tasks = []
    if interrupts is not None:
        tasks.append(asyncio.create_task(_stop_at(interrupts, agent)))
    if items.get("stop_after_ms"):
        tasks.append(asyncio.create_task(_stop_after(agent, items["stop_after_ms"])))
    if items.get("fault"):
        tasks.append(asyncio.create_task(_arm(flash, items["fault"])))
    try:
        await agent.run()
    finally:
        # Also where another boot begins: what waits here would stop the agent that is gone.
        for task in tasks:
            task.cancel()


async def _stop_at(interrupts, agent: Agent) -> None:
    await interrupts.next()
    agent.stop()
    await interrupts.next()
    # Somebody has no patience: what is sealed stays on flash, and is sent after the next start.
    sys.exit(_INTERRUPTED_EXIT)


async def _stop_after(agent: Agent, real_ms: int) -> None:
    await asyncio.sleep_ms(real_ms)
    agent.stop()


def main(items: dict, agents=None, interrupts=None) -> int:
    """Run one boot of a device until it is told to stop; return the exit code.

    items: of device.json; agents: unix_main.Agents or None; interrupts: unix_interrupts.Interrupts, None: they come as KeyboardInterrupt.
    """
    config = Config(items)
    cause = ResetCause(items["flash"] + ".reset")
    try:
        flash = _flash(items)
    except ValueError as error:
        print("{}; set flash_sectors as provisioned".format(error))
        return _SETTINGS_EXIT
    agent = None
    try:
        agent = Agent(config, build_board(items, flash, cause, agents))
        print("device {} runs, boot {}".format(items["device"], agent.boot))
        asyncio.run(_run(agent, flash, items, interrupts))
    except KeyboardInterrupt:
        asyncio.new_event_loop()
        try:
            if agent is None or agent.is_recording:
                # Memory and flash may be apart: what a boot makes of the flash is right by construction.
                cause.keep(SOFTWARE)
                agent = Agent(config, build_board(items, flash, cause, agents))
            asyncio.run(agent.drain())
        except KeyboardInterrupt:
            return _INTERRUPTED_EXIT
    cause.keep(SOFTWARE)
    return 0
