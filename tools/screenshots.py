"""Makes the pictures of the page that the README shows: `python -m tools.screenshots` writes docs/pictures/*.png.

A fleet of 200 devices, some of them the very agent, in an office of its own; Debian's Chromium, no network.
"""

import sys
import tempfile
from pathlib import Path

from tools.page_browser import CHROMIUM, FLAGS
from tools.page_office import running_office

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
DEVICES = 200
_SIZE = {"width": 1200, "height": 760}


def main() -> int:
    """Write the pictures; return the exit code."""
    if not CHROMIUM.exists():
        print(f"{CHROMIUM} is missing. Install it with: sudo apt-get install chromium", file=sys.stderr)
        return 3
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="outstation-pictures-") as place,
        running_office(Path(place), DEVICES) as office,
    ):
        _take(office.url, office.fleet.live[0].device.hex(), office.fleet.release)
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
            page.goto(f"{url}/boards")
            page.wait_for_selector(".age.live")
            page.screenshot(path=FOLDER / f"boards-{scheme}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
