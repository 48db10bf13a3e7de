"""Adopts releases: fetched, checked, staged, on trial, confirmed or rolled back. One state machine, one table.

What is so lies in the power-safe cell and in the slots' pages, never in memory alone:

    state      cell.release                       the free slot
    IDLE       [active, none, 0, 0]               nothing, a part of something, or what is not wanted now
    FETCHING   likewise                           begun
    WAITING    likewise                           staged
    ON_TRIAL   [active, trial, starts, number]    is the one on trial

Each step is one store of the cell, which also says which event is owed; then the event; then the cell again, that none is owed. A
cut before the last records the event a second time, never not at all. A staged release does not outlive a restart as such: its
bytes do, and when the gateway names it again they are checked again.

Nothing here believes the gateway: a number that it names makes this device ask, and only what verifies is acted on. Who names
numbers to wear the device out, or brings releases that are rolled back, meets waits that double up to an hour.

Source: SPEC.md sections 12.3 and 12.6.
"""

from agent.fetch import Fetch, NotThere
from agent.incumbent import (
    NO_SLOT,
    check_files,
    check_kinds,
    index_digest,
    keeps_notes,
    read_slot,
    reject,
    take_active,
)
from agent.layout import SLOTS
from agent.pages import FlashFault
from agent.patience import Patience
from agent.trial import Trial
from agent.unset import unset
from protocol import adoption
from protocol.errors import MALFORMED, PART, SLOW, TARGET, TOO_LARGE, ProtocolError
from protocol.limits import uint32_max
from protocol.manifest import can_tell_validity, check_parts, check_release, check_signers, parse_release
from rules.widening import widening

IDLE = 0
FETCHING = 1
WAITING = 2
ON_TRIAL = 3
_NEXT = {IDLE: (FETCHING,), FETCHING: (IDLE, WAITING), WAITING: (IDLE, ON_TRIAL), ON_TRIAL: (IDLE,)}

# Bytes that cannot be what they should: they are not kept for the next attempt.
_SPOILT = (MALFORMED, TOO_LARGE, PART)


class IllegalStep(Exception):
    """A step that the table does not have. Our own mistake."""


class AdoptSettings:
    """limit_ms: real time of asking for one release; retry_ms: wait after the first failure; trial: TrialSettings."""

    __slots__ = ("limit_ms", "retry_ms", "trial")

    def __init__(self, trial, limit_ms: int = 3600000, retry_ms: int = 5000):
        self.trial = trial
        self.limit_ms = limit_ms
        self.retry_ms = retry_ms


class Adopter:
    """All adoptions of one boot. cell, slots; store(**changes): of the cell; settings: AdoptSettings.

    owner: the agent. It says: real_ms(), is_online(), pace() -> real ms of a (sample, heartbeat), may_adopt(), standing() ->
    Standing, incumbent, running_agent (digest of the index of the agent that runs, None: the image's), take(body) -> Incumbent
    (None: the provisioned one), find(digest) -> the body of a part or file that is here already, has_notes().
    It does: record_step(step, number, digest, detail), seal_steps() -> whether all that is recorded is durable,
    install(incumbent), which restarts if another agent comes with it, point(name). rooms: where agents lie, None on a board without.
    """

    # As agent.bulk has it.
    is_bulk = True

    def __init__(self, cell, store, slots, owner, settings, rooms=None):
        self._cell = cell
        self._store = store
        self._slots = slots
        self._rooms = rooms
        self._owner = owner
        self._settings = settings
        self.state = IDLE
        self._wanted = 0
        self._fetch = unset()
        self._release = unset()
        self._trial = unset()
        self._recorded = 0
        self._asked_ms = 0
        self._unsure_ms = 0
        self._whole_at = unset()
        self._validity = unset()
        self._patience = Patience(settings.retry_ms)

    def _move(self, state: int) -> None:
        if state not in _NEXT[self.state]:
            raise IllegalStep("from {} to {}".format(self.state, state))
        self.state = state
        if state == IDLE:
            self._fetch = self._release = self._trial = unset()

    def resume(self) -> None:
        """Go on after a boot, once the journal takes events: with a trial that the cell names, and with events that are owed."""
        if self._cell.release[1] != NO_SLOT:
            self.state = ON_TRIAL
            self._begin_trial()
        for step, number, reason in self._cell.owed:
            # The boot itself ended a trial.
            if step == adoption.ROLLED_BACK:
                self._blame(number, reason)
        self._settle()

    def distrust(self) -> None:
        """A release root was replaced: what was fetched or staged is checked again. A trial goes on: it was good when it began."""
        if self.state in (FETCHING, WAITING):
            self._move(IDLE)

    # ---- what the exchange tells and asks

    def hint(self, number, is_to_heartbeat: bool) -> None:
        """Take which release an answer of the gateway names, None: none. Only an answer to a heartbeat may take back an earlier one."""
        if is_to_heartbeat:
            # It answers, and so it did when a block that was asked for never came.
            self._asked_ms += self._unsure_ms
            self._unsure_ms = 0
        elif number is None:
            return
        self._wanted = number or 0
        if self.state in (FETCHING, WAITING) and self._wanted != self._fetch.number:
            # Where releases are named in turn, each turn costs erases: it is a failure of whoever names them.
            self._fail()

    def heard(self, digest: bytes) -> None:
        """A heartbeat was answered that named the bundle with this digest."""
        if self._trial is not None:
            self._trial.note_heard(digest)

    def next_request(self):
        """Return (path, options) of the next block to ask for, or None."""
        if self.state == IDLE and self._is_worth_asking(self._wanted):
            self._fetch = Fetch(self._slots, self._free_slot(), self._wanted, self._owner.find, self._rooms)
            self._asked_ms = self._unsure_ms = 0
            self._whole_at = None
            self._move(FETCHING)
        if self.state != FETCHING:
            return None
        try:
            return self._advance()
        except ProtocolError as error:
            self._refuse(error.code)
        except FlashFault:
            self._refuse(PART)
        return None

    def take(self, response, elapsed_ms: int) -> None:
        """Take the answer to what next_request() asked for, None if the link failed, and how long it took."""
        if self.state != FETCHING:
            return
        if response is None:
            self._unsure_ms += elapsed_ms
            return
        self._asked_ms += elapsed_ms
        try:
            self._fetch.take(response)
            self._owner.point("after_block")
        except NotThere:
            self._fail()
        except ProtocolError as error:
            self._refuse(error.code)
        except FlashFault:
            self._refuse(PART)

    def _is_worth_asking(self, number: int) -> bool:
        floor, rejected = self._cell.version_floor, self._cell.rejected
        if not 0 < number <= uint32_max or self._patience.is_waiting(self._owner.real_ms()):
            return False
        if number == rejected or floor < number <= rejected or self._patience.has_given_up(number):
            return False
        return number != floor or self._cell.release[0] == NO_SLOT

    def _free_slot(self) -> int:
        return SLOTS - 1 if self._cell.release[0] == 0 else 0

    # ---- fetch and check

    def _advance(self):
        """Return the next request; check and stage on the way. Raises ProtocolError, FlashFault."""
        if self._asked_ms > self._settings.limit_ms:
            raise ProtocolError(SLOW, "release {} did not come in its time".format(self._fetch.number))
        if self._release is None:
            request = self._fetch.next_request()
            if request is not None or not self._may_check():
                return request
            self._release = self._check_release()
            self._fetch.want_parts(self._release.manifest.parts)
        request = self._fetch.next_request()
        if request is None and not self._cell.owed:
            self._stage()
        return request

    def _may_check(self) -> bool:
        """Say whether to check now: a better time comes with the office's next token, and without it a good release is refused."""
        now = self._owner.real_ms()
        if self._whole_at is None:
            self._whole_at = now
            self._validity = parse_release(self._fetch.release()).manifest.validity
        is_late = now - self._whole_at >= self._settings.limit_ms
        return is_late or can_tell_validity(self._validity, self._owner.standing().now)

    def _check_release(self):
        release = check_release(self._fetch.release(), self._owner.standing())
        if release.manifest.number != self._fetch.number:
            text = "release {} came where {} was asked for"
            raise ProtocolError(PART, text.format(release.manifest.number, self._fetch.number))
        check_kinds(release.manifest, self._rooms)
        return release

    def _stage(self) -> None:
        # All of it once more, over what was read back: what is staged is adopted without another look.
        release = self._check_release()
        bodies = self._fetch.bodies()
        check_parts(release.manifest, bodies)
        newcomer = self._owner.take(bodies[0])
        if len(bodies) > 1:
            check_files(bodies[1], self._rooms, self._fetch.slot)
            self._check_notes(bodies[1])
            newcomer.agent = index_digest(bodies[1])
        reasons = widening(self._owner.incumbent.bundle, newcomer.bundle)
        if newcomer.agent != self._owner.running_agent:
            reasons.append("another agent")
        check_signers(release, reasons)
        self._owner.point("before_stage")
        if not self._fetch.is_staged:
            self._store(owed=[[adoption.STAGED, self._fetch.number, self._fetch.fetched]])
            self._slots.note_staged(self._fetch.slot, self._fetch.number, release.digest)
            self._settle()
        self._move(WAITING)
        self._owner.point("after_stage")

    def _check_notes(self, index) -> None:
        """Refuse an agent that would forget a link or a root that a command gave: those of the settings may be of no use any more."""
        if self._owner.has_notes() and not keeps_notes(index):
            raise ProtocolError(
                TARGET,
                "release {} has an agent that knows no other link and no other root".format(
                    self._fetch.number
                ),
            )

    def _refuse(self, code: int) -> None:
        fetch = self._fetch
        digest = _digest_of_manifest(fetch.release())
        if code in _SPOILT:
            self._void(fetch.slot)
        if self._patience.refuse(fetch.number):
            self._owner.record_step(adoption.REFUSED, fetch.number, digest, code)
            self._owner.seal_steps()
        self._fail()

    def _void(self, slot: int) -> None:
        try:
            self._slots.void(slot)
        except FlashFault:
            # What does not keep its bytes fails its checks the next time, too.
            return

    def _fail(self) -> None:
        self._patience.lose(self._owner.real_ms())
        self._move(IDLE)

    def _blame(self, number: int, reason: int) -> None:
        """Wait after a roll back, and let the number rest unless only its slot was damaged.

        The cell's note holds one number, the highest; a reset of a lower one would be tried for ever.
        """
        self._patience.lose(self._owner.real_ms())
        if reason != adoption.DAMAGED:
            self._patience.give_up(number)

    # ---- switch, trial

    def sampled(self, is_faulted: bool, decisions) -> None:
        """A sample was decided; decisions: what came of it. Another bundle may take over now, or have to give way."""
        if self.state == ON_TRIAL:
            reason = self._trial.note_sample(is_faulted, decisions)
            if reason is not None:
                self._roll_back(reason)
        elif self.state == WAITING and not self._cell.owed and self._owner.may_adopt():
            self._switch()

    def turn(self) -> None:
        """Say that time has passed."""
        self._settle()
        if self.state != ON_TRIAL:
            return
        now = self._owner.real_ms()
        reason = self._trial.pass_time(now, self._owner.is_online(), self._owner.pace())
        if reason is not None:
            self._roll_back(reason)
        elif self._trial.is_proved(now) and not self._cell.owed:
            self._confirm()

    def _switch(self) -> None:
        slot, number = self._fetch.slot, self._fetch.number
        held = read_slot(self._slots, slot, self._rooms)
        if held is None:
            self._refuse(PART)
            return
        try:
            # The link may have become another one since it was staged.
            self._check_notes(held[3])
        except ProtocolError as error:
            self._refuse(error.code)
            return
        newcomer = self._owner.take(held[2])
        newcomer.agent = index_digest(held[3])
        self._owner.point("before_switch")
        owed = [[adoption.TRIAL, number, newcomer.bundle.version]]
        # Its first start is this one, or with another agent the one that the image will count.
        starts = 1 if newcomer.agent == self._owner.running_agent else 0
        self._store(release=[self._cell.release[0], slot, starts, number], owed=owed)
        self._settle()
        self._owner.install(newcomer)
        self._move(ON_TRIAL)
        self._begin_trial()
        self._owner.point("after_switch")

    def _begin_trial(self) -> None:
        digest = self._owner.incumbent.digest
        self._trial = Trial(self._settings.trial, digest, self._owner.real_ms())

    def _confirm(self) -> None:
        _active, slot, _starts, number = self._cell.release
        # After a reset the numbers that were rolled back before say nothing any more.
        rejected = 0 if number < self._cell.version_floor else self._cell.rejected
        self._owner.point("before_confirm")
        self._store(
            version_floor=number,
            release=[slot, NO_SLOT, 0, 0],
            rejected=rejected,
            owed=[[adoption.CONFIRMED, number, 0]],
            failed=0,
        )
        self._patience.restore()
        self._settle()
        self._move(IDLE)
        self._owner.point("after_confirm")

    def _roll_back(self, reason: int) -> None:
        number = self._cell.release[3]
        before, active, damage = take_active(self._cell, self._slots, self._owner.take, self._rooms)
        owed = self._cell.owed + [[adoption.ROLLED_BACK, number, reason]] + damage
        self._owner.point("before_rollback")
        rejected = reject(self._cell, number, reason)
        self._store(release=[active, NO_SLOT, 0, 0], rejected=rejected, owed=owed)
        self._blame(number, reason)
        self._settle()
        self._owner.install(before or self._owner.take(None))
        self._move(IDLE)
        self._owner.point("after_rollback")

    # ---- events

    def _settle(self) -> None:
        """Record what is owed; once it is durable, nothing is."""
        owed = self._cell.owed
        if not owed or not self._owner.seal_steps():
            # Without room for its event a step stays owed.
            return
        for step, number, detail in owed[self._recorded :]:
            self._recorded += 1
            digest = self._staged_digest(number)
            # A cut may have come between the cell and the page that says so.
            if step != adoption.STAGED or digest is not None:
                self._owner.record_step(step, number, digest, detail)
        if self._owner.seal_steps():
            self._recorded = 0
            self._store(owed=[])

    def _staged_digest(self, number: int):
        for slot in range(SLOTS):
            held = self._slots.held(slot)
            if held is not None and held.number == number and held.digest is not None:
                return held.digest
        return None


def _digest_of_manifest(raw):
    """Return the digest of a release's manifest, or None where none can be read."""
    if raw is None:
        return None
    try:
        return parse_release(raw).digest
    except ProtocolError:
        return None
