"""The sweeps, each with what it must give: used by the tests, by the planted faults, and by `python -m tests.stores`.

OUTSTATION_STORES=soak makes the tests' runs ten times as long.
"""

import asyncio
import itertools
import os
import random
import shutil
import time

from tests.stores import gateway_work, office_work
from tests.stores.disk import RecordingDisk
from tests.stores.faults import Fault
from tests.stores.promises import Promises
from tests.stores.sweep import Recorded, sweep
from tests.stores.vfs import front

VARIABLE = "OUTSTATION_STORES"
CUT_EVERY = 32


def fault_step(store, kind, *, is_long):
    """Return which operations of a kind are failed: each, or every fourth of the office's many writes and reads in a short run."""
    return 1 if is_long or store == gateway_work.NAME or kind in ("sync error", "truncate error") else 4


def size(*, ci, soak):
    """Return how long a run is to be, by the environment."""
    return soak if os.environ.get(VARIABLE) == "soak" else ci


def record(folder, run, **disk_options):
    """Return what run(folder, promises) did to the disk and what it was promised."""
    folder.mkdir()
    disk = RecordingDisk(**disk_options)
    promises = Promises(disk)
    held = disk.begin(folder)
    with front(folder, disk):
        run(folder, promises)
    return Recorded(held, disk.operations, promises)


def record_gateway(folder, rounds, **disk_options):
    """Record a gateway's store from its making on."""
    return record(
        folder,
        lambda at, promises: asyncio.run(gateway_work.Work(at, promises).run(rounds)),
        **disk_options,
    )


def record_office(folder, rounds, **disk_options):
    """Record an office's database and keystore from their making on."""
    return record(folder, lambda at, promises: office_work.Work(at, promises).run(rounds), **disk_options)


def _sweep(folder, recorded, look, name, every=1, run="as shipped", first=0):
    images = folder / "images"
    images.mkdir()
    return asyncio.run(sweep(recorded, images, look, name=name, run=run, every=every, first=first))


def gateway_figures(folder, *, rounds, every=1, run="as shipped", **disk_options):
    """Return the figures of cuts under a gateway's store."""
    recorded = record_gateway(folder / "run", rounds, **disk_options)
    return _sweep(folder, recorded, gateway_work.look, gateway_work.NAME, every, run)


def office_figures(folder, *, rounds, every=1, run="as shipped", **disk_options):
    """Return the figures of cuts under an office's database and keystore."""
    recorded = record_office(folder / "run", rounds, **disk_options)
    return _sweep(folder, recorded, office_work.Look(), office_work.NAME, every, run)


def lying_figures(folder, *, rounds, every=1, seed=1):
    """Return the figures of cuts under a gateway's store whose disk does half of its syncs, and what notices the loss."""
    rng = random.Random(seed)
    recorded = record_gateway(folder / "run", rounds, lies=lambda number: rng.random() < 0.5)
    look = gateway_work.LyingLook()
    figures = _sweep(folder, recorded, look, gateway_work.NAME, every, "half of the syncs are not done")
    return figures, look


def check_lies(folder, *, rounds, every=1):
    """Fail if a segment that a lying disk lost is not asked for again; else return the figures."""
    figures, look = lying_figures(folder, rounds=rounds, every=every)
    assert look.unnoticed == 0, (
        f"{look.unnoticed} of {look.segments_lost} lost segments are not asked for again"
    )
    return figures, look


def check_gateway_cuts(folder, *, rounds, every=1):
    """Fail naming the first cut that lost something or left something wrong; else return the figures."""
    return _checked(gateway_figures(folder, rounds=rounds, every=every))


def check_office_cuts(folder, *, rounds, every=1):
    """Fail naming the first cut that lost something or left something wrong; else return the figures."""
    return _checked(office_figures(folder, rounds=rounds, every=every))


# ---- a disk that fails


class FaultFigures:
    """What came of failing each operation of one kind in its turn."""

    def __init__(self, store, kind):
        self.store = store
        self.kind = kind
        self.points = 0
        self.refusals = 0
        self.images = 0
        self.lost = 0
        self.wrong = 0
        self.seconds = 0.0
        self.failures = []

    def document(self):
        """Return the figures for build/stores.json."""
        names = ("store", "kind", "points", "refusals", "images", "lost", "wrong")
        return {**{name: getattr(self, name) for name in names}, "seconds": round(self.seconds, 1)}


def fault_figures(folder, store, kind, *, rounds, step=1):
    """Fail every step-th operation of a kind, each in a run of its own, until a run has no more; return the figures.

    At the end of each run, where a sync failed after every CUT_EVERY operations too, the power is cut in every state of the
    disk: what was acknowledged must be there, and what is there right.
    """
    figures = FaultFigures(store, kind)
    begun = time.perf_counter()
    for at in itertools.count(0, step):
        here = folder / f"{at}"
        here.mkdir()
        if not _one_fault(here, figures, Fault(kind, at), rounds):
            break
        figures.points += 1
        shutil.rmtree(here)
    figures.seconds = time.perf_counter() - begun
    return figures


def _one_fault(folder, figures, fault, rounds):
    """Return whether the fault came to pass."""
    site, look = _SITES[figures.store]
    disk = RecordingDisk(fault=fault)
    promises = Promises(disk)
    work = site.Work(folder, promises, ready=fault.mend, states=False)
    if figures.store == office_work.NAME:
        work.found()
        work.desk.close()
    held = disk.begin(folder)
    with front(folder, disk):
        result = work.run(rounds)
        if asyncio.iscoroutine(result):
            asyncio.run(result)
    figures.refusals += len(work.refusals)
    every = CUT_EVERY if fault.kind == "sync error" else len(disk.operations)
    recorded = Recorded(held, disk.operations, promises)
    cuts = _sweep(folder, recorded, look, figures.store, every, first=every)
    figures.images += cuts.images
    figures.lost += cuts.cuts_that_lost
    figures.wrong += cuts.cuts_wrong
    figures.failures += [(fault.kind, fault.at, *failure) for failure in cuts.failures]
    return bool(fault.fired)


_SITES = {
    gateway_work.NAME: (gateway_work, gateway_work.look),
    office_work.NAME: (office_work, office_work.Look(verify_every=4)),
}


def check_faults(folder, store, kind, *, rounds=2, step=1):
    """Fail naming what was lost or wrong after a fault; else return the figures."""
    figures = fault_figures(folder, store, kind, rounds=rounds, step=step)
    assert not figures.failures, (
        f"{store}, {kind}: {figures.failures[0]} and {len(figures.failures) - 1} more"
    )
    return figures


def _checked(figures):
    first = figures.failures[:1]
    assert not first, (
        f"{figures.store}: {figures.cuts_that_lost} of {figures.cuts} cuts lost what was acknowledged,"
        f" {figures.cuts_wrong} left something wrong; the first: cut before operation {first[0][0]},"
        f" state {first[0][1]}: {first[0][2]}"
    )
    return figures
