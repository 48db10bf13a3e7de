"""Measures the office's page with a fleet of 10,000 devices: how fast it answers, is seen, and what a viewer costs.

python -m tools.page_bench [--devices N] [--json FILE]        the second half of `make bench`

It has no peer to run against, as the benchmarks of tools/bench have, but budgets: each figure is shown as a share of its own.
The office is a real process on its own SQLite file; while it is measured a gateway's heartbeats arrive once a second, so that
every second the page reads the fleet anew. First rows, changes and growth are seen by headless Chromium (tools/page_browser.py);
without it they are skipped, and said so.
A budget that is exceeded is said, and ends nothing: on a busy machine it says nothing of the page.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import re
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from tools.page_browser import Slowness, changes, growth, loads, started_browser
from tools.page_fleet import Fleet, beat
from tools.page_office import Office, get, running_office, wall_ms

REQUESTS, REQUESTS_OF_OTHERS, LOADS, VIEWERS, LISTEN_S = 200, 50, 20, 100, 12
CHANGES, RECONNECTS = 20, 2_000
# A processor a quarter as fast, and a line of 4 Mbit/s.
SLOW = Slowness(processor=4, bytes_per_s=500_000)
# Until every viewer has its first picture, which is not what watching costs.
SETTLE_S = 2.0
# With 10,000 devices; docs/operating/page.md tells them to people. Answers and first rows: the 95th percentile.
LIMITS = {
    "answer_ms": 25.0,
    "first_row_ms": 400.0,
    "page_bytes": 150_000.0,
    "viewer_bytes_per_s": 1000.0,
    "first_row_slow_ms": 1500.0,
    "change_ms": 1200.0,
    "growth_mb": 5.0,
}


@contextlib.contextmanager
def beating(fleet: Fleet) -> Iterator[None]:
    """Let heartbeats arrive once a second, as they would through a gateway, until the block ends; in a process of its own."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    process = context.Process(target=_beat_until, args=(fleet, stop))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def _beat_until(fleet: Fleet, stop: Any) -> None:
    counter = 2
    while not stop.wait(1.0):
        beat(fleet, wall_ms, counter, devices=len(fleet.live))
        counter += 1


def quantiles(times_ms: list[float]) -> dict[str, float]:
    """Return median, 95th percentile and worst of times."""
    ordered = sorted(times_ms)
    p95 = ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]
    return {
        "median": round(statistics.median(ordered), 2),
        "p95": round(p95, 2),
        "worst": round(ordered[-1], 2),
    }


def answers(office: Office) -> dict[str, Any]:
    """Return how long the server takes for each kind of page, one request at a time."""
    device = office.fleet.live[0].device.hex()
    decision = re.search(rf"/devices/{device}/\d+", get(office.port, f"/devices/{device}").decode())
    assert decision
    pages = {
        "fleet": ["/", "/?page=2", "/?q=pump&sort=name", "/?state=silent", "/?sort=heard&page=40"],
        "device": [f"/devices/{one.device.hex()}" for one in office.fleet.live],
        "explain": [decision[0]],
        "findings": ["/findings"],
        "release": [f"/releases/{office.fleet.release}"],
    }
    return {
        name: quantiles(_times(office.port, paths, REQUESTS if name == "fleet" else REQUESTS_OF_OTHERS))
        for name, paths in pages.items()
    }


def _times(port: int, paths: list[str], count: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    times = []
    for at in range(count):
        started = time.perf_counter()
        get(port, paths[at % len(paths)], connection)
        times.append((time.perf_counter() - started) * 1000)
        time.sleep(0.013)  # not in step with the heartbeats
    connection.close()
    return times


def viewers(office: Office) -> dict[str, Any]:
    """Return what an open page costs: bytes a second, memory, processor time; all viewers look at the first page of the fleet."""
    before_mb = office.memory_mb()
    streams = [_stream(office.port) for _ in range(VIEWERS)]
    time.sleep(SETTLE_S)
    for stream in streams:
        _drain(stream)
    cpu_before, started = office.cpu_s(), time.monotonic()
    received = 0
    while time.monotonic() - started < LISTEN_S:
        time.sleep(0.5)
        received += sum(_drain(stream) for stream in streams)
    lasted = time.monotonic() - started
    cpu = office.cpu_s() - cpu_before
    memory_mb = office.memory_mb() - before_mb
    for stream in streams:
        stream.close()
    return {
        "viewers": VIEWERS,
        "bytes_per_s_each": round(received / lasted / VIEWERS, 1),
        "memory_mb_each": round(memory_mb / VIEWERS, 4),
        "cpu_percent_all": round(100 * cpu / lasted, 1),
    }


def _stream(port: int) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port), timeout=20)
    stream.sendall(b"GET /live?topic=%2F HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
    stream.recv(65536)
    stream.setblocking(False)
    return stream


def _drain(stream: socket.socket) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while piece := stream.recv(65536):
            count += len(piece)
    return count


def first_rows(office: Office) -> dict[str, Any] | str:
    """Return when the first row is on the screen of a fresh browser window, and what a page weighs; a reason where it cannot be."""
    with started_browser() as browser:
        if isinstance(browser, str):
            return browser
        plain = loads(browser, f"{office.url}/", LOADS)
        slow = loads(browser, f"{office.url}/", LOADS, SLOW)
    return {
        "first_row_ms": quantiles(plain.times_ms),
        "page_bytes": max(plain.weights),
        "heap_mb": round(max(plain.heaps) / 1e6, 2),
        "first_row_slow_ms": quantiles(slow.times_ms),
    }


def left_open(office: Office) -> dict[str, Any] | str:
    """Return how soon a page that is open shows a change, and by how much it grows over lost connections; a reason where it cannot be."""
    with started_browser() as browser:
        if isinstance(browser, str):
            return browser
        return {
            "change_ms": quantiles(changes(browser, office, CHANGES)),
            "reconnects": RECONNECTS,
            "growth_mb": round(growth(browser, f"{office.url}/", RECONNECTS) / 1e6, 2),
        }


def measure(folder: Path, devices: int) -> dict[str, Any]:
    """Return every figure. folder: an empty one on the disk that is measured."""
    with running_office(folder, devices) as office:
        quiet_mb = office.memory_mb()
        with beating(office.fleet):
            figures = {
                "devices": devices,
                "load": os.getloadavg()[0],
                "answer_ms": answers(office),
                "browser": first_rows(office),
                "live": viewers(office),
                "memory_mb": round(quiet_mb, 1),
            }
        # Its changes are made here, so that their moments are known: no other heartbeats come meanwhile.
        is_skipped = isinstance(figures["browser"], str)
        return figures | {"left_open": figures["browser"] if is_skipped else left_open(office)}


def shares(figures: dict[str, Any]) -> dict[str, float]:
    """Return each figure that has a budget as a share of it, above 1 where it is exceeded; what was skipped is not there."""
    measured = {f"answer_ms {name}": times["p95"] for name, times in figures["answer_ms"].items()}
    for part in (figures["browser"], figures.get("left_open", "")):
        for name in LIMITS:
            if not isinstance(part, str) and name in part:
                measured[name] = part[name]["p95"] if isinstance(part[name], dict) else part[name]
    measured["viewer_bytes_per_s"] = figures["live"]["bytes_per_s_each"]
    return {name: round(value / LIMITS[name.partition(" ")[0]], 3) for name, value in measured.items()}


def lines(figures: dict[str, Any]) -> list[str]:
    """Return the figures for a terminal."""
    share = shares(figures)
    load = f"load average {figures.get('load', 0.0):.1f} at the start"
    said = [
        f"{figures['devices']} devices, heartbeats every second; office process {figures['memory_mb']} MB; {load}"
    ]
    for name, times in figures["answer_ms"].items():
        said.append(f"{name + ' page':16} {_spread(times)}   {_of(share, f'answer_ms {name}')}")
    seen = figures["browser"]
    if isinstance(seen, str):
        said.append(f"{'first row':16} skipped: {seen}")
    else:
        said.append(f"{'first row':16} {_spread(seen['first_row_ms'])}   {_of(share, 'first_row_ms')}")
        weight = f"{seen['page_bytes']} bytes, script heap {seen['heap_mb']} MB"
        said.append(f"{'first view':16} {weight}   {_of(share, 'page_bytes')}")
    said += _left_open_lines(figures, share)
    live = figures["live"]
    cost = f"{live['bytes_per_s_each']} bytes/s, {live['memory_mb_each']} MB"
    said.append(f"{'a viewer':16} {cost}   {_of(share, 'viewer_bytes_per_s')}")
    said.append(f"{str(live['viewers']) + ' viewers':16} {live['cpu_percent_all']} % of a processor")
    return said


def _left_open_lines(figures: dict[str, Any], share: dict[str, float]) -> list[str]:
    seen, left = figures["browser"], figures.get("left_open", "")
    said = []
    for part, name, text in ((seen, "first_row_slow_ms", "row, slowly"), (left, "change_ms", "a change")):
        if name in share:
            said.append(f"{text:16} {_spread(part[name])}   {_of(share, name)}")
    if "growth_mb" in share:
        grown = f"{left['growth_mb']} MB more after {left['reconnects']} lost connections"
        said.append(f"{'left open':16} {grown}   {_of(share, 'growth_mb')}")
    return said


def _spread(times: dict[str, float]) -> str:
    return f"p95 {times['p95']:7.1f} ms   median {times['median']:7.1f}   worst {times['worst']:7.1f}"


def _of(share: dict[str, float], name: str) -> str:
    """Return how much of its budget a figure takes."""
    above = "  ABOVE IT" if share[name] > 1 else ""
    return f"{share[name]:.2f} of {LIMITS[name.partition(' ')[0]]:,.0f}{above}"


def _end_in_order(_number: int, _frame: Any) -> NoReturn:
    """Let a plain kill end the run as Ctrl-C does, with the office and all files."""
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.page_bench", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--json", type=Path, default=Path("build/page.json"), dest="json_file")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end_in_order)
    asked.json_file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=asked.json_file.parent) as folder:
        figures = measure(Path(folder), asked.devices)
    print("\n".join(lines(figures)))
    document = {
        "schema": "outstation.page-bench",
        "version": 1,
        **figures,
        "limits": LIMITS,
        "of_limit": shares(figures),
    }
    asked.json_file.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
