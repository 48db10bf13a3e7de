"""A disk that is full, fails or lies under both stores: nothing false is acknowledged, and work goes on when it is mended."""

import asyncio
import os
import subprocess

import pytest

from tests.stores import gateway_work, office_work, vfs
from tests.stores.faults import KINDS
from tests.stores.promises import Promises
from tests.stores.runs import check_faults, check_lies, fault_step, size

pytestmark = pytest.mark.skipif(bool(vfs.why_not()), reason=vfs.why_not() or "-")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("store", ["gateway", "office"])
def test_failing_disk_costs_no_acknowledged_row(memory, store, kind):
    """Whichever operation of a kind fails, the store says so, takes what comes when the disk is mended, and lost nothing."""
    step = fault_step(store, kind, is_long=size(ci=False, soak=True))
    figures = check_faults(memory, store, kind, step=step)

    assert figures.points > 0


@pytest.fixture
def small(memory):
    """A true file system of 160 KiB; small.grow() gives it more."""
    made = _SmallDisk(memory / "small")
    yield made
    made.unmount()


class _SmallDisk:
    """A tmpfs of its own."""

    def __init__(self, folder):
        if os.geteuid() != 0:
            pytest.skip(
                "a small tmpfs needs root; the errors of a full disk are given to SQLite in the test above all the same"
            )
        self.folder = folder
        folder.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=160k", "outstation-test", folder],
            capture_output=True,
            text=True,
        )
        if mounted.returncode:
            pytest.skip(f"a small tmpfs cannot be mounted here: {mounted.stderr.strip()}")

    def grow(self, _error, size="64m"):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)

    def unmount(self):
        # Lazily: a test that failed may have left files open, and the mount must not outlive it.
        subprocess.run(["umount", "--lazy", self.folder], check=True)


class _NoDisk:
    """Promises need the record of a disk; here none is kept."""

    operations = ()


@pytest.mark.parametrize("site", [gateway_work, office_work], ids=["gateway", "office"])
def test_full_file_system_is_said_and_survived(small, site):
    """On a file system that is truly full the store refuses, keeps what it took, and goes on when there is room."""
    promises = Promises(_NoDisk)
    if site is office_work:
        small.grow(None, size="768k")
    work = site.Work(small.folder, promises, ready=small.grow, states=False)
    result = work.run(40)
    if asyncio.iscoroutine(result):
        asyncio.run(result)
    look = gateway_work.look if site is gateway_work else office_work.Look(verify_every=1)
    wrong, gone = asyncio.run(look(small.folder, promises, 0))

    assert "full" in str(work.refusals[0])
    assert ([], []) == (wrong, gone)


def test_small_disk_goes_where_a_failed_test_left_a_file_open(memory):
    """No mount outlives its test."""
    small = _SmallDisk(memory / "small")
    with open(small.folder / "left open", "wb"):
        small.unmount()

        assert not os.path.ismount(small.folder)


@pytest.mark.timeout(600)
def test_what_a_lying_disk_lost_is_asked_of_the_devices_again(memory):
    """A disk that does half of its syncs loses acknowledged segments at a cut, unseen by anybody; the next heartbeat names each."""
    figures, look = check_lies(memory, rounds=size(ci=4, soak=20))

    assert figures.cuts_that_lost > 0
    assert look.segments_lost == look.asked_of_the_device > 0
