"""How many segments a second a gateway takes into custody: the real store, its group commit, fsync before the answer.

The floor is a file to which the same bytes are appended, one fdatasync for as many segments as there are writers: no store
that keeps the promise can be faster on this disk. The peer is NATS JetStream that syncs always. What each wrote is counted
afterwards: ours from a store opened anew, the file byte by byte, the peer from the state of its stream.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

from gateway.store import STORED, Store
from protocol.segment import parse_segment
from tools.bench import gateway_front
from tools.bench.fleet import SealedDevice, Tell, in_turn
from tools.bench.gateway_front import count_held, new_store
from tools.bench.nats_peer import Peer, nats_peer
from tools.bench.race import Case, Contender, Lap, race

_NOTE = "real segments of both lanes, about 200 bytes in the mean; each writer waits for custody of one before it gives the next"


def run(
    fleet: list[SealedDevice], folder: Path, rounds: int, tell: Tell, segments: dict[int, int]
) -> list[Case]:
    """Return one case for each number of writers, and one over the whole path from the devices' sockets on.

    folder: on the disk that is measured. segments: how many in a lap, by number of writers.
    """
    raws = in_turn([device.all() for device in fleet])
    cases = []
    with nats_peer(folder) as peer:
        for writers, count in segments.items():
            cases.append(_case(raws[:count], writers, folder, rounds, tell, peer))
        cases.append(_whole_path(fleet, max(segments), max(segments.values()), folder, rounds, tell, peer))
    return cases


def _case(raws: list[bytes], writers: int, folder: Path, rounds: int, tell: Tell, peer: Peer) -> Case:
    streams = [raws[writer::writers] for writer in range(writers)]
    runners = [
        Contender(
            "outstation",
            "parsed, in the outbox, in SQLite with WAL and synchronous=FULL; custody when on disk",
            lambda: _in_folder(folder, streams),
        ),
        Contender(
            "append+fdatasync",
            f"the same bytes appended to a file, one fdatasync for each {writers}: the limit of this disk",
            lambda: _append(folder, raws, writers),
        ),
        peer.contender(streams),
    ]
    named = f"{writers} writer{'s' if writers > 1 else ''}"
    return race(named, "segments/s", runners, rounds, tell, _NOTE)


def _in_folder(folder: Path, streams: list[list[bytes]]) -> Lap:
    with tempfile.TemporaryDirectory(prefix="store-", dir=folder) as place:
        path = Path(place) / "gateway.db"
        seconds, commits = asyncio.run(_fill(path, streams))
        count = asyncio.run(count_held(path))
    return Lap(count, seconds, {"segments_per_commit": sum(map(len, streams)) / commits})


async def _fill(path: Path, streams: list[list[bytes]]) -> tuple[float, int]:
    store = new_store(path)
    started = time.perf_counter()
    await asyncio.gather(*[_write(store, stream) for stream in streams])
    seconds = time.perf_counter() - started
    commits = store.commits.batches
    await store.close()
    return seconds, commits


async def _write(store: Store, stream: list[bytes]) -> None:
    for raw in stream:
        outcome = await store.add_segment(parse_segment(raw))
        assert outcome == STORED, outcome


def _append(folder: Path, raws: list[bytes], batch: int) -> Lap:
    with tempfile.TemporaryDirectory(prefix="file-", dir=folder) as place:
        path = Path(place) / "segments"
        batches = [b"".join(raws[at : at + batch]) for at in range(0, len(raws), batch)]
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        started = time.perf_counter()
        for together in batches:
            os.write(handle, together)
            os.fdatasync(handle)
        seconds = time.perf_counter() - started
        os.close(handle)
        assert path.read_bytes() == b"".join(raws)
    return Lap(len(raws), seconds)


def _whole_path(
    fleet: list[SealedDevice],
    writers: int,
    count: int,
    folder: Path,
    rounds: int,
    tell: Tell,
    peer: Peer,
) -> Case:
    chosen = fleet[:writers]
    each = max(1, count // (4 * len(chosen)))
    streams = [device.all()[:each] for device in chosen]
    runners = [
        Contender(
            "outstation",
            "CoAP and OSCORE over UDP: authenticated, decrypted, stored as above, answered; devices in another process",
            lambda: gateway_front.lap(folder, [device.device for device in chosen], streams),
        ),
        peer.contender(streams),
    ]
    note = "from the sender's socket to its acknowledgement; the peer's link has no encryption"
    return race(f"whole path, {len(chosen)} devices", "segments/s", runners, rounds, tell, note)
