"""Speaks with the gateway: heartbeats, segments up; custody, wants, receipts, time, commands and releases down. One request at a time.

What is to be asked for beyond that is an *errand*: next_request() -> (path, options) or None; take(response or None, elapsed_ms).
An errand gets one request a turn, when no heartbeat is due and no segment waits; where segments never end, one after every eighth.

Sampling never waits for this: the exchange reads sealed segments from flash, and while the link is down it only grows the
backlog there. What the gateway says without the office's seal (custody, wants) decides only what is sent when. What makes the
device forget (receipts), or changes what it believes of time, is sealed by the office and verified here.

After each boot the gateway's custody is unknown: the first answer to a heartbeat tells it, and nothing is sent before.

Source: SPEC.md sections 5 and 6.
"""

from agent.backlog import Backlog
from agent.coap_client import LinkError, LinkRefused
from agent.unset import unset
from protocol._const import const
from protocol.coap import CHANGED, GET, POST, SERVICE_UNAVAILABLE, max_age_s
from protocol.errors import ProtocolError
from protocol.keys import CRITICAL, LANES, ROUTINE, downlink_key
from protocol.messages import Heartbeat, parse_answer, parse_receipt, parse_time_token, seal_heartbeat

# Consecutive answers that say, without protection, that our security state is unknown, after which it is doubted: one alone may
# be a forgery. Any other unprotected refusal says something of the gateway, not of the keys.
_REFUSALS_MAX = const(2)
_STATE_UNKNOWN = "4.01"
# The wait after failures doubles from the first to at most so many times it.
_BACKOFF_STEPS = const(4)
# Where a link never catches up with its segments, a release or command still gets one request after so many of them.
_SEGMENTS_PER_ERRAND = const(8)
# A gateway counts as answering lately for so many heartbeat intervals.
_ONLINE_INTERVALS = const(3)
# Longest wait that a gateway may ask for: one hour, so that a wrong Max-Age cannot silence a device.
_MAX_AGE_S = const(3600)


class ExchangeSettings:
    """Real milliseconds: heartbeat_ms between heartbeats; retry_ms before the first retry."""

    __slots__ = ("heartbeat_ms", "retry_ms")

    def __init__(self, heartbeat_ms: int, retry_ms: int):
        self.heartbeat_ms = heartbeat_ms
        self.retry_ms = retry_ms


class Exchange:
    """All exchanges of one boot.

    request: async (code, path, payload, options) -> Response, raising LinkError. journal: Journal. device: identity. downlink: key.
    clock: Clock. random_bytes(n). report() -> (bundle, health) for the heartbeat. owner: is told time_marked(wall_ms,
    error_ms), restored(receipts), link_doubted(), hinted(release, command, is_to_heartbeat) and heard(digest of the bundle) when a
    heartbeat that named it was answered. point(name): kill points of tests. errands: may be set; the first comes first. bulk: Bulk.
    """

    def __init__(
        self, request, journal, device, downlink, clock, random_bytes, settings, report, owner, point, bulk
    ):
        self._request = request
        self._journal = journal
        self._device = device
        self._use(downlink)
        self._clock = clock
        self._random_bytes = random_bytes
        self._settings = settings
        self._report = report
        self._owner = owner
        self._point = point
        self.bulk = bulk
        self.backlog = Backlog()
        self.errands = unset() or ()
        # As the levels say (agent.steward): only the critical lane is sent; heartbeats are so many times further apart.
        self.holds_routine = False
        self.spacing = 1
        self.answer_ms = 0
        self._older = {}
        self.failed = 0
        self._counter = 0
        self._is_known = False
        self._heartbeat_at = 0
        # The last request was a heartbeat: on a link slower than their distance, something else has its turn between two.
        self._has_beaten = False
        self._retry_at = 0
        self._failures = 0
        self._refusals = 0
        self._answered_at = None
        self._sent_since = 0

    def _use(self, downlink: bytes) -> None:
        self._receipt_key = downlink_key(downlink, "receipt")
        self._time_key = downlink_key(downlink, "time")

    def is_online(self) -> bool:
        """Say whether the gateway answered lately."""
        if self._answered_at is None:
            return False
        return self._clock.real_ms() - self._answered_at <= _ONLINE_INTERVALS * self.spaced_ms

    def is_done(self) -> bool:
        """Say whether all that is sealed is in custody and receipted."""
        return self._is_known and self._journal.is_receipted() and not self.waiting()

    def waiting(self) -> int:
        """Return how many segments of this epoch are not in custody."""
        heads = self._journal.offer()
        return sum([self.backlog.waiting(lane, heads[lane]) for lane in LANES])

    @property
    def heartbeat_ms(self) -> int:
        """Real milliseconds between heartbeats, as they are set."""
        return self._settings.heartbeat_ms

    @property
    def spaced_ms(self) -> int:
        """Real milliseconds between heartbeats as the levels have it now."""
        return self._settings.heartbeat_ms * self.spacing

    def set_heartbeat(self, heartbeat_ms: int) -> None:
        """Send heartbeats at another distance, the next one not later than it."""
        self._settings.heartbeat_ms = heartbeat_ms
        self._heartbeat_at = min(self._heartbeat_at, self._clock.real_ms() + heartbeat_ms)

    def hurry(self, heartbeat_ms: int) -> None:
        """Send the next heartbeat now, and the following ones at least so often: somebody waits for receipts."""
        self._settings.heartbeat_ms = min(self._settings.heartbeat_ms, heartbeat_ms)
        self.beat_now()

    def rekeyed(self, downlink: bytes) -> None:
        """Go on under another downlink key, in another epoch: the gateway is told at once, and asked what it holds of it."""
        self._use(downlink)
        self.backlog.restart()
        self._is_known = False
        self.beat_now()

    def beat_now(self) -> None:
        """Send the next heartbeat now: what it says has changed."""
        self._heartbeat_at = 0

    async def work(self) -> None:
        """Exchange until nothing is left to send, custody is refused, or the link fails."""
        while self._clock.real_ms() >= self._retry_at:
            if self._clock.real_ms() >= self._heartbeat_at and not self._has_beaten:
                self._has_beaten = True
                await self._beat()
                continue
            self._has_beaten = False
            chosen = self._choose() if self._is_known else None
            if chosen is None:
                if self._is_known:
                    await self._run_errand()
                return
            if self._sent_since >= _SEGMENTS_PER_ERRAND:
                await self._run_errand()
                continue
            self._sent_since += 1
            await self._send(chosen[0], chosen[1], chosen[2])

    async def _run_errand(self) -> None:
        self._sent_since = 0
        for errand in self.errands:
            if errand.is_bulk and self.bulk.holds_releases():
                continue
            wanted = errand.next_request()
            if wanted is not None:
                asked_ms = self._clock.real_ms()
                response = await self._ask(GET, wanted[0], b"", wanted[1])
                errand.take(response, self._clock.real_ms() - asked_ms)
                return

    def _choose(self):
        """Return (lane, epoch, number) to send next: this epoch's by the backlog, then what is left of earlier ones."""
        heads = self._journal.offer()
        if self.holds_routine or self.bulk.holds_routine(self.backlog.waiting(ROUTINE, heads[ROUTINE])):
            heads = [heads[CRITICAL], None]
        chosen = self.backlog.choose(heads, self._clock.real_ms())
        if chosen is not None:
            return chosen[0], self._journal.epoch, chosen[1]
        for lane, epoch, first, last in self._journal.older():
            # Each once in a boot: no heartbeat offers them, so only the office's receipt tells that they arrived.
            number = max(first, self._older.get((lane, epoch), 0))
            if lane == ROUTINE and (self.holds_routine or self.bulk.holds_older()):
                continue
            if number <= last and self.backlog.is_open(lane, self._clock.real_ms()):
                return lane, epoch, number
        return None

    async def _beat(self) -> None:
        self._counter += 1
        bundle, health = self._report()
        raw = self._heartbeat(bundle, health)
        self._clock.note_heartbeat(self._counter)
        self._heartbeat_at = self._clock.real_ms() + self.spaced_ms
        response = await self._ask(POST, "h", raw)
        if response is None:
            self._heartbeat_at = 0
            self._has_beaten = False
        elif response.code == CHANGED:
            self._owner.heard(bundle[1])
            self._take_answer(response.payload, True)
        else:
            self._fail()

    def _heartbeat(self, bundle: tuple, health: dict) -> bytes:
        generation, key = self._journal.heartbeat_key()
        critical, routine = self._journal.offer()
        fields = Heartbeat(
            self._device,
            generation,
            self._clock.boot,
            self._counter,
            self._clock.tick_ms(),
            self._journal.epoch,
            critical,
            routine,
            bundle,
            health,
        )
        return seal_heartbeat(fields, key)

    async def _send(self, lane: int, epoch: int, number: int) -> None:
        raw = self._journal.read(lane, number, epoch)
        if raw is None:
            # Torn, or pruned since: its tombstone says so, there is nothing to send.
            self._note_sent(lane, epoch, number)
            return
        response = await self._ask(POST, "s", raw)
        if response is None:
            return
        if response.code == CHANGED:
            self._note_sent(lane, epoch, number)
            self._take_answer(response.payload, False)
        elif response.code == SERVICE_UNAVAILABLE:
            wait_ms = 1000 * min(max_age_s(response.options), _MAX_AGE_S)
            self.backlog.refuse(lane, self._clock.real_ms() + wait_ms)
        else:
            # 4.00, 4.03: this gateway will never take it; the office sees the gap and asks again.
            self._note_sent(lane, epoch, number)
            self._fail()

    def _note_sent(self, lane: int, epoch: int, number: int) -> None:
        if epoch == self._journal.epoch:
            self.backlog.note_sent(lane, number)
        else:
            self._older[(lane, epoch)] = number + 1

    async def _ask(self, code: int, path: str, payload: bytes, options=()):
        """Return the verified response, or None if the link failed."""
        self._point("before_send")
        asked_ms = self._clock.real_ms()
        try:
            response = await self._request(code, path, payload, options)
        except LinkError as error:
            self._note_refusal(error)
            self._fail()
            return None
        except ProtocolError:
            # The sequence of this context is used up: only a fresh one can go on.
            self._owner.link_doubted()
            self._fail()
            return None
        self._point("after_answer")
        self._failures = 0
        self._refusals = 0
        self._answered_at = self._clock.real_ms()
        self.answer_ms = self._answered_at - asked_ms
        return response

    def _note_refusal(self, error) -> None:
        is_doubt = isinstance(error, LinkRefused) and error.code == _STATE_UNKNOWN
        self._refusals = self._refusals + 1 if is_doubt else 0
        if self._refusals >= _REFUSALS_MAX:
            self._refusals = 0
            self._owner.link_doubted()

    def _fail(self) -> None:
        self.failed += 1
        wait_ms = self._settings.retry_ms << min(self._failures, _BACKOFF_STEPS)
        self._failures += 1
        # Jitter of up to a half, so that the devices of a site do not all come at once when the gateway is back.
        jitter = int.from_bytes(self._random_bytes(2), "big") * (wait_ms // 2) // 0xFFFF
        self._retry_at = self._clock.real_ms() + wait_ms + jitter

    def _take_answer(self, payload: bytes, is_to_heartbeat: bool) -> None:
        try:
            answer = parse_answer(payload)
        except ProtocolError:
            self._fail()
            return
        self.bulk.told(answer.bulk_s)
        if self._take_receipts(answer.receipts):
            return
        if answer.time_token is not None:
            self._take_time(answer.time_token)
        for lane in LANES:
            self._take_lane(lane, answer, is_to_heartbeat)
        self._is_known = self._is_known or is_to_heartbeat
        self._owner.hinted(answer.release, answer.command, is_to_heartbeat)

    def _take_lane(self, lane: int, answer, is_to_heartbeat: bool) -> None:
        epoch = self._journal.epoch
        wants = [
            (start, stop) for of, in_epoch, start, stop in answer.wants if of == lane and in_epoch == epoch
        ]
        head = self._journal.head(lane)
        watermark = None
        for of, in_epoch, mark in answer.custody:
            if of == lane and in_epoch == epoch:
                # A watermark above our own head would skip what comes next; only a receipt may claim that.
                watermark = min(mark, 0 if head is None else head[1] + 1)
        if watermark is None and is_to_heartbeat:
            # A gateway that names no custody has nothing of this lane.
            watermark = 0
        if watermark is not None:
            self.backlog.take_custody(lane, watermark)
            self._journal.note_custody(lane, epoch, watermark)
        if is_to_heartbeat:
            self.backlog.take_offer_answer(lane, wants)
        else:
            self.backlog.want(lane, wants)

    def _take_time(self, raw: bytes) -> None:
        try:
            message = parse_time_token(raw)
            message.verify(self._time_key)
        except ProtocolError:
            self.failed += 1
            return
        if message.fields.device != self._device:
            return
        mark = self._clock.take_token(message.fields)
        if mark is not None:
            self._owner.time_marked(mark[0], mark[1])

    def _take_receipts(self, raws: list) -> bool:
        """Take the office's receipts; return whether they say that this flash was restored or cloned."""
        receipts = [receipt for receipt in [self._open_receipt(raw) for raw in raws] if receipt is not None]
        beyond = [receipt for receipt in receipts if self._journal.note_receipt(receipt) == "restored"]
        if not beyond:
            return False
        self._owner.restored(beyond)
        for receipt in beyond:
            # Of an earlier epoch now: what the office has there stays, and ours, which contradicts it, is not sent. Its heads
            # are in the event that starts the new epoch.
            self._journal.note_receipt(receipt)
        self._start_again()
        return True

    def _open_receipt(self, raw: bytes):
        try:
            message = parse_receipt(raw)
            message.verify(self._receipt_key)
        except ProtocolError:
            self.failed += 1
            return None
        return message.fields if message.fields.device == self._device else None

    def _start_again(self) -> None:
        self.backlog.restart()
        self._is_known = False
        self._heartbeat_at = 0
        # However often it is told so: one new epoch a heartbeat interval is all that the flash is worn for.
        self._retry_at = self._clock.real_ms() + self._settings.heartbeat_ms
