"""Which bundle should decide, by a device's own journal: the one before, until an adoption event says that another takes over.

A switch is told by an event of its own, `trial` or `rolled back`, and done by a checkpoint of reason `adopt` that comes before the next
sample. A cut may take the event or the checkpoint, never the switch itself, which the cell holds: then the checkpoint of the next boot
names the other bundle, and the event stands before that boot, or right behind its checkpoint. A checkpoint to make room may come
before either. No other checkpoint can bring another bundle: what names one without a word is not taken up.

Where critical events are missing nobody can know what was told in them: the next checkpoint is believed.

Source: SPEC.md sections 4.4 and 12.6.
"""

from collections.abc import Callable
from typing import NamedTuple

from protocol.adoption import CONFIRMED, ROLLED_BACK, TRIAL

# of a checkpoint, wire.cddl
BOOT, TO_MAKE_ROOM, ADOPT = 0, 3, 4

# Manifest's digest -> digest of its rules; None where the office does not hold that release.
RulesOf = Callable[[bytes], bytes | None]


class Told(NamedTuple):
    """A switch that was told and not yet seen. version, digest: of the bundle that takes over; None where nothing says which."""

    version: int | None
    digest: bytes | None

    def fits(self, version: int, digest: bytes) -> bool:
        """Say whether a bundle is the one that was told."""
        return self.version in (None, version) and self.digest in (None, digest)


class Takeover:
    """Follows one device's switches of bundles. provisioned: digest of the bundle it was made with, None if not known.

    deciding: digest of the bundle that decides, None where nobody can know.
    """

    def __init__(self, rules_of: RulesOf = lambda manifest: None, provisioned: bytes | None = None):
        self._rules_of = rules_of
        self._provisioned = provisioned
        self.forget()

    def forget(self) -> None:
        """Critical events are missing from here on."""
        self.deciding: bytes | None = None
        self._before: bytes | None = None
        # Numbers of the releases on trial, confirmed, and rolled back last, where their events were seen.
        self._on_trial: int | None = None
        self._confirmed: int | None = None
        self._ended: int | None = None
        self._told: Told | None = None
        self._held: tuple[int, bytes] | None = None

    @property
    def is_held(self) -> bool:
        """Say whether a boot's checkpoint waits for the event that says why it names another bundle."""
        return self._held is not None

    def drop(self) -> None:
        """Events are missing, or another boot begins: what waited for its event is not looked at any more."""
        self._held = None

    def tell(self, step: int, number: int, manifest: bytes | None, detail: int) -> None:
        """Take an adoption event; what a boot's checkpoint named before it may become right by it. One that a cut repeats says the same again."""
        if step == TRIAL:
            rules = None if manifest is None else self._rules_of(manifest)
            if number != self._on_trial:
                # After a loss its own rules may have been believed already: then nobody knows which were before them.
                is_late = rules is not None and rules == self.deciding
                self._before, self._on_trial = None if is_late else self.deciding, number
            self._told = Told(detail, rules)
        elif step == ROLLED_BACK:
            self._tell_back(number)
        elif step == CONFIRMED:
            self._before = self._on_trial = self._ended = self._told = None
            self._confirmed = number
        if self._held is not None and self._told is not None and self._told.fits(*self._held):
            self.deciding, self._held, self._told = self._held[1], None, None

    def _tell_back(self, number: int) -> None:
        if number == self._on_trial:
            self._on_trial, self._ended = None, number
        elif number == self._confirmed:
            # Its slot is damaged: behind the trial, if there is one, lies nothing but what was provisioned.
            self._before, self._confirmed, self._ended = self._provisioned, None, number
        elif number != self._ended:
            # It began before what can be read.
            self._before = None
        self._told = Told(None, self._before)

    def take(self, reason: int, version: int, digest: bytes) -> str:
        """Take a whole checkpoint; return "" if its bundle decides, or may yet do so (is_held), else what is wrong with it."""
        self._held = None
        if self.deciding is None:
            self.deciding = digest
            return ""
        if reason != ADOPT and digest == self.deciding:
            return ""
        if reason not in (BOOT, TO_MAKE_ROOM, ADOPT):
            return self._unexplained(digest)
        if self._told is not None and self._told.fits(version, digest):
            # One that made room comes before the one that says `adopt`.
            self._told = self._told if reason == TO_MAKE_ROOM else None
            self.deciding = digest
            return ""
        if reason == ADOPT:
            return self._unexplained(digest)
        self._held = (version, digest)
        return ""

    def sampled(self) -> str:
        """A sample follows: what was told is done by now. Return what is wrong with a checkpoint that nothing explained, or ""."""
        held, self._held, self._told = self._held, None, None
        return "" if held is None else self._unexplained(held[1])

    def _unexplained(self, digest: bytes) -> str:
        before = "another" if self.deciding is None else self.deciding.hex()[:16]
        return f"the checkpoint names bundle {digest.hex()[:16]}, {before} decided, and no adoption event says that it takes over"
