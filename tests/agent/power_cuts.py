"""Cut the power at every flash operation of a scenario, in every way, and once more inside the recovery.

A scenario is (prepared Site, steps): the steps run after a boot from the prepared flash, so that the boot's own programs and
erases are cut too. After each cut the device boots again and `Site.check_all` must find every promise kept.
"""

from agent.cell import Cell
from agent.flash import MODES, PowerCut, RamFlash
from agent.journal import NoRoom
from agent.keystore import Keystore
from protocol.keys import CRITICAL, LANES, OFFICE, ROUTINE, SITE, seal_next, seal_start, view_next, view_start
from protocol.limits import segment_events_max
from protocol.segment import parse_segment
from tests.both.flash_site import SEAL_ROOT, VIEW_ROOT, Site, check

# Enough for any scenario; a sweep that gets there does not end.
_OPERATIONS_MAX = 500


def sweep(prepared, steps, modes=MODES, second_cut=True, first=0, step=1):
    """Cut each step-th operation; return how many cuts were tried. Raises what a promise's check raises."""
    cuts = 0
    for mode in modes:
        for operation in range(first, _OPERATIONS_MAX, step):
            site = prepared.copy()
            if not _is_cut(site, operation, mode, steps):
                break
            cuts += 1
            if second_cut:
                site.power_on()
                _is_cut(site, (operation * 5 + 1) % 11, mode, _nothing)
            _recover(site, mode, operation)
        else:
            raise AssertionError("the scenario does not end")
    return cuts


def _is_cut(site, operation, mode, steps):
    site.flash.cut_after(operation, mode, seed=operation + 1)
    try:
        site.boot()
        steps(site)
    except PowerCut:
        return True
    return False


def _nothing(site):
    """Only the boot runs."""


def _recover(site, mode, operation):
    site.power_on()
    try:
        site.boot()
        site.check_all()
        # It goes on working, and what it then holds is right too.
        fill(site, 3)
        site.power_on()
        site.boot()
        site.check_all()
    except Exception as error:
        error.args = (str(error) + f" (cut at operation {operation}, {mode})",)
        raise


def fill(site, decisions, bulks=0, samples=0):
    """Record decisions, full routine segments, and samples that do not compress well."""
    for i in range(decisions):
        site.decide(site.tick ^ i)
    for _ in range(samples):
        if site.sample((site.tick * 1103515245 >> 8) & 0xFFFF):
            site.seal(ROUTINE, "seal_full")
    try:
        if samples:
            site.seal(ROUTINE)
        for _ in range(bulks):
            site.bulk()
    except NoRoom:
        site.journal.thin(ROUTINE)
        site.journal.lanes[ROUTINE].run.drop_first(site.journal.open_events(ROUTINE))


def crossing_a_generation():
    """Both lanes stand just before their key moves; no room is short."""
    site = Site(ring_sectors=12)
    site.boot()
    while site.journal.lanes[CRITICAL].next_number < 25:
        fill(site, 1)
    while site.journal.lanes[ROUTINE].next_number < 30:
        fill(site, 0, 1)

    def steps(site):
        fill(site, 6, 2, 3)

    return site.copy(), steps


def pruning(receipted=False):
    """A full ring: each new sector costs an old one, with tombstones or after receipts."""
    site = Site(ring_sectors=7)
    site.boot()
    for _ in range(8):
        fill(site, 3, 4)
    site.checkpoint()

    def steps(site):
        if receipted:
            site.acknowledge(ROUTINE, site.journal.lanes[ROUTINE].next_number - 1)
            site.acknowledge(CRITICAL, site.journal.lanes[CRITICAL].next_number - 2)
        for _ in range(4):
            fill(site, 4, 4)

    return site.copy(), steps


def pruning_the_checkpoint():
    """The critical lane alone fills a small ring, so that its newest checkpoint comes to be the victim."""
    site = Site(ring_sectors=4)
    site.boot()
    fill(site, 40)

    def steps(site):
        fill(site, 36)

    return site.copy(), steps


def switching_the_period():
    """Two view periods one after the other."""
    site = Site(ring_sectors=8)
    site.boot()
    fill(site, 5, 2, 3)

    def steps(site):
        for _ in range(2):
            fill(site, 1, 0, 5)
            site.switch()
            fill(site, 1)

    return site.copy(), steps


def starting_an_epoch():
    """The office says that it holds more than this flash."""
    site = Site(ring_sectors=6)
    site.boot()
    fill(site, 5, 2, 3)

    def steps(site):
        fill(site, 1)
        site.may_give_up = True
        site.journal.start_epoch(1, site.tick, 40)
        site.checkpoint()
        fill(site, 2, 1, 2)

    return site.copy(), steps


def first_boot():
    """The very first boot after provisioning."""
    return Site(ring_sectors=4).copy(), lambda site: fill(site, 1, 0, 5)


SCENARIOS = {
    "first_boot": first_boot,
    "crossing_a_generation": crossing_a_generation,
    "pruning": pruning,
    "pruning_receipted": lambda: pruning(receipted=True),
    "pruning_the_checkpoint": pruning_the_checkpoint,
    "switching_the_period": switching_the_period,
    "starting_an_epoch": starting_an_epoch,
}


def check_cell(modes=MODES):
    """Cut every operation of forty stores, and the first store of the recovery; the cell never goes back. Return the cuts."""
    cuts = 0
    for mode in modes:
        for operation in range(45):
            flash = RamFlash(2)
            returned = _store_cell(flash, operation, mode, 0, 40)
            flash = RamFlash(2, flash.image)
            again = _store_cell(flash, operation % 3, mode, returned, 2)
            cell = Cell(RamFlash(2, flash.image))
            cell.load()
            check(cell.boot >= max(returned, again), f"the cell went back to {cell.boot}")
            check(cell.sender_reserved == 3 * cell.boot, "the cell mixes two stores")
            cell.store(boot=cell.boot + 1)
            cuts += 2
    return cuts


def _store_cell(flash, operation, mode, floor, times):
    """Store until the cut; return the last boot count whose store() returned."""
    flash.cut_after(operation, mode, seed=operation + 1)
    cell = Cell(flash)
    cell.load()
    returned = cell.boot
    check(returned >= floor, f"the cell went back to {returned}")
    try:
        for _ in range(times):
            boot = cell.boot + 1
            cell.store(boot=boot, sender_reserved=3 * boot)
            returned = boot
    except PowerCut:
        pass
    return returned


def check_keystore(modes=MODES):
    """Cut every operation of many advances and period switches, moves among them, and once more in the recovery. Return the cuts."""
    cuts = 0
    for mode in modes:
        for operation in range(110):
            flash = _provisioned()
            done = [0, 0, 0]
            _use_keys(flash, operation, mode, done, 1)
            flash = RamFlash(4, flash.image)
            _use_keys(flash, operation % 4, mode, done, 0)
            flash = RamFlash(4, flash.image)
            keystore = Keystore(flash, 2)
            keystore.open()
            _check_keys(flash, keystore, done)
            keystore.advance_seal(CRITICAL)
            cuts += 2
    return cuts


def _provisioned():
    flash = RamFlash(4)
    seal_keys = [seal_start(SEAL_ROOT, lane) for lane in LANES]
    Keystore(flash, 2).provision(
        seal_keys, [view_start(VIEW_ROOT, SITE), view_start(VIEW_ROOT, OFFICE)], b"d" * 32
    )
    return flash


def _use_keys(flash, operation, mode, done, times):
    """done: generations of both lanes and the period whose step has returned."""
    flash.cut_after(operation, mode, seed=operation + 1)
    keystore = Keystore(flash, 2)
    try:
        keystore.open()
        for i in range(25 * times):
            lane = i % 2
            keystore.advance_seal(lane)
            done[lane] = keystore.seal_key(lane)[0]
            if i % 4 == 3:
                keystore.prepare_period()
                keystore.finish_period()
                done[2] = keystore.boot_periods()[0]
    except PowerCut:
        pass


def _check_keys(flash, keystore, done):
    image = bytes(flash.image)
    for lane in LANES:
        generation, key = keystore.seal_key(lane)
        check(generation >= done[lane], "a seal key went back")
        chain = [seal_start(SEAL_ROOT, lane)]
        for _ in range(generation):
            chain.append(seal_next(chain[-1]))
        check(chain.pop() == key, "a seal key is not of its chain")
        check(not any(old in image for old in chain), "an old seal key is on flash")
    periods = keystore.boot_periods()
    check(periods[0] >= done[2] and len(periods) <= 2, "a ratchet went back")
    for view_class in (SITE, OFFICE):
        ratchet = view_start(VIEW_ROOT, view_class)
        for period in range(periods[-1] + 1):
            held = period in periods
            check(
                (ratchet in image) == held,
                "ratchet {} is {} on flash".format(period, "not" if held else "still"),
            )
            if held:
                check(
                    keystore.ratchet(view_class, period) == (period, ratchet), "a ratchet is not of its chain"
                )
            ratchet = view_next(ratchet)
    check(keystore.downlink() == b"d" * 32, "the downlink key changed")


def check_bad_pages():
    """Each page of the ring in turn does not keep its bytes; what seal() returned for is there all the same. Return the pages."""
    for page in range(4 * 16, 6 * 16):
        site = Site(ring_sectors=5)
        site.flash.bad = (page,)
        site.boot()
        fill(site, 12, 3)
        site.power_on()
        site.boot()
        site.check_all()
    return 32


def check_torn_tags():
    """A segment of which only the last bytes are missing is not taken for one. Return the lengths tried."""
    for missing in range(1, 33):
        site = Site(ring_sectors=5)
        site.boot()
        fill(site, 2)
        raw = site.journal.read(CRITICAL, site.journal.lanes[CRITICAL].next_number - 1)
        at = bytes(site.flash.image).index(raw) + len(raw) - missing
        site.flash.image[at : at + missing] = b"\xff" * missing
        top = site.journal.lanes[CRITICAL].next_number - 1
        for kept in (site.durable, site.shown):
            kept.pop((CRITICAL, 0, top), None)
        site.decisions.pop()
        site.power_on()
        site.boot()
        site.check_all()
    return 32


def check_fill():
    """A full routine segment of samples comes close to the limit, whatever the readings do. Return the segments."""
    sealed = []
    for spread in (1, 7, 1000, 1 << 20):
        site = Site(ring_sectors=8)
        site.boot()
        while len(site.journal.offer()[ROUTINE] or ()) == 0 or site.journal.offer()[ROUTINE][1] < 3:
            if site.sample((site.tick * 1103515245 >> 8) % spread):
                site.seal(ROUTINE, "seal_full")
        sealed += [site.journal.read(ROUTINE, number) for number in range(4)]
    for raw in sealed:
        header = parse_segment(raw).header
        check(len(raw) > 460 or header.count == segment_events_max, f"a full segment has {len(raw)} bytes")
    return len(sealed)


def check_flash():
    """Programming only clears bits, erasing sets a sector's, and nothing else changes. Return the checks."""
    flash = RamFlash(2)
    flash.program(256, bytes([0x0F]) * 256)
    flash.program(256, bytes([0xF5]) * 256)
    check(flash.read(255, 3) == b"\xff\x05\x05", "programming set a bit")
    flash.program(4096, bytes(256))
    flash.erase(0)
    check(flash.read(0, 4096) == b"\xff" * 4096 and flash.read(4096, 256) == bytes(256), "an erase missed")
    return 2


_CHECKS = {
    "cell": check_cell,
    "keystore": check_keystore,
    "bad_pages": check_bad_pages,
    "torn_tags": check_torn_tags,
    "fill": check_fill,
    "flash": check_flash,
}


def run_check(name):
    """Run a check or the sweep of a scenario by name, in its short form; return how much it tried. Raises if a promise breaks."""
    if name in _CHECKS:
        return _CHECKS[name]()
    prepared, steps = SCENARIOS[name]()
    return sweep(prepared, steps, modes=("torn",), second_cut=False)
