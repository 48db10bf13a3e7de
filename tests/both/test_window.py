"""A window of the day: when it is open, and how long it is until it is. On both runtimes."""

from protocol.window import parse_window, wait_s

_HOUR_MS = 3600000
_DAY_MS = 24 * _HOUR_MS
# A day like any other: what counts is the time of day.
_DAY = 20000 * _DAY_MS


def _open_hours(window):
    return [hour for hour in range(24) if wait_s(window, _DAY + hour * _HOUR_MS) == 0]


def test_window_is_open_from_its_first_minute_to_before_its_last():
    """Of one day, over midnight, up to midnight, and from it on."""
    for text, hours in (
        ("01:00-04:00", [1, 2, 3]),
        ("22:00-02:00", [0, 1, 22, 23]),
        ("22:00-00:00", [22, 23]),
        ("00:00-02:00", [0, 1]),
    ):
        assert _open_hours(parse_window(text)) == hours, text


def test_wait_ends_with_the_window_and_not_before():
    """To the second, in each minute of a day: a device that waits so long finds it open, and a second earlier shut."""
    for text in ("01:00-04:00", "23:30-00:10", "00:00-00:01", "12:00-11:59"):
        window = parse_window(text)
        for minute in range(0, 1440, 7):
            now = _DAY + minute * 60000 + 17
            wait = wait_s(window, now)
            assert 0 <= wait <= 86400
            if wait:
                assert wait_s(window, now + wait * 1000) == 0, (text, minute)
                assert wait_s(window, now + (wait - 1) * 1000) > 0, (text, minute)


def test_what_is_no_window_is_refused():
    """Other forms, times that no day has, and a window that is none or all of the day."""
    for text in (
        "",
        "1:00-4:00",
        "01:00-04:0",
        "01.00-04:00",
        "24:00-04:00",
        "01:60-04:00",
        "ab:00-04:00",
        "04:00-04:00",
        "-1:00-04:00",
    ):
        try:
            parse_window(text)
        except ValueError:
            continue
        raise AssertionError(text)
