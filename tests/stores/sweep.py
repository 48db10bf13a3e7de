"""Cuts the power at every operation of a recorded run, in every state of the disk, and looks at what is left."""

import contextlib
import random
import sqlite3
import time
from typing import NamedTuple

from office_ingest.errors import OfficeError
from protocol.diagnostic import DiagnosticError
from tests.stores.disk import STATES, Platter, write_files


class Recorded(NamedTuple):
    """One run: what was on the disk before it, every operation, and what was promised."""

    held: dict[str, bytes]
    operations: list
    promises: object


class Figures:
    """What a sweep found. failures: (cut, state, text), at most a few; the counts are of all."""

    def __init__(self, store, run):
        self.store = store
        self.run = run
        self.operations = 0
        self.cuts = 0
        self.images = 0
        self.cuts_that_lost = 0
        self.worst_loss = 0
        self.cuts_wrong = 0
        self.unopenable = 0
        self.seconds = 0.0
        self.failures = []

    def note(self, cut, state, wrong, gone, weight):
        """Count one image that stands for `weight` cuts."""
        self.cuts += weight
        self.images += 1
        self.cuts_that_lost += weight * bool(gone)
        self.worst_loss = max(self.worst_loss, len(gone))
        self.cuts_wrong += weight * bool(wrong)
        if wrong or gone:
            self.failures.append((cut, state, "; ".join([*wrong, *(f"lost {one}" for one in gone[:3])])))

    def document(self):
        """Return the figures for build/stores.json."""
        names = ("operations", "cuts", "images", "cuts_that_lost", "worst_loss", "cuts_wrong", "unopenable")
        counts = {name: getattr(self, name) for name in names}
        return {"store": self.store, "run": self.run, **counts, "seconds": round(self.seconds, 1)}


async def sweep(recorded, folder, look, *, name, run, seed=1, every=1, first=0, on_image=None):
    """Return the Figures of all cuts. look(folder, promises, cut): async, gives (wrong, lost).

    every: 1 for each operation; first: the lowest cut. on_image(cut, wrong, lost): awaited after each image.

    Where nothing waits to be synced all states are one image, which is looked at once and counted for each.
    """
    figures = Figures(name, run)
    figures.operations = len(recorded.operations)
    platter = Platter(recorded.held)
    rng = random.Random(seed)
    begun = time.perf_counter()
    for cut in range(len(recorded.operations) + 1):
        at_work = recorded.operations[cut] if cut < len(recorded.operations) else None
        if cut >= first and cut % every == 0:
            settled = platter.is_settled()
            states = ("none", "torn") if settled else STATES
            for state in states:
                weight = 3 if settled and state == "none" else 1
                write_files(folder, platter.files(state, rng, at_work))
                wrong, gone = await _look(look, folder, recorded.promises, cut, figures, weight)
                if on_image is not None:
                    await on_image(cut, wrong, gone)
                figures.note(cut, state, wrong, gone, weight)
        if at_work is not None:
            platter.do(at_work)
    figures.seconds = time.perf_counter() - begun
    return figures


async def _look(look, folder, promises, cut, figures, weight):
    try:
        return await look(folder, promises, cut)
    except (DiagnosticError, OfficeError, sqlite3.Error) as error:
        figures.unopenable += weight
        # Before anything was acknowledged a store may say by name that it cannot be used; afterwards never.
        due = promises.due(cut)
        is_due = due or any(after <= cut for after, _, _ in promises.acknowledged)
        return ([f"cannot be opened: {_text(error)}"] if is_due else []), due
    except Exception as error:  # noqa: BLE001 - a fault of ours is what is looked for; it must not end the sweep
        figures.unopenable += weight
        return [f"{type(error).__name__}: {error}"], promises.due(cut)


def _text(error):
    with contextlib.suppress(AttributeError):
        return "; ".join(one.message for one in error.diagnostics)
    return str(error)
