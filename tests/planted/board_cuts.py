"""Faults planted in the agent that an emulated board runs, by name: NAME -> (file of the agent, lines added at its end, what is said).

The agent comes as a release brings it, so that it runs in the production image as it is. hil_tests/test_cuts_planted.py
cuts the board's power until somebody says it.
"""

# Go on at the torn page instead of behind it.
_REWRITE_TORN_PAGE = """
def _skip_rest(self, index, sector):
    held = [0]
    for page, raw in self.records(index):
        if raw and raw[-1] != 0xFF and _parse(raw) is not None:
            held.append(page + pages_of(len(raw)))
    sector.page = max(held)


Ring._skip_rest = _skip_rest
"""

# What a cut left of a record ends what is looked at.
_STOP_AT_TORN = """
_records = Ring.records


def _until_torn(self, index, page=0):
    for found in _records(self, index, page):
        if found[1] is None or _parse(found[1]) is None:
            return
        yield found


Ring.records = _until_torn
"""

# Make room and tell nobody.
_DROP_UNRECEIPTED = """
def _write_tombstone(journal, lane, victim):
    pass
"""

# Take the first whole page for the newest.
_READ_CELL_FROM_ITS_BEGINNING = """
def _first(self, sector):
    for page in range(PAGES_PER_SECTOR):
        item = decode_page(_LABEL, self._flash.read(page_offset(sector, page), PAGE_BYTES))
        if item is not None:
            return item
    return None


Cell._newest = _first
"""

# Numbers are sealed again that were sealed before, and what had them is not there any more.
_BROKEN_CHAIN = "has other bytes than before|segments .* are gone|does not follow|fork at"

BOARD_FAULTS = {
    "rewrite_a_torn_page": ("ring.py", _REWRITE_TORN_PAGE, "a byte was programmed over another"),
    "stop_at_a_torn_record": ("ring.py", _STOP_AT_TORN, _BROKEN_CHAIN),
    "drop_unreceipted_segments": ("prune.py", _DROP_UNRECEIPTED, "segments .* are gone"),
    "read_the_cell_from_its_beginning": (
        "cell.py",
        _READ_CELL_FROM_ITS_BEGINNING,
        "(boot|version_floor|order_reserved) went back",
    ),
}
