"""The key sector: keys that move on and are really gone, in two sectors of pages [chain, step, key, check].

A chain advances by programming the new key on a blank page, reading it back, and programming the old page to zeros. When the
sector is full, the other one is erased, every live page is copied there, and the old sector is erased.

At boot: of two sectors with live pages (an interrupted move) the one that holds everything is kept and the other erased;
then the newest step of each chain wins, and every page that is not blank and not live is zeroed before anything is sealed.
So at every cut each chain has a key, and no key of an earlier step outlives the next boot.

The two view chains move together. Between prepare_period() and finish_period() both steps are live; a cut leaves either
period p alone, p and p + 1 of both, or (finish begun) p + 1 alone.

A rekey replaces all keys at once. Its intent is one page of its own; the new keys are written to the other sector as a move would,
the downlink key last, one step on. So of two sectors the one with the higher step of that key holds, and one without it was not
finished. The view ratchets of before go along until the checkpoint of the new period is durable.

Release roots and links that commands gave lie here too, a page each, and go along with every move; agent.key_notes, agent.roots,
agent.relinker.
"""

from agent.flash import BLANK_PAGE, PAGE_BYTES
from agent.key_notes import INTENT, LABELS, LINK, ROOT, count_notes, find_notes, newest_notes
from agent.pages import PAGES_PER_SECTOR, FlashFault, decode_page, encode_page, page_offset
from protocol._const import const
from protocol.keys import CRITICAL, OFFICE, ROUTINE, SITE, rekeyed, seal_ahead, view_next
from protocol.limits import generation_ahead_max

_LABEL = b"outstation key v1"
_ZEROS = bytes(PAGE_BYTES)

# Chains 0 and 1 are the lanes, so that a lane's number is its chain's.
_VIEW_SITE = const(2)
_VIEW_OFFICE = const(3)
_DOWNLINK = const(4)
_CHAINS = const(5)
_VIEWS = (_VIEW_SITE, _VIEW_OFFICE)


class KeyFault(Exception):
    """The key sector does not hold every key. Who must act: a person, by provisioning the device again."""


class Keystore:
    """The key sector in sectors first_sector and the next one. Call open() before anything else."""

    def __init__(self, flash, first_sector: int = 2):
        self._flash = flash
        self._first = first_sector
        self._sector = first_sector
        # chain -> list of (step, key, page), lowest step first: one entry, or two for a view chain between periods.
        self._live = [[] for _ in range(_CHAINS)]
        # label -> [(*items, page)] of what lies beside them.
        self._notes = {label: [] for label in LABELS}

    def provision(self, seal_keys: tuple, ratchets: tuple, downlink: bytes) -> None:
        """Write all first keys to erased flash: k(0) of (critical, routine), r(0) of (site, office), downlink key."""
        self._flash.erase(self._first)
        self._flash.erase(self._first + 1)
        keys = list(seal_keys) + list(ratchets) + [downlink]
        assert len(keys) == _CHAINS and all([len(key) == 32 for key in keys])
        self._sector = self._first
        for chain in range(_CHAINS):
            self._live[chain] = [(0, keys[chain], self._write(chain, 0, keys[chain]))]

    def open(self) -> None:
        """Recover: finish a move, choose the newest of each chain, zero the rest. Raises KeyFault if a chain is missing."""
        found = [self._scan(self._first), self._scan(self._first + 1)]
        downlinks = [_newest([entries])[_DOWNLINK] for entries in found]
        if downlinks[0] != downlinks[1]:
            # One was not finished, or is half erased, or holds the keys of before a rekey: what it says of the others counts for nothing.
            kept = 0 if downlinks[0] > downlinks[1] else 1
            newest = _newest([found[kept]])
        else:
            newest = _newest(found)
            # The fuller one: of a source that was half erased only an older ratchet may be missing, or a page beside the keys.
            fullness = [
                len(found[at]) + count_notes(find_notes(self._flash, self._first + at)) for at in range(2)
            ]
            kept = 0 if fullness[0] >= fullness[1] else 1
            if not _is_whole(found[kept], newest):
                kept = 1 - kept
        if not _is_whole(found[kept], newest):
            raise KeyFault("the key sector lacks a key of chain {}".format(_lacking(found, newest)))
        self._sector = self._first + kept
        if found[1 - kept]:
            self._flash.erase(self._first + 1 - kept)
        self._choose(found[kept], newest)
        self._notes = newest_notes(find_notes(self._flash, self._sector))
        self._zero_dead()

    def _scan(self, sector: int) -> list:
        found = []
        for page in range(PAGES_PER_SECTOR):
            item = decode_page(_LABEL, self._flash.read(page_offset(sector, page), PAGE_BYTES))
            if item is not None:
                found.append((item[0], item[1], item[2], page))
        return found

    def _choose(self, found: list, newest: list) -> None:
        for chain in range(_CHAINS):
            self._live[chain] = [
                entry[1:] for entry in found if entry[0] == chain and entry[1] == newest[chain]
            ]
            self._live[chain] = self._live[chain][:1]
        # Both view chains have both steps, or the lower one of a switch that had not begun, or had ended, is dead.
        before = [_newest_below(found, chain, newest[chain]) for chain in _VIEWS]
        if newest[_VIEW_SITE] == newest[_VIEW_OFFICE]:
            if before[0] and before[1] and before[0][0] == before[1][0]:
                for i in range(2):
                    self._live[_VIEWS[i]].insert(0, before[i])
        else:
            # Only one chain had got its new step: the switch had not begun.
            for chain in _VIEWS:
                self._live[chain] = [_find(found, chain, min(newest[_VIEW_SITE], newest[_VIEW_OFFICE]))]

    def _zero_dead(self) -> None:
        live = self._live_pages()
        for page in range(PAGES_PER_SECTOR):
            data = self._flash.read(page_offset(self._sector, page), PAGE_BYTES)
            if page not in live and data != BLANK_PAGE and data != _ZEROS:
                self._zero(page)
        other = 2 * self._first + 1 - self._sector
        for page in range(PAGES_PER_SECTOR):
            data = self._flash.read(page_offset(other, page), PAGE_BYTES)
            if data != BLANK_PAGE and data != _ZEROS:
                # Half erased: nothing there is needed, and it may hold parts of keys.
                self._flash.erase(other)
                break

    def _live_pages(self) -> list:
        noted = [note[-1] for label in LABELS for note in self._notes[label]]
        return noted + [entry[2] for chain in self._live for entry in chain]

    def _zero(self, page: int) -> None:
        offset = page_offset(self._sector, page)
        self._flash.program(offset, _ZEROS)
        if self._flash.read(offset, PAGE_BYTES) != _ZEROS:
            raise FlashFault("key page {} of sector {} cannot be zeroed".format(page, self._sector))

    def _write(self, chain: int, step: int, key: bytes) -> int:
        """Program a key on a blank page, read it back, return the page. Moves to the other sector when this one is full."""
        return self._write_page(encode_page(_LABEL, [chain, step, key]))

    def _write_page(self, data: bytes) -> int:
        for _ in range(PAGES_PER_SECTOR):
            page = self._blank_page()
            if page is None:
                self._move()
                page = self._blank_page()
            offset = page_offset(self._sector, page)
            self._flash.program(offset, data)
            if self._flash.read(offset, PAGE_BYTES) == data:
                return page
            self._zero(page)
        raise FlashFault("no page of key sector {} keeps its bytes".format(self._sector))

    def _blank_page(self):
        for page in range(PAGES_PER_SECTOR):
            if self._flash.read(page_offset(self._sector, page), PAGE_BYTES) == BLANK_PAGE:
                return page
        return None

    def _move(self) -> None:
        self._install(self._live)

    def _install(self, chains: list) -> None:
        """Write these keys, and all that lies beside them, to the other sector, then erase this one."""
        old = self._sector
        other = 2 * self._first + 1 - old
        self._flash.erase(other)
        page = 0
        notes = {label: [] for label in LABELS}
        for label in LABELS:
            for note in self._notes[label]:
                page = self._copy(other, page, encode_page(label, list(note[:-1])))
                notes[label].append(note[:-1] + (page,))
                page += 1
        moved = [[] for _ in range(_CHAINS)]
        # Chain by chain: the downlink key, last, tells at boot that everything before it was copied.
        for chain in range(_CHAINS):
            for step, key, _ in chains[chain]:
                page = self._copy(other, page, encode_page(_LABEL, [chain, step, key]))
                moved[chain].append((step, key, page))
                page += 1
        self._flash.erase(old)
        self._sector = other
        self._live = moved
        self._notes = notes

    def _copy(self, sector: int, page: int, data: bytes) -> int:
        for at in range(page, PAGES_PER_SECTOR):
            self._flash.program(page_offset(sector, at), data)
            if self._flash.read(page_offset(sector, at), PAGE_BYTES) == data:
                return at
        raise FlashFault("no page of key sector {} keeps its bytes".format(sector))

    def _replace(self, chain: int, step: int, key: bytes) -> None:
        page = self._write(chain, step, key)
        old = self._live[chain][0][2]
        self._live[chain] = [(step, key, page)]
        self._zero(old)

    def seal_key(self, lane: int) -> tuple:
        """Return (generation, k(generation)) of a lane."""
        return self._live[lane][0][:2]

    def advance_seal(self, lane: int) -> None:
        """Move a lane to its next generation; when this returns the key before is zeroed on flash."""
        self.skip_seal(lane, self.seal_key(lane)[0] + 1)

    def skip_seal(self, lane: int, generation: int) -> None:
        """Move a lane to a later generation at once. Raises KeyFault beyond generation_ahead_max steps."""
        now, key = self.seal_key(lane)
        steps = generation - now
        if not 0 < steps <= generation_ahead_max + 1:
            raise KeyFault(
                "generation {} is not 1..{} above {}".format(generation, generation_ahead_max + 1, now)
            )
        self._replace(lane, generation, seal_ahead(key, steps))

    def downlink(self) -> bytes:
        """Return the downlink key."""
        return self._live[_DOWNLINK][0][1]

    def _write_note(self, label: bytes, *items) -> None:
        # First on flash: where the sector is full, what is held moves, and this must not be there twice.
        page = self._write_page(encode_page(label, list(items)))
        self._notes[label].append(items + (page,))

    def _drop_note(self, label: bytes, note: tuple) -> None:
        self._notes[label].remove(note)
        self._zero(note[-1])

    def intent(self):
        """Return (number, generation, period) of the rekey that is to be carried out, or None."""
        for number, _root, generation, period, _page in self._notes[INTENT]:
            return number, generation, period
        return None

    def intend(self, number: int, root: bytes, generation: int, period: int) -> None:
        """Make durable that the rekey command of this number is to be carried out; root: `keys.rekey_root`."""
        self.drop_intent()
        self._write_note(INTENT, number, root, generation, period)

    def drop_intent(self) -> None:
        """Forget what was intended. Nothing happens if there is nothing."""
        for note in self._notes[INTENT][:]:
            self._drop_note(INTENT, note)

    def roots(self) -> list:
        """Return (step, provisioned root, public key, number) of the root pages; number: of a command not yet in force, else 0."""
        return [root[:-1] for root in self._notes[ROOT]]

    def write_root(self, step: int, provisioned: bytes, public: bytes, number: int) -> None:
        """Make a root page durable. provisioned: identifier (8 bytes) of the root that it stands for."""
        self._write_note(ROOT, step, provisioned, public, number)

    def drop_root(self, step: int, provisioned: bytes, number: int) -> None:
        """Zero a root page. Nothing happens if there is none."""
        for root in self._notes[ROOT][:]:
            if (root[0], root[1], root[3]) == (step, provisioned, number):
                self._drop_note(ROOT, root)

    def link(self):
        """Return (number, sender ID, secret) of the link in use that a command gave, None: that of the settings is."""
        return self._link_of(1)

    def next_link(self):
        """Return (number, sender ID, secret) of the link that was given and has not been answered yet, or None."""
        return self._link_of(0)

    def _link_of(self, is_in_use: int):
        for number, used, kid, secret, _page in self._notes[LINK]:
            if used == is_in_use:
                return number, kid, secret
        return None

    def intend_link(self, number: int, kid: bytes, secret: bytes) -> None:
        """Make the next link durable, in place of one that was never answered."""
        self.drop_next_link()
        self._write_note(LINK, number, 0, kid, secret)

    def drop_next_link(self) -> None:
        """Forget the next link. Nothing happens if there is none."""
        self._drop_links(0)

    def use_next_link(self) -> None:
        """Let the next link be the one in use. When this returns, the one before is gone from the key sector."""
        number, kid, secret = self.next_link()
        before = self._notes[LINK][:]
        self._write_note(LINK, number, 1, kid, secret)
        for items in [note[:2] for note in before]:
            self._drop_links(items[1], items[0])

    def _drop_links(self, is_in_use: int, number=None) -> None:
        for note in self._notes[LINK][:]:
            if note[1] == is_in_use and number in (None, note[0]):
                self._drop_note(LINK, note)

    def can_rekey(self, generation: int, period: int) -> bool:
        """Return whether other keys can begin at a generation and a period: above all that is in use, not next to it."""
        lanes = [self._live[lane][0][0] for lane in (CRITICAL, ROUTINE)]
        return max(lanes) < generation and self.boot_periods()[-1] + 1 < period

    def rekey(self) -> None:
        """Carry out the intent: all other keys, the view ratchets of before beside the new ones; finish_period() ends those.

        When this returns, the chains of before and the root are gone from flash. Call with one view period held.
        """
        assert self._notes[INTENT] and len(self.boot_periods()) == 1
        _number, root, generation, period, _page = self._notes[INTENT].pop()
        keys = rekeyed(root)
        chains = [[(generation, keys[lane], 0)] for lane in (CRITICAL, ROUTINE)]
        for i in range(2):
            chains.append([self._live[_VIEWS[i]][0], (period, keys[_VIEWS[i]], 0)])
        chains.append([(self._live[_DOWNLINK][0][0] + 1, keys[_DOWNLINK], 0)])
        self._install(chains)

    def is_rekeyed(self) -> bool:
        """Return whether a rekey was carried out whose first checkpoint is not durable yet."""
        periods = self.boot_periods()
        return len(periods) == 2 and periods[0] + 1 < periods[1]

    def boot_periods(self) -> tuple:
        """Return the view periods whose ratchets are held, lowest first: (p,), or two within a switch."""
        return tuple([entry[0] for entry in self._live[_VIEW_SITE]])

    def ratchet(self, view_class: int, period=None) -> tuple:
        """Return (period, r(period)) of SITE or OFFICE: the newest held, or the given one. Raises KeyFault if it is not held."""
        entries = self._live[_VIEW_SITE if view_class == SITE else _VIEW_OFFICE]
        assert view_class == SITE or view_class == OFFICE
        for entry in entries[::-1]:
            if period is None or entry[0] == period:
                return entry[:2]
        raise KeyFault("the ratchet of view period {} is not held".format(period))

    def prepare_period(self) -> int:
        """Write r(p + 1) of both classes while r(p) stays; return p + 1. Within a switch nothing changes."""
        if len(self.boot_periods()) == 1:
            for chain in _VIEWS:
                step, ratchet, _ = self._live[chain][0]
                ratchet = view_next(ratchet)
                page = self._write(chain, step + 1, ratchet)
                self._live[chain].append((step + 1, ratchet, page))
        return self.boot_periods()[-1]

    def finish_period(self) -> None:
        """Zero r(p) of both classes: the checkpoint of p + 1 is durable."""
        for chain in _VIEWS:
            if len(self._live[chain]) == 2:
                old = self._live[chain].pop(0)
                self._zero(old[2])


def _newest(found: list) -> list:
    newest = [-1] * _CHAINS
    for entries in found:
        for entry in entries:
            newest[entry[0]] = max(newest[entry[0]], entry[1])
    return newest


def _is_whole(entries: list, newest: list) -> bool:
    return all([_find(entries, chain, newest[chain]) is not None for chain in range(_CHAINS)])


def _lacking(found: list, newest: list) -> int:
    for chain in range(_CHAINS):
        if _find(found[0], chain, newest[chain]) is None and _find(found[1], chain, newest[chain]) is None:
            return chain
    return 0


def _newest_below(entries: list, chain: int, step: int):
    """Return (step, key, page) of the newest entry of a chain below a step, or None."""
    below = [entry[1] for entry in entries if entry[0] == chain and entry[1] < step]
    return _find(entries, chain, max(below)) if below else None


def _find(entries: list, chain: int, step: int):
    """Return (step, key, page) of an entry, or None."""
    for entry in entries:
        if entry[0] == chain and entry[1] == step:
            return entry[1:]
    return None
