"""A window of the day, UTC, in which what can wait goes over a link that is dear. Two minutes of a day: the first that is in it, and the
first that is not any more; over midnight where the second is the smaller.

Source: SPEC.md section 6 (Bulk).
"""

from protocol._const import const

_DAY_MINUTES = const(1440)
_DAY_MS = const(86400000)
_MINUTE_MS = const(60000)
_TEXT_LENGTH = const(11)


def parse_window(text: str) -> tuple:
    """Return the two minutes of "01:00-04:00". Raises ValueError: another form, no time of day, or an end that is its beginning."""
    if len(text) != _TEXT_LENGTH or text[2] != ":" or text[5] != "-" or text[8] != ":":
        raise ValueError("a window is not as 01:00-04:00")
    first = _minute(text[0:2], text[3:5])
    last = _minute(text[6:8], text[9:11])
    if first == last:
        raise ValueError("a window ends where it begins")
    return first, last


def _minute(hours: str, minutes: str) -> int:
    for digit in hours + minutes:
        if digit not in "0123456789":
            raise ValueError("a window is not as 01:00-04:00")
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError("a window has a time that no day has")
    return int(hours) * 60 + int(minutes)


def wait_s(window: tuple, wall_ms: int) -> int:
    """Return how many seconds it is until the window is open, rounded up; 0 while it is. wall_ms: milliseconds since 1970, UTC."""
    of_day = wall_ms % _DAY_MS
    since = of_day // _MINUTE_MS - window[0]
    if since % _DAY_MINUTES < (window[1] - window[0]) % _DAY_MINUTES:
        return 0
    return ((window[0] * _MINUTE_MS - of_day) % _DAY_MS + 999) // 1000
