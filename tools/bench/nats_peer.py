"""NATS JetStream as a peer of the gateway's store: one server here, one stream on disk, every publish synced before its ack.

The server is a program of its own, found by NATS_SERVER, beside this interpreter or on the PATH. One that does not know
`sync_interval` (Debian 12's 2.9 does not) is skipped: an ack that is not on disk would be another promise than ours.
"""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tools.bench.race import Contender, Lap, Skipped
from tools.ports import free_port
from tools.site import end_process

VARIABLE = "NATS_SERVER"
NAME = "NATS JetStream"
_READY_SECONDS_MAX = 10.0
_ENDED_SECONDS_MAX = 10.0
_ACK_SECONDS_MAX = 30.0
_ASK_SECONDS_MAX = 10.0
_STREAM, _SUBJECT = "segments", "site.segments"
_INSTALL = (
    "sudo apt-get install nats-server; where that is too old (Debian 12: 2.9), take a release from nats.io and name it: "
    f"{VARIABLE}=FILE make bench"
)


class Peer:
    """A running server, or the reason why there is none. url, version: of the server."""

    def __init__(self, url: str = "", version: str = "", missing: Skipped | None = None):
        self.url = url
        self.version = version
        self.missing = missing

    def contender(self, streams: list[list[bytes]]) -> Contender | Skipped:
        """Return the peer that publishes these payloads, one publisher a list, or why it cannot."""
        if self.missing is not None:
            return self.missing
        means = f"nats-server {self.version}, R1, file store, sync_interval always, message ids; acked when on disk"
        return Contender(NAME, means, lambda: asyncio.run(_publish_all(self.url, streams)))


@contextmanager
def nats_peer(folder: Path) -> Iterator[Peer]:
    """Run a server whose store lies below a folder, and end it; where it cannot run, the peer says why."""
    program = find_server()
    with tempfile.TemporaryDirectory(prefix="nats-", dir=folder) as name:
        place, port = Path(name), free_port(socket.SOCK_STREAM)
        settings = _write_settings(place, port)
        missing = _missing(program, settings)
        if missing is not None or program is None:
            yield Peer(missing=missing)
            return
        process = _start(program, settings)
        try:
            _wait_ready(process, port, place)
            yield Peer(f"nats://127.0.0.1:{port}", server_version(program))
        finally:
            end_process(process, _ENDED_SECONDS_MAX)


def find_server() -> str | None:
    """Return the path of nats-server: as NATS_SERVER names it, beside this interpreter, or on the PATH; None if nowhere."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return shutil.which(chosen) or chosen
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.is_file() else shutil.which("nats-server")


def server_version(program: str) -> str:
    """Return the version of a nats-server as "2.15.1", or "" if it is none that runs here."""
    found = re.search(r"v(\d+\.\d+\.\d+)", _ask(program, "--version").stdout)
    return found[1] if found else ""


def _ask(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=_ASK_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 1, "", str(error))


def _missing(program: str | None, settings: Path) -> Skipped | None:
    if program is None:
        return Skipped(NAME, "nats-server is not installed", _INSTALL)
    version = server_version(program)
    if not version:
        return Skipped(NAME, f"{program} is no nats-server that runs here", _INSTALL)
    # -t: only read the settings.
    if _ask(program, "-t", "-c", str(settings)).returncode:
        return Skipped(NAME, f"nats-server {version} does not know sync_interval: always", _INSTALL)
    if find_spec("nats") is None:
        return Skipped(NAME, "its client nats-py is not installed", "pip install 'outstation[bench]'")
    return None


def _write_settings(place: Path, port: int) -> Path:
    settings = place / "nats.conf"
    store = str(place / "store").replace('"', "")
    settings.write_text(
        f'host: "127.0.0.1"\nport: {port}\njetstream {{ store_dir: "{store}", sync_interval: always }}\n'
    )
    return settings


def _start(program: str, settings: Path) -> subprocess.Popen[bytes]:
    with (settings.parent / "nats.log").open("wb") as log:
        words = [program, "-c", str(settings)]
        # Ctrl-C reaches only us, who then end it in order.
        return subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def _wait_ready(process: subprocess.Popen[bytes], port: int, place: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS_MAX
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    tail = (place / "nats.log").read_text(errors="replace").splitlines()[-3:]
    raise RuntimeError(f"nats-server did not come up: {' / '.join(tail)}")


async def _publish_all(url: str, streams: list[list[bytes]]) -> Lap:
    import nats
    from nats.js.api import StorageType, StreamConfig

    client = await nats.connect(url, allow_reconnect=False)
    try:
        js = client.jetstream(timeout=_ACK_SECONDS_MAX)
        await js.add_stream(StreamConfig(name=_STREAM, subjects=[_SUBJECT], storage=StorageType.FILE))
        named = [
            [(f"{number}.{place}", raw) for place, raw in enumerate(stream)]
            for number, stream in enumerate(streams)
        ]
        started = time.perf_counter()
        await asyncio.gather(*[_publish(js, stream) for stream in named])
        seconds = time.perf_counter() - started
        state = (await js.stream_info(_STREAM)).state
        await js.delete_stream(_STREAM)
        return Lap(state.messages, seconds)
    finally:
        await client.close()


async def _publish(js: Any, named: list[tuple[str, bytes]]) -> None:
    for message_id, raw in named:
        await js.publish(_SUBJECT, raw, headers={"Nats-Msg-Id": message_id})
