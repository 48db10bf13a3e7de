"""A serving process looks for circles of objects rarely, and still finds them."""

import gc
import weakref

from gateway.garbage import NEW_CONTAINERS, rarely_collected


class _Circle:
    def __init__(self):
        self.itself = self


def test_circles_are_still_found():
    """A circle that nobody refers to is gone before twice as many containers were made as a look waits for."""
    with rarely_collected():
        circle = weakref.ref(_Circle())
        kept = [[] for _ in range(2 * NEW_CONTAINERS)]

        assert circle() is None
        assert len(kept) == 2 * NEW_CONTAINERS


def test_what_was_there_is_not_looked_through():
    """What was loaded before is set aside meanwhile; afterwards nothing is, and the settings are those of before."""
    gc.unfreeze()
    before = gc.get_threshold()
    with rarely_collected():
        frozen = gc.get_freeze_count()

        assert frozen > 10_000
        assert gc.get_threshold()[0] == NEW_CONTAINERS
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == before
