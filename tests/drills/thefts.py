"""What a thief has who takes a device's flash or a gateway's disk, and for how long it is of use to him.

The flash of a device is copied, and a second one started from it beside the first: the office notices two of one. A person revokes the device, and
neither is served any more, while another device goes on. The gateway's disk is copied as well. Both copies are searched for every key that must not be in
them; so that a search that finds nothing means something, each is also searched for a key that must be there.
"""

import asyncio
import json
import shutil
import sys

from office_ingest.receive.keystore import Keystore
from protocol import keys
from protocol.diagnostic import DiagnosticError
from tests.drills.books import count, forged, read
from tests.drills.field import Device, Make, lay_out, verify
from tests.drills.tap import Tap
from tests.site.harness import ROOT, stop_services, until
from tools.drills.plan import CI
from tools.drills.row import Row, Sign
from tools.flashimage import read_image
from tools.shim import install

STOLEN, HONEST = "stolen", "honest"
# Generations and view periods that must be over before the theft: what is over must be gone.
CLOSED = {CI: 1, "soak": 20}
# Heartbeats of the honest device after a revocation: by then the gateway has heard of it, and more would be seen.
HEARTBEATS_AFTER = 4
MAKES = [Make(name, per_s=8, sample_ms=720_000, seal_s=0.25, drain_ms=8_000) for name in (STOLEN, HONEST)]


async def run(folder, size, seed, say, *, prepare=lambda site: None):
    """Return three rows: the stolen flash, the stolen disk, the numbers on the link. prepare(site): may change how its processes start."""
    tap = Tap()
    site = await lay_out(folder, MAKES, keep=tap)
    flash = Row(
        "stolen flash", "a device's flash is copied and runs a second time, until it is revoked", seed, size
    )
    disk = Row("stolen gateway disk", "all files of a gateway are copied and searched for keys", seed, size)
    link = Row(
        "keys of the link after a copy", "requests of the device and of its copy are compared", seed, size
    )
    prepare(site)
    told = {}
    try:
        await _story(site, CLOSED[size], say, told)
    except (AssertionError, DiagnosticError) as error:
        flash.faults.append(f"story: {error}")
    finally:
        for device in told.get("thieves", []):
            device.send_kill()
        await site.close()
    link.done = {"requests": tap.requests}
    link.require(tap.requests > 0, "seen", "no request passed the relay")
    link.require(tap.reused == 0, "nonces", f"{tap.reused} requests under keys and numbers of another one")
    if "served" in told:
        _judge_flash(flash, site, told)
        _judge_disk(disk, site)
    return [flash, disk, link]


async def _story(site, closed, say, told):
    await asyncio.gather(site.office.start(), site.gateway.start())
    await asyncio.gather(*(device.start() for device in site.devices))
    say("a device works until keys are behind it")
    await until(lambda: _closed(site) >= closed, "no generation and period came to an end", 120.0)
    await _steal(site)
    say("its flash was copied, and runs a second time")
    original, copy = site.devices[0], Device(site.folder / "copy", site.logs / "copy.log")
    told["thieves"] = [original, copy]
    await asyncio.gather(original.start(), copy.start())
    await until(lambda: _signs(site), "the office has not noticed two of one", 40.0)
    say("it is revoked")
    await _revoke(site)
    await until(lambda: _is_told(site), "the gateway was not told", 20.0)
    told["held"] = held = _held(site, 0)
    beats = count(_books(site), "heartbeats", site.device_ids[1])
    await until(
        lambda: (
            count(_books(site), "heartbeats", site.device_ids[1], is_live=True) >= beats + HEARTBEATS_AFTER
        ),
        "the honest device is not heard any more",
        30.0,
    )
    told["served"] = _held(site, 0) - held
    for device in told["thieves"]:
        await device.kill()
    await site.devices[1].stop(seconds=60.0)
    await stop_services(site)


def _books(site):
    return site.office_folder / "office.db"


def _held(site, at):
    return count(_books(site), "segments", site.device_ids[at], is_live=True)


def _closed(site):
    """Return how many generations of the critical lane, or view periods if those are fewer, are over at the office."""
    query = "SELECT max(generation), max(period) FROM segments WHERE device = ? AND class <> 0"
    rows = read(_books(site), query, (site.device_ids[0],), is_live=True)
    return min(rows[0]) if rows and rows[0][0] is not None else 0


async def _steal(site):
    """Copy the flash and the gateway's disk between two starts: nobody writes meanwhile."""
    device = site.devices[0]
    await asyncio.gather(device.kill(), site.gateway.kill())
    shutil.copytree(device.folder, site.folder / "copy")
    shutil.copyfile(device.folder / "flash.bin", site.folder / "loot.bin")
    shutil.copytree(site.gateway_folder, site.folder / "disk")
    await site.gateway.start()


def _signs(site):
    query = "SELECT DISTINCT kind FROM findings WHERE device = ? AND kind IN ('clone', 'fork')"
    return [kind for (kind,) in read(_books(site), query, (site.device_ids[0],), is_live=True)]


async def _revoke(site):
    words = [
        sys.executable,
        "-P",
        "-m",
        "tools.cli",
        "office",
        "device",
        "revoke",
        STOLEN,
        "--author",
        "A. Author",
    ]
    words += ["--reason", "stolen", "--yes", "--config", str(site.office_folder / "office.toml")]
    process = await asyncio.create_subprocess_exec(
        *words, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[1].decode()
    assert process.returncode == 0, f"the device could not be revoked: {said[-300:]}"


def _is_told(site):
    return bool(read(site.gateway_folder / "gateway.db", "SELECT 1 FROM revoked", is_live=True))


def _judge_flash(row, site, told):
    row.done = {"segments before": told["held"], "copies started": 1}
    row.signs = [Sign(f"finding {kind}", "office") for kind in _signs(site)]
    row.forged = len(forged(site.office_folder))
    row.require(bool(row.signs), "noticed", "the office has no finding of two devices with one flash")
    row.require(told["served"] == 0, "revoked", f"{told['served']} segments of the revoked device were taken")
    row.require(row.forged == 0, "forged", f"{row.forged} segments are held that their device did not seal")
    loot = (site.folder / "loot.bin").read_bytes()
    over, now = _keys_of_device(site)
    row.figures |= {"keys_that_are_over": len(over), "flash_bytes": len(loot)}
    row.require(len(over) > 0, "closed", "no key was over when the flash was copied")
    row.require(all(key in loot for key in now), "control", "the search does not find a key that is there")
    found = sum(key in loot for key in over)
    row.require(found == 0, "past", f"{found} keys that are over lie in the flash")
    code, document = verify(site)
    name = site.device_ids[0].hex()
    strangers = [finding for finding in document["findings"] if name not in json.dumps(finding)]
    row.require(not strangers, "verify", f"outstation verify ended with {code}: {strangers[:3]}")


def _keys_of_device(site):
    """Return (keys that the device must not have any more, keys that it must have) at the moment of the theft."""
    install()
    from agent.flash import FileFlash
    from agent.keystore import Keystore as DeviceKeystore

    loot, device = site.folder / "loot.bin", site.device_ids[0]
    flash = FileFlash(str(loot), len(loot.read_bytes()) // 4096)
    held = DeviceKeystore(flash)
    held.open()
    newest = [held.seal_key(lane) for lane in keys.LANES]
    period = held.boot_periods()[0]
    flash.close()
    office = Keystore.open(site.office_folder / "keystore.db", read_only=True)
    try:
        over = [
            key
            for lane, (generation, _) in zip(keys.LANES, newest, strict=True)
            for at in range(generation)
            for key in (office.seal_key(device, lane, at), office.tag_key(device, lane, at))
        ]
        views = [
            office.view_key(device, view_class, at)
            for view_class in (keys.SITE, keys.OFFICE)
            for at in range(period)
        ]
    finally:
        office.close()
    return over + [view for view in views if view is not None], [key for _, key in newest]


def _judge_disk(row, site):
    files = [path for path in (site.folder / "disk").rglob("*") if path.is_file()]
    content = b"\0".join(path.read_bytes() for path in files)
    secrets = _secrets_of_office(site)
    row.done = {"files": len(files), "bytes": len(content)}
    row.figures["keys_searched_for"] = len(secrets)
    found = sum(key in content or key.hex().encode() in content for key in secrets)
    row.require(found == 0, "keys", f"{found} keys of devices lie on the gateway's disk")
    images = [read_image(device.folder / "flash.bin") for device in site.devices]
    held = sum(
        segment.raw in content for image in images for lane in image.lanes for segment in lane.segments
    )
    row.figures["sealed_segments_on_it"] = held
    links = (site.gateway_folder / "links.toml").read_text()
    row.require(
        any(
            line.partition('"')[2][:32].encode() in content for line in links.splitlines() if "secret" in line
        ),
        "control",
        "the search does not find a link secret, which is there",
    )


def _secrets_of_office(site):
    """Return every seal key up to now, view key and downlink key of all devices."""
    office = Keystore.open(site.office_folder / "keystore.db", read_only=True)
    try:
        found = []
        for device in site.device_ids:
            query = "SELECT max(generation) FROM segments WHERE device = ?"
            newest = read(_books(site), query, (device,))[0][0] or 0
            seals = [office.seal_key(device, lane, at) for lane in keys.LANES for at in range(newest + 1)]
            views = [office.view_key(device, one, 0) for one in (keys.SITE, keys.OFFICE)]
            found += [*seals, *(view for view in views if view), office.downlink(device)]
        return found
    finally:
        office.close()
