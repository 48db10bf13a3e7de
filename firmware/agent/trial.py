"""Judges a trial: what a release must have done to be kept, and what ends it. Counts only; stores nothing, switches nothing.

All of it is of this boot: a trial that is interrupted has to prove itself anew, and is started three times at most. Its time runs
while a gateway answers, because only then could it have been proved; a broken link is no fault of the rules. Nor is a slow pace: the time
is never shorter than what the samples and the heartbeat of its proof take.

Source: SPEC.md section 12.6, steps 5 and 6.
"""

from protocol._const import const
from protocol.adoption import DEADLINE, FAULT, GUARDED
from rules.engine import D_ACTS
from rules.guard import ALLOWED, SHADOWED, TOO_SOON

_REFUSED_MAX = const(3)
# Verdicts that say nothing against the rules: a gap that the bundle before began, a rule that only tries.
_NO_BLAME = (TOO_SOON, SHADOWED)


class TrialSettings:
    """min_samples: decided without a fault; min_ms: real; limit_ms: real, in which a gateway answers; more where a proof takes more."""

    __slots__ = ("limit_ms", "min_ms", "min_samples")

    def __init__(self, min_samples: int = 8, min_ms: int = 10000, limit_ms: int = 600000):
        self.min_samples = min_samples
        self.min_ms = min_ms
        self.limit_ms = limit_ms


class Trial:
    """One trial in this boot. digest: of the bundle that decides; now_ms: real."""

    def __init__(self, settings: TrialSettings, digest: bytes, now_ms: int):
        self._settings = settings
        self._digest = digest
        self._begun_ms = now_ms
        self._looked_ms = now_ms
        self._online_ms = 0
        self._samples = 0
        self._allowed = 0
        self._refused = 0
        self._is_heard = False

    def note_sample(self, is_faulted: bool, decisions):
        """Take what was made of one sample; return the reason to roll back, or None."""
        if is_faulted:
            return FAULT
        self._samples += 1
        for decision in decisions:
            for act in decision[D_ACTS]:
                if act[2] == ALLOWED:
                    self._allowed += 1
                elif act[2] not in _NO_BLAME:
                    self._refused += 1
        if self._refused >= _REFUSED_MAX and self._refused >= self._allowed:
            return GUARDED
        return None

    def note_heard(self, digest: bytes) -> None:
        """A heartbeat that named this bundle was answered."""
        self._is_heard = self._is_heard or digest == self._digest

    def pass_time(self, now_ms: int, is_online: bool, pace: tuple):
        """Say that time has passed; return the reason to roll back, or None. pace: real milliseconds of a (sample, heartbeat)."""
        if is_online:
            self._online_ms += now_ms - self._looked_ms
        self._looked_ms = now_ms
        if self._online_ms >= self._limit_ms(pace) and not self.is_proved(now_ms):
            return DEADLINE
        return None

    def _limit_ms(self, pace: tuple) -> int:
        # One sample more, which may be due just before the switch; the first heartbeat may be lost. Commands change the pace.
        settings = self._settings
        proof_ms = max(settings.min_ms, (settings.min_samples + 1) * pace[0], 2 * pace[1])
        return max(settings.limit_ms, proof_ms)

    def is_proved(self, now_ms: int) -> bool:
        """Say whether the release may be confirmed."""
        return (
            self._is_heard
            and self._samples >= self._settings.min_samples
            and now_ms - self._begun_ms >= self._settings.min_ms
        )
