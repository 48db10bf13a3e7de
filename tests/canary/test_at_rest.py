"""The search for what lies in the open finds each thing that a planted fault lets lie there, and names it."""

from pathlib import Path

import pytest

from tests.planted.at_rest import FAULTS, plant
from tests.site.at_rest import life_of

_PATTERN = Path("/proc/sys/kernel/core_pattern")


@pytest.mark.canary
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_that_lets_something_lie_in_the_open_is_caught_by_the_search(tmp_path, name):
    """A log, a file beside, a backup, a store, memory, a command line, an environment, flash: each is named with what lies in it."""
    if name.startswith("allow_core_dumps") and _PATTERN.read_text().startswith(("|", "/")):
        pytest.skip("this machine keeps core dumps elsewhere")
    found = life_of(tmp_path, lambda site: plant(site, name)).found

    assert [one for one in map(str, found) if all(word in one for word in FAULTS[name][1])], found
