"""The story of a demonstration, told over real processes: start, cut, kill, power loss, mend, stop, drain.

Every step is a small coroutine; `run_story` starts them side by side and returns what was done to the site and when.
"""

import asyncio
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.demo.layout import remove_fault, signing_key
from tools.demo.plan import Plan
from tools.demo.releases import BAD, GOOD, Author, Change, is_kept, is_taken_back, until_all
from tools.demo.screen import Screen, View
from tools.site import Site

POWER_CUT = 70
DRAIN_SECONDS_MAX = 30.0
_LOOK_EVERY_S = 0.5


@dataclass
class Told:
    """What was done. Times are wall clock in milliseconds since 1970, as in the databases; for measuring only."""

    start_ms: int = 0
    cut_ms: int = 0
    mend_ms: int = 0
    stop_ms: int = 0
    end_ms: int = 0
    gateway_kills: int = 0
    power_cuts: int = 0
    kept: bool = False
    taken_back: bool = False
    drained: bool = False


def now_ms() -> int:
    """Return the wall clock in milliseconds since 1970."""
    return int(time.time() * 1000)


async def run_story(site: Site, plan: Plan, view: View, screen: Screen) -> Told:
    """Run the whole story; return what was done. The caller closes the site."""
    told = Told()
    await site.office.start()
    view.office = "serving"
    view.tell(f"see it live: {site.page}")
    await site.gateway.start()
    view.gateway = "serving"
    for service, line in zip(site.devices, view.lines, strict=True):
        await service.start()
        line.state = "running"
        screen.draw()
    told.start_ms = now_ms()
    view.tell(f"{len(site.devices)} devices sample, decide and record")
    clock = _Clock()
    author = Author(site.office_folder / "office.db", signing_key(site), site.folder, now_ms)
    watcher = asyncio.create_task(_watch(site, view, screen, clock))
    try:
        await asyncio.gather(
            _cut_and_mend(site, plan, view, clock, told),
            _kill_gateway(site, plan, view, clock, told),
            _restart_victim(site, plan, view, told),
            _release_twice(author, plan, view, clock, told),
            clock.until(plan.seconds),
        )
        await _stop_devices(site, view, told)
        await _drain(site, view, told)
        told.end_ms = now_ms()
        await site.gateway.stop()
        await site.office.stop()
        view.office = view.gateway = "stopped"
    finally:
        watcher.cancel()
    return told


class _Clock:
    """Seconds since the story began, on the monotonic clock."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def elapsed(self) -> float:
        return time.monotonic() - self.began

    async def until(self, second: float) -> None:
        await asyncio.sleep(max(0.0, second - self.elapsed()))


async def _cut_and_mend(site: Site, plan: Plan, view: View, clock: _Clock, told: Told) -> None:
    await clock.until(plan.cut_s)
    site.uplink.cut()
    told.cut_ms = now_ms()
    view.uplink = "cut"
    view.tell(f"the uplink is cut for {plan.cut_seconds:.0f} s; devices and gateway go on")
    await clock.until(plan.mend_s)
    site.uplink.mend()
    told.mend_ms = now_ms()
    view.uplink = "up"
    view.tell("the uplink is back; the gateway drains its outbox")


async def _kill_gateway(site: Site, plan: Plan, view: View, clock: _Clock, told: Told) -> None:
    await clock.until(plan.kill_s)
    await site.gateway.kill()
    told.gateway_kills += 1
    view.gateway = "killed"
    view.tell("the gateway is killed (SIGKILL); devices keep what nobody has in custody")
    await clock.until(plan.restart_s)
    await site.gateway.start()
    view.gateway = "serving"
    view.tell("the gateway is back; each device proves itself again (Echo)")


async def _restart_victim(site: Site, plan: Plan, view: View, told: Told) -> None:
    service, line = site.devices[plan.victim], view.lines[plan.victim]
    try:
        code = await asyncio.wait_for(service.ended(), plan.seconds)
    except TimeoutError:
        raise service.failed(f"{service.name} did not lose power in {plan.seconds:.0f} s") from None
    if code != POWER_CUT:
        raise service.failed(f"{service.name} ended with exit code {code} instead of losing power")
    told.power_cuts += 1
    line.state = "no power"
    view.tell(f"{service.name} loses power in the middle of a flash program: a torn write")
    await asyncio.sleep(1.0)
    remove_fault(site.folder / service.name)
    await service.start()
    line.state = "running"
    view.tell(f"{service.name} starts again: skips the torn page, folds its journal, goes on")


async def _release_twice(author: Author, plan: Plan, view: View, clock: _Clock, told: Told) -> None:
    await clock.until(plan.release_s)
    number = await _release(author, GOOD, view, tested=True)
    # Whoever has not adopted it before the cut does after it.
    seconds = plan.bad_s - clock.elapsed()
    told.kept = await until_all(author, number, is_kept, seconds, _counting(view, number, "run it"))
    await clock.until(plan.bad_s)
    number = await _release(author, BAD, view, tested=False)
    counting = _counting(view, number, "rolled back to the release before")
    told.taken_back = await until_all(author, number, is_taken_back, plan.seconds - clock.elapsed(), counting)
    await asyncio.to_thread(author.halt, number)
    view.tell(f"release {number} is halted; the release before it goes on")


async def _release(author: Author, change: Change, view: View, *, tested: bool) -> int:
    view.tell(f"a rule is changed: {change.words}")
    number = await asyncio.to_thread(lambda: author.release(change, tested=tested))
    view.tell(f"release {number}: compiled, proved, signed with HSS/LMS, rolled out")
    return number


def _counting(view: View, number: int, words: str) -> Callable[[int], None]:
    said = [0]

    def tell(count: int) -> None:
        if count > said[0]:
            said[0] = count
            view.tell(f"release {number}: {count} of {len(view.lines)} devices {words}")

    return tell


async def _stop_devices(site: Site, view: View, told: Told) -> None:
    told.stop_ms = now_ms()
    view.tell("devices stop sampling, seal what is open and wait for their receipts")
    for line in view.lines:
        line.state = "draining"
    codes = await asyncio.gather(
        *(service.stop(signal.SIGINT, DRAIN_SECONDS_MAX) for service in site.devices)
    )
    for service, line, code in zip(site.devices, view.lines, codes, strict=True):
        line.state = "stopped"
        if code:
            raise service.failed(f"{service.name} ended with exit code {code}")


async def _drain(site: Site, view: View, told: Told) -> None:
    """Wait until the gateway holds nothing that the office has not receipted."""
    deadline = time.monotonic() + DRAIN_SECONDS_MAX
    while time.monotonic() < deadline:
        if not sum(waiting_by_device(site.gateway_folder / "gateway.db").values()):
            told.drained = True
            view.tell("everything recorded is receipted")
            return
        await asyncio.sleep(0.2)
    view.tell(f"the gateway's outbox is not empty after {DRAIN_SECONDS_MAX:.0f} s")


async def _watch(site: Site, view: View, screen: Screen, clock: _Clock) -> None:
    while True:
        view.elapsed_s = clock.elapsed()
        for service, line in zip(site.devices, view.lines, strict=True):
            if line.state == "running" and not service.is_running:
                line.state = "ended"
        _look(site, view)
        screen.draw()
        await asyncio.sleep(_LOOK_EVERY_S)


def _look(site: Site, view: View) -> None:
    held = held_by_device(site.office_folder / "office.db")
    waiting = waiting_by_device(site.gateway_folder / "gateway.db")
    for device, line in zip(site.device_ids, view.lines, strict=True):
        line.events, line.segments, line.decisions = held.get(device, (0, 0, 0))
        line.waiting = waiting.get(device, 0)


def _read(database: Path, query: str) -> list[tuple]:
    """Return the rows of a query, read-only; nothing while the database is not there yet or busy."""
    if not database.is_file():
        return []
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1.0) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


def held_by_device(database: Path) -> dict[bytes, tuple[int, int, int]]:
    """Return events, segments and decisions that the office holds of each device."""
    rows = _read(database, "SELECT device, events, segments, decisions FROM tallies")
    return {bytes(row[0]): row[1:] for row in rows}


def waiting_by_device(database: Path) -> dict[bytes, int]:
    """Return the segments in custody at the gateway and not yet receipted, of each device."""
    rows = _read(database, "SELECT device, count(*) FROM segments WHERE raw IS NOT NULL GROUP BY device")
    return {bytes(device): count for device, count in rows}
