"""The device's only own clock: ticks since boot and the boot count; wall time only as what the office vouched for.

Two times come from one source. The *real* one paces links, retransmission and watchdog. The *device* one paces sampling,
rules and the journal; it runs `scale` times faster, so that an accelerated run is a run like any other. Both start at 0
with the boot and never go back, also when the source wraps (2**32 ms are 49 days): it only has to be read once in
half a wrap.

A time token says what the office's clock showed when it took one of our heartbeats. That was after we sent it and before the
token came, so at that moment wall time is known to within half of the way there and back, plus the office's own error.

Source: SPEC.md sections 4.3 and 5.3.
"""

from protocol._const import const

RULE_TICK_MS = const(100)
# Heartbeats whose token may still come: more are not under way at once, since one request is outstanding.
_SENT_MAX = const(8)
# A crystal is within 200 ppm: one millisecond of doubt for each five seconds since the mark.
_DRIFT_DIVISOR = const(5000)
# A stamp within a minute is good enough for what rules ask of wall time.
_TRUSTED_ERROR_MS = const(60000)
# Below it a better mark is not worth an event of its own.
_SHARP_ERROR_MS = const(1000)
# How many tokens in a row must agree before time goes back: one hour of a wrong clock at the office is not followed at once.
_BACKWARD_TOKENS = const(3)
# How often a mark is taken anew although the one before is still good: ten minutes.
_MARK_MS = const(600000)


class Clock:
    """Ticks of one boot.

    ticks_ms: the source, may wrap. ticks_diff(new, old): milliseconds between two of its readings, over a wrap too.
    scale: device milliseconds in a real one, 1 or more.
    """

    def __init__(self, ticks_ms, ticks_diff, scale: int = 1):
        self._ticks_ms = ticks_ms
        self._ticks_diff = ticks_diff
        self._scale = scale
        self._last = ticks_ms()
        self._real_ms = 0
        self._sent = []
        # (real_ms, wall_ms, error_ms); real_ms is -1 before the first.
        self._mark = (-1, 0, 0)
        # Tokens in a row that would move time back and agree: how many, and the newest as a mark.
        self._back = (0, self._mark)
        self.boot = 0
        self.now_base = 0

    def real_ms(self) -> int:
        """Return real milliseconds since boot; never less than before."""
        now = self._ticks_ms()
        if now != self._last:
            step = self._ticks_diff(now, self._last)
            if step > 0:
                self._last = now
                self._real_ms += step
        return self._real_ms

    def tick_ms(self) -> int:
        """Return device milliseconds since boot, the journal's tick."""
        return self.real_ms() * self._scale

    def real_until(self, tick_ms: int) -> int:
        """Return how many real milliseconds are left until a tick, rounded up; 0 if it has passed."""
        return max(0, self.real_span(tick_ms - self.tick_ms()))

    def real_span(self, device_ms: int) -> int:
        """Return how many real milliseconds a span of the device's clock takes, rounded up."""
        return (device_ms + self._scale - 1) // self._scale

    def rule_tick(self, tick_ms: int) -> int:
        """Return the rule tick, 100 ms steps, of a tick of this boot. Source: SPEC.md section 4.3."""
        return self.now_base + tick_ms // RULE_TICK_MS

    def note_heartbeat(self, counter: int) -> None:
        """Remember that heartbeat `counter` of this boot leaves now: its time token is bound to this moment."""
        self._sent.append((counter, self.real_ms()))
        if len(self._sent) > _SENT_MAX:
            self._sent.pop(0)

    def take_token(self, token):
        """Return (wall_ms, error_ms) as of now if the token sets a new time mark, else None.

        token: a verified TimeToken. Ignored are: another boot's, one of a heartbeat not under way (a replayed one too), one
        that tells nothing new, and one that would move time back beyond its error, but for the third of these that agree.
        """
        sent_ms = self._take_sent(token.counter) if token.boot == self.boot else None
        if sent_ms is None:
            return None
        now = self.real_ms()
        half = (now - sent_ms + 1) // 2
        fresh = (token.wall_ms + half, half + token.error_ms)
        if self._mark[0] >= 0 and not self._is_news(fresh, now):
            return None
        self._mark = (now, fresh[0], fresh[1])
        self._back = (0, self._mark)
        return fresh

    def _take_sent(self, counter: int):
        for i in range(len(self._sent)):
            if self._sent[i][0] == counter:
                sent_ms = self._sent[i][1]
                # Tokens come in the order of heartbeats: an older one would say less.
                self._sent = self._sent[i + 1 :]
                return sent_ms
        return None

    def _is_news(self, fresh: tuple, now: int) -> bool:
        wall_ms, error_ms = self.wall()
        if fresh[0] + fresh[1] < wall_ms - error_ms:
            return self._is_set_right(fresh, now)
        self._back = (0, self._mark)
        is_forward = fresh[0] - fresh[1] > wall_ms + error_ms
        is_sharper = error_ms > _SHARP_ERROR_MS and fresh[1] * 2 < error_ms
        return is_forward or is_sharper or now - self._mark[0] >= _MARK_MS

    def _is_set_right(self, fresh: tuple, now: int) -> bool:
        """Say whether the office's clock was ahead once and has been set right: whoever moves it back must say so three times."""
        count, before = self._back
        if count:
            wall_ms, error_ms = _grown(before, now)
            if abs(fresh[0] - wall_ms) > fresh[1] + error_ms:
                count = 0
        self._back = (count + 1, (now, fresh[0], fresh[1]))
        return count + 1 >= _BACKWARD_TOKENS

    def wall(self):
        """Return (wall_ms, error_ms) now, the error grown by drift since the mark; None before the first mark."""
        return None if self._mark[0] < 0 else _grown(self._mark, self.real_ms())

    def bounds(self):
        """Return (earliest, latest) that wall time may be now, None before the first mark."""
        known = self.wall()
        return None if known is None else (known[0] - known[1], known[0] + known[1])

    def is_trusted(self) -> bool:
        """Say whether wall time is known to within a minute."""
        known = self.wall()
        return known is not None and known[1] <= _TRUSTED_ERROR_MS


def _grown(mark: tuple, now: int) -> tuple:
    """Return (wall_ms, error_ms) of a mark at a later moment."""
    elapsed = now - mark[0]
    return mark[1] + elapsed, mark[2] + elapsed // _DRIFT_DIVISOR
