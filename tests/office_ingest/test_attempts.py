"""How often codes may be wrong, on a clock that the test turns."""

from office_ingest.receive.attempts import ADDRESSES_MAX, ALL_EVERY_S, OF_ALL, OF_ONE, ONE_EVERY_S, Attempts


class _Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_an_address_has_a_few_tries_and_then_waits():
    """Five at once, then one every twelve seconds; another address is not held up."""
    clock = _Clock()
    attempts = Attempts(clock)
    waits = []
    for _ in range(int(OF_ONE)):
        waits.append(attempts.wait_s("a"))
        attempts.failed("a")
    held = attempts.wait_s("a")
    clock.now += ONE_EVERY_S

    assert ([0.0] * int(OF_ONE), True) == (waits, 0 < held <= ONE_EVERY_S)
    assert (0.0, 0.0) == (attempts.wait_s("a"), attempts.wait_s("b"))


def test_all_addresses_together_are_limited_and_little_is_remembered():
    """Many addresses are no way around it, and cost no memory."""
    clock = _Clock()
    attempts = Attempts(clock)
    for number in range(3 * ADDRESSES_MAX):
        attempts.failed(str(number))
    held = attempts.wait_s("new")
    clock.now += ALL_EVERY_S * 3 * ADDRESSES_MAX

    assert held > OF_ALL
    assert len(attempts._one) == ADDRESSES_MAX
    assert 0.0 == attempts.wait_s("new")
