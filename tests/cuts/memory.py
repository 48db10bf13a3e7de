"""Remembers what pure functions of bytes have answered: thousands of cuts leave flash that is the same but for one page.

Nothing that is tested changes: parsing a segment and walking the records of a sector read these bytes and nothing else, so an answer remembered
is the answer. What they refuse is asked again each time. The signature of a release is checked once for each floor of the device.
"""

from contextlib import ExitStack, contextmanager
from functools import lru_cache
from unittest.mock import patch

from agent import adopter, prune, recovery, ring
from agent.flash import SECTOR_BYTES
from protocol.segment import parse_segment
from tests.both import flash_site

_KEPT = 20_000
_SECTORS_KEPT = 4000
# Of the office's view of the keys, with which the checks compare.
_KEY_STEPS = ("seal_ahead", "seal_start", "view_start", "view_next")


@contextmanager
def remembered():
    """Let the storage and its checks remember parsed segments. Planted faults of other functions stay in force."""
    parse = lru_cache(_KEPT)(parse_segment)
    with ExitStack() as stack:
        for module in (prune, recovery, ring, flash_site):
            stack.enter_context(patch.object(module, "parse_segment", parse))
        for module, name in (
            (ring, "peek"),
            (ring, "record_length"),
            *((flash_site, one) for one in _KEY_STEPS),
        ):
            stack.enter_context(patch.object(module, name, lru_cache(_KEPT)(getattr(module, name))))
        stack.enter_context(patch.object(ring.Ring, "records", _records(ring.Ring.records)))
        stack.enter_context(patch.object(adopter, "check_release", _checked(adopter.check_release)))
        yield


def _checked(check):
    taken = {}

    def check_release(raw, standing):
        key = (raw, standing.floor)
        if key not in taken:
            taken[key] = check(raw, standing)
        return taken[key]

    return check_release


def _records(walk):
    seen = {}

    def records(self, index, first=0):
        if first:
            return walk(self, index, first)
        content = self._flash.read(self._offset(index, 0), SECTOR_BYTES)
        found = seen.get(content)
        if found is None:
            if len(seen) >= _SECTORS_KEPT:
                seen.clear()
            found = seen[content] = list(walk(self, index))
        return found

    return records
