"""Bits that flip in a database file while nobody looks; which of them changed a segment, and what the gateway makes of it."""

import asyncio
import contextlib
import hashlib
import random
import shutil
import sqlite3
import time

from gateway.errors import StoreFailed
from gateway.reconcile import Lane, Offer, Want, reconcile
from gateway.store import STORED
from office_ingest.errors import OfficeError
from office_ingest.prove.repair import repair_database
from office_ingest.prove.verify import verify_database
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.rows import COLUMNS
from protocol.diagnostic import DiagnosticError
from protocol.segment import parse_segment
from protocol.uplink import STORED as OFFICE_STORED
from tests.stores import gateway_work, office_work

PAGE_BYTES = 4096
HEADER_BYTES = 100
PLACE = "device, lane, epoch, number"


class RotFigures:
    """What came of so many flipped bits, one at a time."""

    def __init__(self, store):
        self.store = store
        self.flips = 0
        self.changed_segments = 0
        self.found = 0
        self.found_of_changed = 0
        self.refused = 0
        self.rows_to_fetch_again_max = 0
        self.rows_fetched_again = 0
        self.silent = 0
        self.deleted_good = 0
        self.not_healed = 0
        self.seconds = 0.0
        self.failures = []

    def document(self):
        """Return the figures for build/stores.json."""
        left_out = ("failures", "seconds")
        counts = {name: value for name, value in vars(self).items() if name not in left_out}
        return {**counts, "seconds": round(self.seconds, 1)}


def places_to_flip(content, count, rng, held=()):
    """Return (byte, bit) pairs: a share each in the file's header, in the heads of pages, near held bytes if any, and anywhere."""
    pages = len(content) // PAGE_BYTES
    # A young database is mostly pages of other tables: without this share few flips would meet a segment.
    near = sorted({content.find(one) // PAGE_BYTES for one in held if one in content})
    chosen = set()
    while len(chosen) < count:
        kind = len(chosen) % 8
        if kind == 0:
            at = rng.randrange(HEADER_BYTES)
        elif kind == 1:
            page = rng.randrange(pages)
            at = page * PAGE_BYTES + (HEADER_BYTES if page == 0 else 0) + rng.randrange(12)
        elif kind < 6 and near:
            at = rng.choice(near) * PAGE_BYTES + rng.randrange(PAGE_BYTES)
        else:
            at = rng.randrange(len(content))
        chosen.add((at, rng.randrange(8)))
    return sorted(chosen)


def rows_of(path):
    """Return place and bytes of every segment that plain SQLite reads from a file, or None if it cannot read to the end."""
    columns = f"id, {PLACE}, digest, raw, outcome"
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            by_table = connection.execute(f"SELECT {columns} FROM segments NOT INDEXED").fetchall()
            by_index = connection.execute(
                f"SELECT {PLACE}, digest FROM segments ORDER BY {PLACE}, digest"
            ).fetchall()
            waiting = connection.execute(
                "SELECT id FROM segments WHERE outcome IS NULL ORDER BY lane, id"
            ).fetchall()
        except (sqlite3.Error, UnicodeDecodeError):
            return None
    return by_table, by_index, waiting


def readable(path, ids, key="id"):
    """Return the bytes of every row that plain SQLite finds by its id."""
    found = set()
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        for row_id in ids:
            with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
                found.update(connection.execute(f"SELECT raw FROM segments WHERE {key} = ?", (row_id,)))
    return {raw for (raw,) in found if isinstance(raw, bytes)}


def make_gateway_file(folder, rounds):
    """Leave a gateway's store with segments in custody in folder, as one file; return its path."""
    asyncio.run(gateway_work.Work(folder, None).fill(rounds))
    return folder / "gateway.db"


def gateway_rot(folder, *, flips, rounds=8, seed=1):
    """Flip one bit at a time, open the store as shipped, and return the figures."""
    (folder / "whole").mkdir()
    whole = make_gateway_file(folder / "whole", rounds)
    content = whole.read_bytes()
    rows = rows_of(whole)
    figures = RotFigures(gateway_work.NAME)
    begun = time.perf_counter()
    for at, bit in places_to_flip(content, flips, random.Random(seed)):
        here = folder / "flipped"
        here.mkdir()
        damaged = bytearray(content)
        damaged[at] ^= 1 << bit
        path = here / "gateway.db"
        path.write_bytes(damaged)
        asyncio.run(_one_flip(figures, path, rows, (at, bit)))
        shutil.rmtree(here)
    figures.seconds = time.perf_counter() - begun
    return figures


def check_gateway_rot(folder, *, flips, seed=1):
    """Fail naming the first flip that went unseen, deleted a good row, or did not heal; else return the figures."""
    figures = gateway_rot(folder, flips=flips, seed=seed)
    return _whole(figures)


def _whole(figures):
    first = figures.failures[:1]
    kinds = sorted({text.partition(":")[0].lstrip("0123456789 ") for _, text in figures.failures})
    assert not first, (
        f"{len(figures.failures)} of {figures.flips} flips; (byte, bit) {first[0][0]}: {first[0][1]}; in all: {', '.join(kinds)}"
    )
    return figures


async def _one_flip(figures, path, rows, flip):
    before = rows_of(path)
    good = readable(path, [row[0] for row in rows[0]])
    is_changed = before != rows
    figures.flips += 1
    figures.changed_segments += is_changed
    work = gateway_work.Work(path.parent, None)
    try:
        work.open()
    except DiagnosticError as error:
        figures.refused += 1
        figures.found += 1
        figures.found_of_changed += is_changed
        if "not a database" not in str(error):
            figures.failures.append((flip, f"refused: {error}"))
        return
    try:
        await _judge(figures, work, rows, good, is_changed, flip)
    except (sqlite3.Error, UnicodeDecodeError, StoreFailed) as error:
        figures.silent += 1
        figures.failures.append((flip, f"nobody noticed until it was met: {error}"))
    finally:
        await work.store.close()


async def _judge(figures, work, rows, good, is_changed, flip):
    is_found = work.store.repaired > 0
    figures.found += is_found
    figures.found_of_changed += is_found and is_changed
    if is_changed and not is_found:
        figures.silent += 1
        figures.failures.append((flip, "a segment changed and nobody noticed"))
    if is_found and not list(work.folder.glob("*.damaged-*")):
        figures.failures.append((flip, "the damaged file was not kept"))
    true = {tuple(row[1:5]): row[6] for row in rows[0]}
    there = held(work)
    wrong = [place for place, raw in there.items() if true.get(place) != raw]
    if wrong:
        figures.failures.append((flip, f"{len(wrong)} wrong rows"))
    deleted = [place for place, raw in true.items() if raw in good and place not in there]
    if deleted:
        figures.deleted_good += 1
        figures.failures.append((flip, f"{len(deleted)} rows that verify are gone"))
    missing = len(true) - len(there)
    figures.rows_to_fetch_again_max = max(figures.rows_to_fetch_again_max, missing)
    figures.rows_fetched_again += missing
    await _heal(figures, work, true, flip)


def held(work):
    """Return place -> bytes of every segment in an open store."""
    return {tuple(row[:4]): row[4] for row in work.connection.execute(f"SELECT {PLACE}, raw FROM segments")}


async def _heal(figures, work, true, flip):
    """Be the devices: say what is there in a heartbeat's offer, and send what is asked for."""
    for key in sorted({place[:3] for place in true}):
        numbers = {place[3]: raw for place, raw in true.items() if place[:3] == key}
        top, low = max(numbers), min(numbers)
        lane = work.store.lanes.get(key, Lane())
        offer = Offer(low, top, hashlib.sha256(numbers[top]).digest())
        wants = [action for action in reconcile(lane, offer) if isinstance(action, Want)]
        for want in wants:
            for number in range(want.start, want.stop):
                kind = await work.store.add_segment(parse_segment(numbers[number]))
                if kind != STORED:
                    figures.failures.append((flip, f"number {number} came again and was {kind}"))
    if any(held(work).get(place) != raw for place, raw in true.items()):
        figures.not_healed += 1
        figures.failures.append((flip, "not whole after the devices sent what was asked for"))


def break_page_of(path, raw):
    """Make the page that holds these bytes unreadable; return all that lies on other pages, as a test of bytes."""
    content = bytearray(path.read_bytes())
    start = content.index(raw) // PAGE_BYTES * PAGE_BYTES
    content[start] = 0
    path.write_bytes(content)
    page = bytes(content[start : start + PAGE_BYTES])
    return lambda other: other not in page


# ---- the office


def make_office_files(folder, rounds):
    """Leave an office's database and keystore in folder, the database as one file; return its path and the devices."""
    work = office_work.Work(folder, None)
    work.run(rounds)
    return folder / "office.db", work.devices


def office_rot(folder, *, flips, rounds=6, seed=1):
    """Flip one bit at a time, look as the scrub does, repair, be the gateway, and return the figures."""
    (folder / "whole").mkdir()
    whole, devices = make_office_files(folder / "whole", rounds)
    content = whole.read_bytes()
    raws = {segment.digest: segment.raw for device in devices for segment in device.all_segments()}
    figures = RotFigures(office_work.NAME)
    begun = time.perf_counter()
    for at, bit in places_to_flip(content, flips, random.Random(seed), raws.values()):
        here = folder / "flipped"
        shutil.copytree(folder / "whole", here)
        damaged = bytearray(content)
        damaged[at] ^= 1 << bit
        (here / "office.db").write_bytes(damaged)
        _one_office_flip(figures, here, whole, raws, (at, bit))
        shutil.rmtree(here)
    figures.seconds = time.perf_counter() - begun
    return figures


def check_office_rot(folder, *, flips, seed=1):
    """Fail naming the first flip that went unseen, deleted a good row, or did not heal; else return the figures."""
    figures = office_rot(folder, flips=flips, seed=seed)
    return _whole(figures)


def segments_of(path):
    """Return every column of every segment, or None if plain SQLite cannot read to the end."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            rows = connection.execute("SELECT rowid, * FROM segments NOT INDEXED").fetchall()
            by_key = connection.execute(f"SELECT {PLACE} FROM segments ORDER BY {PLACE}").fetchall()
        except (sqlite3.Error, UnicodeDecodeError):
            return None
    return rows, by_key


def _one_office_flip(figures, folder, whole, raws, flip):
    path = folder / "office.db"
    true = segments_of(whole)
    is_changed = segments_of(path) != true
    good = readable(path, [row[0] for row in true[0]], "rowid")
    figures.flips += 1
    figures.changed_segments += is_changed
    keystore = Keystore.open(folder / "keystore.db")
    try:
        repaired = repair_database(path, keystore, now_ms=5)
    except OfficeError:
        # Said by name; a backup is what helps, and the file is as it was.
        figures.refused += 1
        figures.found += 1
        figures.found_of_changed += is_changed
        return
    finally:
        keystore.close()
    _judge_office(figures, folder, true, good, repaired, is_changed, flip)
    _heal_office(figures, folder, raws, repaired, flip)


def _judge_office(figures, folder, true, good, repaired, is_changed, flip):
    is_found = bool(repaired.damages)
    figures.found += is_found
    figures.found_of_changed += is_found and is_changed
    if is_changed and not is_found:
        figures.silent += 1
        figures.failures.append((flip, "a segment changed and nobody noticed"))
    at = COLUMNS["segments"].index("raw") + 1
    there = {row[at] for row in segments_of(folder / "office.db")[0]}
    sealed = {row[at] for row in true[0]}
    if there - sealed:
        figures.failures.append((flip, f"{len(there - sealed)} wrong rows"))
    deleted = (sealed & good) - there
    if deleted:
        figures.deleted_good += 1
        figures.failures.append((flip, f"{len(deleted)} rows that verify are gone"))
    figures.rows_to_fetch_again_max = max(figures.rows_to_fetch_again_max, len(sealed - there))
    figures.rows_fetched_again += len(sealed - there)


def _heal_office(figures, folder, raws, repaired, flip):
    """Be the gateway and the devices: bring what the office asks for, and let the auditor look."""
    desk = office_work.Desk(folder)
    try:
        places = [(place, number) for place, start, stop in repaired.wanted for number in range(start, stop)]
        by_place = {parse_segment(raw).header.key(): raw for raw in raws.values()}
        again = [by_place[*place, number] for place, number in places]
        if again:
            outcomes = set(desk.ingest.take("gw-1", again, []).outcomes)
            if outcomes != {OFFICE_STORED}:
                figures.failures.append((flip, f"what was asked for was {outcomes}"))
        report = verify_database(desk.store.connection, desk.keystore)
    finally:
        desk.close()
    # Registers and heartbeats are told by nothing else: a damaged row there stays named.
    is_head = any(damage.table == "heartbeats" for damage in repaired.damages)
    left = [one for one in report.findings if one.table in _HEALED and not (is_head and one.table == "heads")]
    if left:
        figures.not_healed += 1
        figures.failures.append((flip, f"after healing: {left[0]}"))


_HEALED = ("database", "segments", "gaps", "heads", "receipts", "tallies")
