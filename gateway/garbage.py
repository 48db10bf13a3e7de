"""How often a serving process looks for objects that refer to each other in a circle and to which nobody else refers.

Nothing that is made for a request is such a circle: all of it goes when its last user lets it go. So the collector, which looks through
every container that is alive, finds next to nothing, and by Python's own settings it looks each 700 containers, and every few thousand
requests through all that was loaded at the start: some 40 ms in which nobody is answered.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Containers made and not yet gone before the next look. Circles of so many take a few megabytes.
NEW_CONTAINERS = 20_000


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Within, look for circles rarely, and only among what is made from here on; afterwards all is as before."""
    first, second, third = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_CONTAINERS, second, third)
    try:
        yield
    finally:
        gc.set_threshold(first, second, third)
        gc.unfreeze()
