"""Devices whose sealed segments the benchmarks use: the very agent over real recordings, here on CPython, its flash in memory.

Identities and keys come from the seed, so that a run can be repeated byte by byte. The segments are made once, before
anything is timed.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from protocol.aes_host import Aes128
from protocol.cbor import dumps
from protocol.keys import CRITICAL, ROUTINE
from tools import recordings
from tools.demo_rules import demo_bundle
from tools.shim import install

Row = list[int | None]

# The demonstration's channels. No value is ever "stuck": every peer then has the same readings to carry.
CHANNELS = [["flow", "l/s", -2, 0, 20000, 0], ["temperature", "Fahr", -1, -400, 1500, 0]]
SCHEMA = dumps([1, CHANNELS])
BUNDLE = demo_bundle(schema=hashlib.sha256(SCHEMA).digest()[:8])
# Large enough that nothing is pruned before it is read.
_JOURNAL_SECTORS = 400
# Rows of the recording between the beginnings of two devices.
_OFFSET_ROWS = 37


class SealedDevice(NamedTuple):
    """One device: identity (8 bytes), the roots of its keys (32 bytes each), and its sealed segments by lane."""

    device: bytes
    seal_root: bytes
    view_root: bytes
    downlink: bytes
    lanes: tuple[list[bytes], list[bytes]]

    def all(self) -> list[bytes]:
        """Return the segments of both lanes, critical ones first: the order in which a device offers them."""
        return [*self.lanes[CRITICAL], *self.lanes[ROUTINE]]


def read_rows(recording: Path) -> list[Row]:
    """Return the rows of a recording as integers, None where a value is missing."""
    lines = recording.read_text().splitlines()
    return [[int(cell) if cell else None for cell in line.split(",")] for line in lines]


def real_rows(folder: Path) -> list[Row]:
    """Return the real recordings, written to a folder as one file. Raises DiagnosticError where they cannot be had."""
    recording = folder / "recording.csv"
    recordings.write_recording(recording)
    return read_rows(recording)


def make_fleet(
    rows: list[Row],
    seed: int,
    devices: int,
    samples: int,
    *,
    seal_every: int | None = None,
    counts_inputs: bool = False,
) -> list[SealedDevice]:
    """Return devices that took so many samples each, every one from another place of the recording on.

    seal_every: a segment for so many samples, or for fewer where they fill it; None: whenever one is full. counts_inputs: at the end
    each tells what its channels read.
    """
    return [_live(rows, seed, number, samples, seal_every, counts_inputs) for number in range(devices)]


def _live(
    rows: list[Row], seed: int, number: int, samples: int, seal_every: int | None, counts_inputs: bool
) -> SealedDevice:
    install()
    from agent.flash import RamFlash
    from agent.layout import window_sectors
    from tools.bench.micropython import paced_agent as paced

    device = _secret("device", seed, number)[:8]
    seal_root, view_root, downlink = (_secret(name, seed, number) for name in ("seal", "view", "downlink"))
    flash = RamFlash(window_sectors(_JOURNAL_SECTORS))
    paced.provision(flash, seal_root, view_root, downlink)
    sensor = paced.Rows(rows, number * _OFFSET_ROWS)
    wait_ms = paced.WHEN_FULL_MS if seal_every is None else (seal_every - 1) * paced.SAMPLE_MS
    agent: Any = paced.boot(flash, device.hex(), sensor, Aes128, SCHEMA, BUNDLE, wait_ms)
    for _ in range(samples):
        agent.turn()
    if counts_inputs:
        agent.record_inputs()
    agent.seal_all()
    lanes = (list(agent.segments(CRITICAL)), list(agent.segments(ROUTINE)))
    return SealedDevice(device, seal_root, view_root, downlink, lanes)


def _secret(name: str, seed: int, number: int) -> bytes:
    return hashlib.sha256(f"bench {name} {seed} {number}".encode()).digest()


def in_turn(lists: list[list[Any]]) -> list[Any]:
    """Return the items of many lists, one of each in turn: as many devices' segments come to one gateway."""
    longest = max((len(items) for items in lists), default=0)
    return [items[place] for place in range(longest) for items in lists if place < len(items)]


Tell = Callable[[str], None]
