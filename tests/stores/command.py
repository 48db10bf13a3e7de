"""Tries both stores against every fault of their disk that is known here, and writes the figures.

python -m tests.stores [--json build/stores.json] [--soak]
"""

import argparse
import contextlib
import json
import logging
import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

from tests.planted.stores import FAULTS, planted
from tests.stores import rot, runs, vfs
from tests.stores.faults import KINDS

NOT_MODELLED = [
    "a disk that reorders writes over a sync, or lies, is shown and not survived: what it lost is asked for again",
    "bits that flip in memory, or on the way to the disk, before a sum is taken over them",
    "damage to the first page of a database: the gateway begins empty and asks the devices, the office names it and needs its backup",
    "damage to the office's keystore is named by the auditor's walk and healed by nobody",
    "the file system itself: its own journal, quotas, snapshots; two bits at once",
    "shared memory (-shm) is taken as gone after a cut, which is what a cut does to it",
]
# For comparison: what the figures would be with weaker settings. None of these is shipped.
COMPARED = {
    "gateway": ("gateway_synchronous_off", "gateway_synchronous_normal"),
    "office": ("office_synchronous_normal", "keystore_synchronous_full"),
}


def main(words):
    """Run everything and return the exit code: 1 if anything was lost, wrong, unseen or not healed."""
    parser = argparse.ArgumentParser(prog="python -m tests.stores", description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("build/stores.json"))
    parser.add_argument("--soak", action="store_true", help="Ten times as long.")
    options = parser.parse_args(words)
    if vfs.why_not():
        print(f"skipped: {vfs.why_not()}")
        return 0
    # What repairs say of thousands of damaged stores is not news here.
    logging.disable(logging.CRITICAL)
    begun = time.perf_counter()
    # However the run ends, no figures of an older one stay.
    options.json.unlink(missing_ok=True)
    document = {
        "schema": "outstation.stores",
        "version": 1,
        "sqlite": sqlite3.sqlite_version,
        **_figures(options.soak),
    }
    document["seconds"] = round(time.perf_counter() - begun, 1)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n")
    failures = document.pop("failures")
    print(f"wrote {options.json}: {len(failures)} failures in {document['seconds']} s")
    for failure in failures[:20]:
        print(f"  {failure}")
    return 1 if failures else 0


def _figures(is_soak):
    long = 10 if is_soak else 1
    failures = []
    cuts = [
        _run(failures, runs.gateway_figures, rounds=6 * long),
        _run(failures, runs.office_figures, rounds=4 * long),
    ]
    faults = [
        _run(
            failures,
            runs.fault_figures,
            store,
            kind,
            rounds=2,
            step=runs.fault_step(store, kind, is_long=is_soak),
        )
        for store in ("gateway", "office")
        for kind in KINDS
    ]
    bits = [
        _run(failures, rot.gateway_rot, flips=600 * long),
        _run(failures, rot.office_rot, flips=400 * long),
    ]
    with _folder() as folder:
        lying, noticed = runs.lying_figures(folder, rounds=4 * long)
    if noticed.unnoticed:
        failures.append(f"lying disk: {noticed.unnoticed} lost segments are not asked for again")
    return {
        "cuts": cuts,
        "weaker_settings": _weaker(),
        "faults": faults,
        "bit_rot": bits,
        "lying_disk": {**lying.document(), **noticed.document()},
        "not_modelled": NOT_MODELLED,
        "failures": failures,
    }


def _weaker():
    """Return the cuts under settings that are not shipped, each a planted fault."""
    found = []
    for store, names in COMPARED.items():
        figures_of = runs.gateway_figures if store == "gateway" else runs.office_figures
        for name in names:
            assert name in FAULTS
            with planted(name), _folder() as folder:
                found.append(figures_of(folder, rounds=4, every=2, run=name).document())
    return found


def _run(failures, figures_of, *arguments, **options):
    with _folder() as folder:
        figures = figures_of(folder, *arguments, **options)
    failures += [f"{figures.store}: {failure}" for failure in figures.failures]
    document = figures.document()
    print(json.dumps(document))
    return document


@contextlib.contextmanager
def _folder():
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="outstation-stores-", dir=memory))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
