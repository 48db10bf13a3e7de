"""Makes the pictures of the page that the README shows: `python -m tools.screenshots` writes docs/pictures/*.png.

A fleet of 200 devices, some of them the very agent, in an office of its own; Debian's Chromium, no network.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tools.page_bench import CHROMIUM, FLAGS
from tools.page_fleet import make_office

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
DEVICES = 200
READY_SECONDS_MAX = 30.0
_SIZE = {"width": 1200, "height": 760}


def main() -> int:
    """Write the pictures; return the exit code."""
    if not CHROMIUM.exists():
        print(f"{CHROMIUM} is missing. Install it with: sudo apt-get install chromium", file=sys.stderr)
        return 3
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="outstation-pictures-") as place:
        fleet = make_office(Path(place) / "office", devices=DEVICES, now_ms=time.time_ns() // 1_000_000)
        port = _free_port()
        text = fleet.config.read_text()
        fleet.config.write_text(text.partition("[page]")[0] + f"[page]\nport = {port}\n")
        command = [sys.executable, "-m", "office_ingest", "serve", "--config", str(fleet.config)]
        office = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url)
            _take(url, fleet.live[0].device.hex(), fleet.release)
        finally:
            office.terminate()
            office.wait()
    return 0


def _take(url: str, device: str, release: int) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport=_SIZE, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(url)
            page.wait_for_selector(".age.live")
            page.screenshot(path=FOLDER / f"devices-{scheme}.png")
            page.goto(f"{url}/devices/{device}")
            page.wait_for_selector("svg.chart")
            page.screenshot(path=FOLDER / f"device-{scheme}.png")
            page.goto(f"{url}/releases/{release}")
            page.wait_for_selector("svg.bar")
            page.screenshot(path=FOLDER / f"release-{scheme}.png")
            page.close()
        browser.close()


def _wait(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=2).close()  # noqa: S310 - our own loopback address
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{url} did not answer within {READY_SECONDS_MAX:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
