"""The way down in a demonstration: a changed rule that is kept, and a bad one that rolls back, while data flows.

Everything is done as a person would do it: a line of the policy is changed, the policy tested and compiled, the release built,
signed and rolled out. What devices made of it is read from the office's database, as `outstation release status` does.
"""

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from office_ingest.govern.release import Request, build_release, sign_release
from office_ingest.govern.rollout import Progress, halt, progress, roll_out
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key
from office_ingest.storage.sqlite import SqliteStore
from protocol.adoption import CONFIRMED, ROLLED_BACK
from protocol.manifest import KIND
from rules.authoring.compile import compile_file
from rules.authoring.test import run_tests

AUTHOR = "demonstration"
KIND_OF_DEVICE = "demo pump"
_LOOK_EVERY_S = 0.25
_ROOT = Path(__file__).resolve().parents[2]


class Change(NamedTuple):
    """One line of the policy as it was and as it becomes, and what a person would say of it."""

    before: str
    after: str
    words: str


GOOD = Change(
    'latch(held(flow < 90.00, "108s"), held(flow >= 95.00, "108s"))',
    'latch(held(flow < 92.00, "108s"), held(flow >= 95.00, "108s"))',
    "a leak is now flow below 92 l/s, not 90",
)
# The compiler proves that no rule faults and that no constant leaves its guard; that a computed position is meant in percent, and
# the valve counts 0 and 1, only the gate on the device finds out.
BAD = Change(
    "      - output: {valve: 1}\n",
    '      - output: {valve: "flow >= 20.00 ? 100 : 1"}\n',
    "the valve opens by percent now, says somebody; its gate knows 0 and 1",
)


def policy_file() -> Path:
    """Return the demonstration's policy: in the checkout, or inside an installed wheel."""
    packed = Path(__file__).resolve().parent / "policy.yaml"
    return packed if packed.is_file() else _ROOT / "docs" / "rules" / "demo.yaml"


def make_demo_key(store: SqliteStore, folder: Path, now_ms: int) -> None:
    """Make the office's signing key in a new folder; devices that are provisioned afterwards know it."""
    public, _successor, envelope = make_key(folder, now_ms=now_ms)
    Shelf(store).add_root(public, envelope, now_ms)


class Author:
    """Writes, tests, compiles, signs and rolls out; key: folder of the signing key; folder: where its policies go."""

    def __init__(self, database: Path, key: Path, folder: Path, now_ms: Callable[[], int]):
        self._database = database
        self._key = key
        self._folder = folder
        self._now_ms = now_ms
        self._version = 1
        self._policy = policy_file().read_text("utf-8")

    def release(self, change: Change, *, tested: bool) -> int:
        """Change one line of the policy, release it, and return the release's number. tested: its own tests must pass."""
        assert change.before in self._policy, (
            "the policy does not hold the line that the demonstration changes"
        )
        text = self._policy.replace(change.before, change.after)
        self._version += 1
        path = self._folder / f"policy-{self._version}.yaml"
        path.write_text(text, "utf-8")
        compiled, _warnings = compile_file(path, self._version)
        if tested:
            outcomes, mistakes = run_tests(compiled)
            assert not mistakes and all(one.failure is None for one in outcomes), "the policy's tests fail"
            self._policy = text
        store = SqliteStore.open(self._database)
        try:
            return self._roll_out(store, compiled.bundle, text.encode())
        finally:
            store.close()

    def _roll_out(self, store: SqliteStore, bundle: bytes, source: bytes) -> int:
        request = Request((KIND, KIND_OF_DEVICE), ["unix"], bundle, source, AUTHOR)
        shelf = Shelf(store)
        number = build_release(shelf, request, self._now_ms()).number
        with OpenSigner(self._key) as signer:
            sign_release(shelf, number, signer, self._now_ms())
        roll_out(store, number, AUTHOR, self._now_ms())
        return number

    def halt(self, number: int) -> None:
        """Stop wanting a release."""
        store = SqliteStore.open(self._database)
        try:
            halt(store, number, AUTHOR, self._now_ms())
        finally:
            store.close()

    def progress(self, number: int) -> list[Progress]:
        """Return how each device stands to a release."""
        store = SqliteStore.open(self._database)
        try:
            return progress(store, number)
        finally:
            store.close()


async def until_all(
    author: Author,
    number: int,
    is_so: Callable[[Progress], bool],
    seconds: float,
    tell: Callable[[int], None],
) -> bool:
    """Wait until all devices stand so to a release, at most so many seconds; say whether they do. tell: how many of them."""
    deadline = time.monotonic() + seconds
    while True:
        found = await asyncio.to_thread(author.progress, number)
        count = sum(is_so(one) for one in found)
        tell(count)
        if count == len(found) or time.monotonic() >= deadline:
            return count == len(found)
        await asyncio.sleep(_LOOK_EVERY_S)


def is_kept(one: Progress) -> bool:
    """Say whether a device's sealed heartbeats name the release and its own event confirmed it."""
    return one.runs and one.step is not None and one.step.step == CONFIRMED


def is_taken_back(one: Progress) -> bool:
    """Say whether a device tried the release and went back, in its own event and in what its heartbeats name."""
    return not one.runs and one.step is not None and one.step.step == ROLLED_BACK


def release_figures(database: Path) -> dict[str, Any]:
    """Return what the devices' own sealed events say of all releases.

    adopt_ms_p50: from the moment of rolling out to the office's commit of the device's word that it confirmed.
    """
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT a.step, a.received_ms - r.started_ms FROM adoptions a JOIN rollouts r ON r.number = a.number"
        ).fetchall()
    took = [ms for step, ms in rows if step == CONFIRMED]
    return {
        "releases_adopted": len(took),
        "releases_rolled_back": sum(step == ROLLED_BACK for step, _ in rows),
        "adopt_ms_p50": round(statistics.median(took)) if took else None,
        "adopt_ms_max": max(took, default=None),
    }
