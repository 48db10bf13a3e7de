"""What goes back in time: a gateway's store that is put back to an earlier copy, and a device's flash as well.

A gateway that forgot custody wants everything again and nothing is lost. A device whose flash was put back, and whom a rogue gateway
keeps from learning it, seals two different segments for one number: the office keeps both and says so.
"""

import asyncio
import json
import shutil

from protocol.diagnostic import DiagnosticError
from protocol.keys import ROUTINE
from tests.drills.books import count, forged, read
from tests.drills.field import Make, lay_out, plant, verify
from tests.drills.rogue_gateway import CONTROL
from tests.site.harness import stop_devices, stop_services, until
from tools.demo.story import waiting_by_device
from tools.drills.plan import CI
from tools.drills.row import Row, Sign
from tools.flashimage import read_image
from tools.site_proof import prove_site

# How often the store goes back.
SIZES = {CI: 1, "soak": 60}
PAUSE_S = 2.0
KEPT, RESTORED = ("kept-1", "kept-2"), "restored"


async def run(folder, size, seed, say, *, prepare=lambda site: None, drain_ms=40_000):
    """Return two rows: the store that went back, and the flash. prepare(site): may change how its processes start, before any does."""
    site = await lay_out(folder, [Make(name, drain_ms=drain_ms) for name in (*KEPT, RESTORED)])
    store = Row("rollback of the gateway's store", "SIGKILL, an earlier copy of the store, start", seed, size)
    flash = Row(
        "two segments for a number",
        "a device's flash is put back and receipts are withheld from it",
        seed,
        size,
    )
    planned = {
        "devices": {d.hex(): CONTROL for d in site.device_ids}
        | {site.device_ids[-1].hex(): "withhold_receipts"},
        "acts": str(folder / "acts"),
    }
    (folder / "plan.json").write_text(json.dumps(planned))
    honest = list(site.gateway.command)
    plant(site.gateway, "tests.drills.rogue_gateway", str(folder / "plan.json"))
    prepare(site)
    try:
        await _story(site, SIZES[size], honest, say)
    except (AssertionError, DiagnosticError) as error:
        store.faults.append(f"story: {error}")
    finally:
        await site.close()
    store.done = {"times put back": SIZES[size]}
    flash.done = {"times put back": 1}
    _judge_store(store, site)
    _judge_flash(flash, site)
    return [store, flash]


async def _story(site, times, honest, say):
    await asyncio.gather(site.office.start(), site.gateway.start())
    await asyncio.gather(*(device.start() for device in site.devices))
    say("the gateway's store is put back again and again")
    device = site.devices[-1]
    for _ in range(times):
        await _go_back(site)
    say("a device's flash is put back while a rogue gateway withholds receipts from it")
    flash, copy = device.folder / "flash.bin", site.folder / "flash.copy"
    await device.kill()
    shutil.copyfile(flash, copy)
    heads = {lane.lane: lane.head.number for lane in read_image(copy).lanes}
    await device.start()
    await until(lambda: _is_past(site, heads), "the office gets nothing sealed after the copy")
    await device.kill()
    await until(lambda: not _untold(site), "the office does not answer")
    shutil.copyfile(copy, flash)
    await device.start()
    await until(lambda: _forks(site, is_live=True), "the office has found no fork", 20.0)
    await site.gateway.kill()
    site.gateway.command = honest
    await site.gateway.start()
    await asyncio.sleep(PAUSE_S)
    await stop_devices(site)
    # What contradicts the office's receipts stays at the gateway as evidence; all else is gone from there.
    await stop_services(site)


async def _go_back(site):
    """Put the store back to a copy in which segments of each honest device wait that the office has had since: they come again."""
    site.uplink.cut()
    kept = site.device_ids[: len(KEPT)]
    database = site.gateway_folder / "gateway.db"
    await until(lambda: set(kept) <= set(waiting_by_device(database)), "no segment waits at the gateway")
    await _copy_store(site)
    site.uplink.mend()
    await until(lambda: not _untold(site), "the office does not answer")
    await _put_store_back(site)
    await until(lambda: not _untold(site), "the office does not answer a second time")


def _untold(site):
    """Return how many segments wait at the gateway of which the office has not said what it did with them."""
    query = "SELECT count(*) FROM segments WHERE raw IS NOT NULL AND outcome IS NULL"
    rows = read(site.gateway_folder / "gateway.db", query, is_live=True)
    return rows[0][0] if rows else 1


def _is_past(site, heads):
    """Say whether the office holds a number of the last device that is above what its flash had come to in the routine lane.

    What opens a boot may be sealed again bit for bit, which is no fork; samples are taken at other times.
    """
    query = "SELECT max(number) FROM segments WHERE device = ? AND lane = ?"
    rows = read(site.office_folder / "office.db", query, (site.device_ids[-1], ROUTINE), is_live=True)
    return any(number is not None and number > heads.get(ROUTINE, -1) for (number,) in rows)


def _forks(site, *, is_live=False):
    return count(site.office_folder / "office.db", "forks", site.device_ids[-1], is_live=is_live)


def _store_files(site):
    return [path for path in site.gateway_folder.glob("gateway.db*") if path.suffix != ".lock"]


async def _copy_store(site):
    await site.gateway.kill()
    aside = site.folder / "store"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for path in _store_files(site):
        shutil.copyfile(path, aside / path.name)
    await site.gateway.start()


async def _put_store_back(site):
    await site.gateway.kill()
    for path in _store_files(site):
        path.unlink()
    for path in (site.folder / "store").iterdir():
        shutil.copyfile(path, site.gateway_folder / path.name)
    await site.gateway.start()


def _judge_store(row, site):
    proof = prove_site(site)
    books = site.office_folder / "office.db"
    lanes = [lane for lane in proof.lanes if lane.name in KEPT]
    row.lost = sum(max(0, lane.recorded - lane.held) for lane in lanes)
    row.doubled = sum(max(0, lane.held - lane.recorded) for lane in lanes)
    row.forged = len(forged(site.office_folder))
    row.figures["segments"] = sum(lane.segments for lane in lanes)
    row.figures["duplicates_sent"] = repeated = read(books, "SELECT sum(duplicates) FROM tallies")[0][0]
    row.require(repeated > 0, "repeated", "no segment came to the office a second time")
    row.require(row.lost == 0, "lost", f"{row.lost} events on flash are not at the office")
    row.require(row.doubled == 0, "doubled", f"{row.doubled} events more at the office than on flash")
    row.require(row.forged == 0, "forged", f"{row.forged} segments are held that their device did not seal")
    for device in site.device_ids[: len(KEPT)]:
        for table in ("forks", "quarantine"):
            found = count(books, table, device)
            row.require(found == 0, "honest", f"{found} rows in {table} of an honest device")


def _judge_flash(row, site):
    books, device = site.office_folder / "office.db", site.device_ids[-1]
    kinds = [
        kind for (kind,) in read(books, "SELECT DISTINCT kind FROM findings WHERE device = ?", (device,))
    ]
    row.require("fork" in kinds, "noticed", f"the office has no finding of a fork, only {kinds}")
    row.signs = [Sign(f"finding {kind}", "office") for kind in kinds if kind != "silence"]
    held = {
        bytes(digest)
        for (digest,) in read(books, "SELECT digest FROM segments UNION SELECT digest FROM forks")
    }
    image = read_image(site.devices[-1].folder / "flash.bin")
    aside = [
        segment.header for lane in image.lanes for segment in lane.segments if segment.digest not in held
    ]
    # Once it learns that it was put back, a device begins a new epoch and keeps to itself what contradicts a receipt of the old one;
    # the old heads are in the event that begins the new one.
    newest = max(lane.epoch for lane in image.lanes)
    missing = [header for header in aside if header.epoch == newest]
    row.lost = sum(header.count for header in missing)
    row.figures["contradicting_segments_left_on_the_device"] = len(aside) - len(missing)
    row.figures["epochs_on_flash"] = len({lane.epoch for lane in image.lanes})
    row.figures["forks_kept"] = _forks(site)
    row.require(
        row.lost == 0,
        "evidence",
        f"{len(missing)} segments on flash of the newest epoch are not at the office",
    )
    code, document = verify(site)
    strangers = [finding for finding in document["findings"] if device.hex() not in str(finding)]
    row.require(not strangers, "verify", f"outstation verify ended with {code}: {strangers[:3]}")
