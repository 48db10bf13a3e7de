"""Pulses of a meter: a count that only grows, and its rate. From a hardware counter, or from the edges of a pin.

Source: EN 62053-31 (S0, the pulse output of electricity meters): a pulse lasts at least 30 ms, and so does the pause after it, so that
two of them are at least 60 ms apart and there are at most 16 in a second. A reed contact (water, gas, rain) is bound by its maker's sheet
in the same way. Checked against a model of a pin and of a counter, not against silicon.

Worked example: a meter of 1000 pulses a kilowatt hour under 2 kW gives 2000 an hour: 20 in 36 s, a rate of 555 thousandths a second.
"""

from agent.sensors.driver import OUT_OF_RANGE, Driver
from protocol._const import const

# Small integers of a 32-bit MicroPython end at 2**30 - 1: above, an interrupt could not add without memory.
EDGE_BITS = const(30)
_EDGE_MASK = const(0x3FFFFFFF)

# The counter of a schema's channel has 32 bits: after these the count begins again at 0.
COUNT_WRAP = const(1 << 32)

OVERFLOW = "overflow"


class EdgeCounter:
    """Counts edges that are at least gap_us apart; a contact's bounces are closer. value() wraps at 2**30.

    Give `edge` to Pin.irq as its handler. It allocates nothing. ticks_us(), ticks_diff(new, old): a clock that may wrap.
    After a pause of exactly a multiple of the clock's period, less than gap_us more, one edge is taken for a bounce.
    """

    def __init__(self, ticks_us, ticks_diff, gap_us: int):
        self._ticks_us = ticks_us
        self._ticks_diff = ticks_diff
        self._gap_us = gap_us
        self._last = None
        self._count = 0

    def edge(self, _pin=None) -> None:
        """Take one edge."""
        now = self._ticks_us()
        # A difference below zero is a pause of more than half the clock's period, and no bounce.
        if self._last is not None and 0 <= self._ticks_diff(now, self._last) < self._gap_us:
            return
        self._last = now
        # Not a sum and a mask: at the wrap the sum would be no small integer.
        self._count = 0 if self._count == _EDGE_MASK else self._count + 1

    def value(self) -> int:
        """Return the count modulo 2**30."""
        return self._count


class PulseCounter(Driver):
    """Channels: pulses since boot (1, scale 0, wraps at 2**32), pulses a second (Hz, scale -3).

    source: value() -> int modulo 2**bits, such as an EdgeCounter or a machine.Counter. rate_max: pulses a second that can be real.
    first: where the count begins. The first read has no rate. What came between two reads is no reading, and is not counted in, if it
    is more than rate_max allows (the counter began anew), or if the counter may have wrapped unseen.
    """

    def __init__(self, source, bits: int, rate_max: int, ticks_ms, ticks_diff, first: int = 0):
        super().__init__(2, 0)
        self._source = source
        self._wrap = 1 << bits
        self._rate_max = rate_max
        self._ticks_ms = ticks_ms
        self._ticks_diff = ticks_diff
        self._count = first % COUNT_WRAP
        self._value = None
        self._read_at = 0

    def _fetch(self) -> list:
        value, now = self._source.value(), self._ticks_ms()
        last, self._value = self._value, value
        elapsed_ms = self._ticks_diff(now, self._read_at)
        self._read_at = now
        if last is None:
            return [self._count, None]
        return self._add((value - last) % self._wrap, elapsed_ms)

    def _add(self, pulses: int, elapsed_ms: int) -> list:
        # One more than the rate allows: pulses fall on the bounds of an interval.
        possible = elapsed_ms * self._rate_max // 1000 + 1
        if elapsed_ms < 0 or possible >= self._wrap:
            self.count(OVERFLOW)
            return [None, None]
        if pulses > possible:
            self.count(OUT_OF_RANGE)
            return [None, None]
        self._count = (self._count + pulses) % COUNT_WRAP
        return [self._count, pulses * 1000000 // elapsed_ms if elapsed_ms else None]
