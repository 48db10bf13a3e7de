"""The page as a browser has it: when its first row is seen, when a change is, and what it becomes when it is left open.

All times are of the page's own clock, or of this machine's wall clock where they begin outside the page.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tools.page_fleet import beat
from tools.page_office import Office, wall_ms

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# Above every counter of the heartbeats that came before.
_COUNTER = 1_000_000
# Not in step with the page, which looks once a second.
_CHANGE_EVERY_S = 1.07


class Slowness(NamedTuple):
    """processor: how many times slower; bytes_per_s: of the line."""

    processor: int
    bytes_per_s: int


class Loads(NamedTuple):
    """Of each load: when the first row was seen, bytes that came, script heap in bytes."""

    times_ms: list[float]
    weights: list[int]
    heaps: list[int]


@contextlib.contextmanager
def started_browser() -> Iterator[Any]:
    """Give a browser until the block ends; words that say why there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        yield "playwright is missing: pip install 'outstation[dev]'"
        return
    if not CHROMIUM.exists():
        yield f"{CHROMIUM} is missing: apt-get install chromium"
        return
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def loads(browser: Any, url: str, count: int, slowness: Slowness | None = None) -> Loads:
    """Load a page that often, each time in a fresh window."""
    seen = [_load(browser, url, slowness) for _ in range(count)]
    return Loads(*(list(column) for column in zip(*seen, strict=True)))  # type: ignore[arg-type]


# The moment after the frame that shows the row, on the clock that starts with the navigation.
_WHEN_SEEN = """() => new Promise(done => {
  const look = () => document.querySelector("tbody tr th a")
    ? requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))) : requestAnimationFrame(look);
  look();
})"""


def _load(browser: Any, url: str, slowness: Slowness | None) -> tuple[float, int, int]:
    context = browser.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    if slowness is not None:
        _slow_down(session, slowness)
    came: list[Any] = []

    # The driver marks its handlers, which a built-in method does not bear.
    def keep(answer: Any) -> None:
        came.append(answer)

    page.on("response", keep)
    page.goto(url, wait_until="commit")
    seen_ms = page.evaluate(_WHEN_SEEN)
    page.wait_for_load_state("load")
    weight = sum(len(answer.body()) for answer in came if "/live" not in answer.url)
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    context.close()
    return seen_ms, weight, heap


def _slow_down(session: Any, slowness: Slowness) -> None:
    session.send("Emulation.setCPUThrottlingRate", {"rate": slowness.processor})
    session.send("Network.enable")
    line = {"downloadThroughput": slowness.bytes_per_s, "uploadThroughput": slowness.bytes_per_s}
    session.send("Network.emulateNetworkConditions", {"offline": False, "latency": 0, **line})


# Notes the wall time of the frame after each one in which the element's text became another.
_WATCH = """id => {
  window.changes = [];
  const text = () => document.getElementById(id)?.textContent;
  let before = text();
  const look = () => {
    if (text() !== before) {
      before = text();
      requestAnimationFrame(() => window.changes.push(Date.now()));
    }
    requestAnimationFrame(look);
  };
  look();
}"""


def changes(browser: Any, office: Office, count: int) -> list[float]:
    """Change once a second what a device runs, and return how long after each heartbeat came an open page showed it, in milliseconds."""
    page = browser.new_page()
    page.goto(f"{office.url}/?sort=name&q=0001")
    page.locator("#age.live").wait_for()
    device, digest = office.fleet.live[0].device.hex(), bytes(range(32))
    page.evaluate(_WATCH, f"b-{device}")
    times = []
    for at in range(count):
        came: list[int] = []

        def clock(came: list[int] = came) -> int:
            came.append(wall_ms())
            return came[-1]

        beat(office.fleet, clock, _COUNTER + at, runs=(7 + at, digest))
        page.wait_for_function("count => window.changes.length >= count", arg=at + 1, timeout=15_000)
        times.append(float(page.evaluate("at => window.changes[at]", at) - came[0]))
        time.sleep(max(0.0, _CHANGE_EVERY_S - (wall_ms() - came[0]) / 1000))
    page.close()
    return times


# The page waits a second before it connects again; here it waits a moment.
QUICK_RECONNECTS = """
window.streams = []; window.opened = 0;
window.EventSource = class extends window.EventSource {
  constructor(...all) { super(...all); window.opened += 1; window.streams.push(this); }
};
const wait = window.setTimeout;
window.setTimeout = (call, delay, ...more) => wait(call, Math.min(delay ?? 0, 5), ...more);
"""
LOSE_CONNECTIONS = """async times => {
  for (let at = 0; at < times; at++) {
    const [stream] = window.streams.splice(0);
    stream.close();
    stream.onerror(new Event("error"));
    while (!window.streams.length || window.streams[0].readyState !== EventSource.OPEN) await new Promise(go => setTimeout(go, 5));
  }
}"""


def heap_bytes(session: Any) -> int:
    """Return what a page's script holds after everything else was given back."""
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"]


def growth(browser: Any, url: str, reconnects: int) -> int:
    """Let a page lose its stream that often and return by how many bytes its script's heap has grown."""
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(QUICK_RECONNECTS)
    page.goto(url)
    page.locator("#age.live").wait_for()
    session = context.new_cdp_session(page)
    before = heap_bytes(session)
    page.evaluate(LOSE_CONNECTIONS, reconnects)
    after = heap_bytes(session)
    context.close()
    return after - before
