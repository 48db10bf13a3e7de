"""A whole site on this machine: folders, keys and real processes of one office, one gateway and some devices.

The demonstration and the tests that kill processes are written over this; nothing here knows their stories.
Everything binds to loopback. Each process logs to a file of its own under logs/.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from protocol.diagnostic import INTERNAL, Diagnostic, DiagnosticError
from tools.device import run_command
from tools.ports import free_port
from tools.relay import TcpRelay, UdpRelay

READY_SECONDS_MAX = 20.0


def end_process(process: subprocess.Popen[Any], seconds: float) -> None:
    """Ask a process to end, and kill it if it has not after so many seconds."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Service:
    """One real process that can be started, killed and started again; its output goes to a log file."""

    def __init__(self, name: str, command: list[str], log: Path, ready: str = ""):
        self.name = name
        self.command = command
        self.log = log
        self.ready = ready
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0

    async def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start the process and wait for its ready line. env is added to this process's environment.

        Raises DiagnosticError if it ends or stays silent instead, with the end of its log.
        """
        self.starts += 1
        offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as sink:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,  # Ctrl-C reaches only the demonstration, which then stops the rest in order
            )
        if self.ready:
            await self._wait_ready(offset)

    async def _wait_ready(self, offset: int) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_SECONDS_MAX
        while loop.time() < deadline:
            if self.ready.encode() in self.log.read_bytes()[offset:]:
                return
            if self.process is None or self.process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        raise self.failed(f"{self.name} did not become ready")

    def failed(self, message: str) -> DiagnosticError:
        """Return the error that says a process of this site failed, with the end of its log."""
        tail = self.log.read_text(errors="replace").splitlines()[-3:]
        return DiagnosticError(
            [Diagnostic("site-process-failed", f"{message}: {' / '.join(tail)}", fix=f"read {self.log}")],
            INTERNAL,
        )

    @property
    def is_running(self) -> bool:
        """Say whether the process runs now."""
        return self.process is not None and self.process.returncode is None

    def send_kill(self) -> None:
        """SIGKILL, without waiting for the end."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    async def kill(self) -> None:
        """SIGKILL: nothing of the process runs any more when this returns."""
        self.send_kill()
        await self.ended()

    async def stop(self, number: int = signal.SIGTERM, seconds: float = 15.0) -> int | None:
        """Ask the process to end; kill it after the given time. Returns its exit code, None if it never ran."""
        if self.process is None:
            return None
        if self.process.returncode is None:
            self.process.send_signal(number)
            try:
                await asyncio.wait_for(self.process.wait(), seconds)
            except TimeoutError:
                await self.kill()
        return self.process.returncode

    async def ended(self) -> int | None:
        """Wait until the process has ended by itself; return its exit code."""
        return await self.process.wait() if self.process is not None else None


class Site:
    """One office, one gateway and devices under one folder, with relays on both hops."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.office_folder = folder / "office"
        self.gateway_folder = folder / "gateway"
        self.logs = folder / "logs"
        self.office_port = free_port(socket.SOCK_STREAM)
        self.page_port = free_port(socket.SOCK_STREAM)
        self.gateway_port = free_port(socket.SOCK_DGRAM)
        self.link = UdpRelay(("127.0.0.1", self.gateway_port))
        self.uplink = TcpRelay(("127.0.0.1", self.office_port))
        self.office = self._service(
            "office", "office_ingest", "serve", self.office_folder / "office.toml", "serving on"
        )
        self.gateway = self._service(
            "gateway", "gateway", "run", self.gateway_folder / "gateway.toml", "listening on"
        )
        self.devices: list[Service] = []
        self.device_ids: list[bytes] = []

    def _service(self, name: str, module: str, verb: str, config: Path, ready: str) -> Service:
        # -P: a folder of the user's with a name like ours must not come before the installed packages.
        command = [sys.executable, "-P", "-m", module, verb, "--config", str(config)]
        return Service(name, command, self.logs / f"{name}.log", ready)

    def add_device(self, device: bytes, folder: Path) -> Service:
        """Add the device that was provisioned in a folder."""
        service = Service(folder.name, run_command(folder), self.logs / f"{folder.name}.log")
        self.devices.append(service)
        self.device_ids.append(device)
        return service

    @property
    def page(self) -> str:
        """Return the address of the office's page for people."""
        return f"http://127.0.0.1:{self.page_port}/"

    async def open_relays(self) -> None:
        """Start both relays; their addresses are then known for the configuration files."""
        self.logs.mkdir(parents=True, exist_ok=True)
        await self.link.start()
        await self.uplink.start()

    async def close(self) -> None:
        """Kill whatever still runs and close the relays."""
        services = [*self.devices, self.gateway, self.office]
        # All before the first wait: a second Ctrl-C may end the waiting, and nothing may outlive us.
        for service in services:
            service.send_kill()
        for service in services:
            await service.ended()
        self.link.stop()
        await self.uplink.stop()
