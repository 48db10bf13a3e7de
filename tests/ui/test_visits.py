"""What a first visit to each page shows: one browser window a page, and every promise is held against the same visits.

They are in a file of their own, so that one process makes them, once.
"""

import pytest

from tests.ui.visiting import WIDTHS

WEIGHT_MAX = 150_000


def test_no_page_asks_another_host_or_breaks_its_policy(office, visits):
    """Every kind of page, with its script running: each request goes to the office itself, no policy is broken, nothing complains."""
    asked = [url for one in visits for url in one.asked]

    assert len(asked) > 3 * len(visits)
    assert [] == [url for url in asked if not url.startswith(office.url + "/")]
    assert {} == {one.path: one.broken for one in visits if one.broken}
    assert [] == [text for one in visits for text in one.said if "404" not in text]


def test_every_page_is_light(visits):
    """The first view of every kind of page, with all that it loads, stays within 150 kB, uncompressed."""
    assert all(one.weight for one in visits)
    assert {} == {one.path: one.weight for one in visits if one.weight > WEIGHT_MAX}


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_screen(visits, width):
    """A phone scrolls down, never sideways; wide tables scroll within themselves."""
    assert {} == {one.path: one.wider[width] for one in visits if one.wider[width] > 0}
