"""Real offices with a page: their processes, and the fleet that is in them."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tools.page_fleet import make_office
from tools.ports import free_port

READY_SECONDS = 20


class PageOffice:
    """One office process; url: of its page. It is started, killed and started again on the same port."""

    def __init__(self, folder: Path, *, devices: int, is_empty: bool = False):
        self.folder = folder
        now_ms = time.time_ns() // 1_000_000
        # Known before it starts, so that a restart comes back to the same address.
        self.port = free_port(socket.SOCK_STREAM)
        self.fleet = make_office(
            folder, devices=devices, now_ms=now_ms, page_port=self.port, is_empty=is_empty
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self):
        """Start the process and wait until its page answers."""
        command = [sys.executable, "-m", "office_ingest", "serve", "--config", str(self.fleet.config)]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ.copy())
        log.close()
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "the page did not answer in time"
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self):
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def get(self, path: str) -> bytes:
        """Return the body of a page."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read()

    @property
    def device(self) -> str:
        """Identity of the first live device, in hex."""
        return self.fleet.live[0].device.hex()

    def decision(self) -> str:
        """Path of the newest decision of the first live device."""
        found = re.search(rf"/devices/{self.device}/\d+", self.get(f"/devices/{self.device}").decode())
        assert found, "the live device decided nothing"
        return found[0]

    def paths(self) -> list[str]:
        """Return the address of a page of every kind."""
        if not self.fleet.live:
            return ["/", "/boards", "/findings", "/releases", "/docs", "/nothing-here"]
        return [
            "/",
            "/?q=pump&sort=name&page=2",
            "/?q=nobody",
            f"/devices/{self.device}",
            self.decision(),
            "/boards",
            "/findings",
            "/findings?all=1",
            "/releases",
            f"/releases/{self.fleet.release}",
            "/docs",
            "/nothing-here",
        ]
