"""Judges what gateways bring: verifies, keeps once, finds gaps and forks, and answers with receipts.

One call of take() is one transaction. A segment goes down this list and stops at the first line that applies:

    not a segment                    quarantine: malformed, too large, version, tombstone
    unknown device                   quarantine
    its digest holds the place       duplicate: only what was verified is ever held, so equal bytes need no second look
    its digest is kept as evidence   fork
    generation wrong or too far      quarantine, before any key is derived
    seal does not fit                quarantine
    another digest holds the place   fork: the first verified keeps the place, receipts stop below it
    does not continue a neighbour    fork: sealed by the device, and in contradiction to what it sealed before
    body does not open               quarantine, and a finding: the device sealed what nobody can read
    else                             stored

What is stored does not depend on the order of arrival; only which of two contradicting segments came first does.

Source: SPEC.md sections 3, 5.2, 7 and 10.
"""

from collections.abc import Callable
from typing import Any

from office_ingest.errors import KeyUnknown
from office_ingest.govern.views import Views
from office_ingest.health import Pace
from office_ingest.points import Reach, pass_by
from office_ingest.receive.acceptance import Gap, acceptable_of
from office_ingest.receive.body import open_events
from office_ingest.receive.epoch_ends import EpochEnds, is_begin
from office_ingest.receive.heartbeats import Heartbeats
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.lane import Lane, intersect
from office_ingest.receive.lanes import EPOCHS_RECEIPTED, Lanes
from office_ingest.receive.rekeys import Rekeys
from office_ingest.receive.relinks import Relinks
from office_ingest.receive.takings import Takings
from office_ingest.storage.interface import Arrival, Held, Place, Store, Tally
from protocol.command import DONE, REKEY
from protocol.errors import (
    BODY,
    FAR_GENERATION,
    NAMES,
    PERIOD,
    REVOKED,
    UNKNOWN_DEVICE,
    ProtocolError,
)
from protocol.event import DECISION
from protocol.keys import CLEAR, CRITICAL, LANE_NAMES, LANES, downlink_key, tag_key
from protocol.limits import generation_ahead_max, generation_segments, uplink_receipts_max, uplink_wants_max
from protocol.messages import Receipt, seal_receipt
from protocol.ranges import Ranges
from protocol.segment import Segment, genesis, parse_segment
from protocol.uplink import (
    DUPLICATE,
    FORK,
    HEARTBEAT_SEEN,
    HEARTBEAT_TAKEN,
    QUARANTINED,
    STORED,
    UplinkAnswer,
)


class Ingest:
    """The office's side of the uplink, without its transport. Not for two threads at once."""

    def __init__(
        self,
        store: Store,
        keystore: Keystore,
        *,
        wall_ms: Callable[[], int],
        clock_error_ms: int = 100,
        heard: Callable[[bytes], None] = lambda device: None,
        paced: Callable[[bytes, Pace], None] = lambda device, pace: None,
        takings: Takings | None = None,
        views: Views | None = None,
        reach: Reach = pass_by,
    ):
        self._store = store
        self._keystore = keystore
        self._wall_ms = wall_ms
        self._reach = reach
        self._takings = takings
        self._views = views
        self._lanes = Lanes(store)
        self._ends = EpochEnds(store, keystore)
        self._rekeys = Rekeys(
            store, keystore, self._lanes, _reseal_nothing if takings is None else takings.reseal
        )
        self._relinks = Relinks(keystore)
        self._heartbeats = Heartbeats(
            store,
            keystore,
            self._lanes,
            self._rekeys,
            self._relinks,
            clock_error_ms=clock_error_ms,
            heard=heard,
            paced=paced,
            takings=takings,
        )

    def take(self, gateway: str, segments: list[bytes], heartbeats: list[bytes]) -> UplinkAnswer:
        """Judge one uplink request; when this returns, everything is durable that the answer speaks of.

        Raises StoreUnavailable: then nothing was kept, and the gateway must ask again.
        """
        answer = UplinkAnswer()
        arrival = Arrival(gateway, self._wall_ms())
        # Device -> epochs of which something came.
        named: dict[bytes, set[int]] = {}
        beating: dict[bytes, None] = {}
        self._reach("before_verify")
        try:
            with self._store.transaction():
                self._lanes.refresh()
                if self._takings is not None:
                    self._takings.begin()
                for raw in segments:
                    answer.outcomes.append(self._segment(raw, arrival, named))
                for raw in heartbeats:
                    of: dict[bytes, None] = {}
                    outcome, token = self._heartbeats.take(raw, arrival, of)
                    answer.heartbeat_outcomes.append(outcome)
                    for device in of:
                        named.setdefault(device, set())
                    if outcome in (HEARTBEAT_TAKEN, HEARTBEAT_SEEN):
                        beating.update(of)
                    if token is not None:
                        answer.time_tokens.append(token)
                self._settle(arrival.received_ms)
                self._follow_rekeys(arrival.received_ms)
                self._reach("before_commit")
        except BaseException:
            self._lanes.forget()
            self._ends.forget()
            raise
        self._reach("after_commit")
        self._rekeys.finish()
        self._reach("before_receipt")
        answer.revoked = self._store.revoked_of_site(gateway)
        self._answer_devices(answer, named)
        if self._takings is not None:
            self._takings.answer(answer, gateway, list(beating), arrival.received_ms)
        if self._views is not None:
            answer.views = self._views.for_gateway(gateway, list(beating), arrival.received_ms)
        self._lanes.trim()
        return answer

    def refresh(self, places: list[Place]) -> None:
        """Bring gaps and receipts of these lanes up to date, in a transaction of its own: their rows were repaired."""
        with self._store.transaction():
            for place in places:
                self._touch(place)
            self._settle(self._wall_ms())

    def accept(self, gaps: list[Gap], author: str) -> list[Gap]:
        """Pass over those numbers of the gaps that may be accepted now, and return them; receipts follow, in the same transaction."""
        now_ms = self._wall_ms()
        try:
            with self._store.transaction():
                self._lanes.refresh()
                accepted = [gap for shown in gaps for gap in acceptable_of(self._lanes, shown)]
                for gap in accepted:
                    self._store.add_accepted(gap.place, gap.start, gap.stop, author, now_ms)
                    self._touch(gap.place).accepted.add(gap.start, gap.stop)
                self._settle(now_ms)
        except BaseException:
            self._lanes.forget()
            raise
        return accepted

    def _follow_rekeys(self, now_ms: int) -> None:
        for place, raw in self._rekeys.follow(now_ms).items():
            lane = self._lanes.lane(place)
            if lane.receipt is not None:
                lane.receipt = (*lane.receipt[:2], raw)

    # one segment

    def _segment(self, raw: bytes, arrival: Arrival, named: dict[bytes, set[int]]) -> int:
        device = None
        try:
            segment = parse_segment(raw)
            if not self._store.has_device(segment.header.device):
                raise ProtocolError(UNKNOWN_DEVICE, f"device {segment.header.device.hex()} is not registered")
            device = segment.header.device
            if self._store.is_revoked(device) and not self._is_held(segment):
                raise ProtocolError(REVOKED, f"device {device.hex()} is revoked")
            named.setdefault(device, set()).add(segment.header.epoch)
            return self._known_device(segment, arrival)
        except KeyUnknown as error:
            # Registered without keys: an old keystore was restored. The bytes wait in quarantine.
            self._store.add_quarantine(device, UNKNOWN_DEVICE, str(error), raw, arrival)
            return QUARANTINED + UNKNOWN_DEVICE
        except ProtocolError as error:
            self._store.add_quarantine(device, error.code, error.text, raw, arrival)
            return QUARANTINED + error.code

    def _is_held(self, segment: Segment) -> bool:
        """Say whether these very bytes were taken before; a gateway that tells them again must learn that it may forget them."""
        header = segment.header
        there = self._store.held((header.device, header.lane, header.epoch), [header.number])
        is_row = header.number in there and there[header.number].digest == segment.digest
        return is_row or self._store.has_fork(segment.digest, header.lane)

    def _known_device(self, segment: Segment, arrival: Arrival) -> int:
        header = segment.header
        place = (header.device, header.lane, header.epoch)
        near = self._store.held(place, [header.number - 1, header.number, header.number + 1])
        there = near.get(header.number)
        if there is not None and there.digest == segment.digest:
            self._store.add_tally(header.device, Tally(duplicates=1))
            return DUPLICATE
        if self._store.has_fork(segment.digest, header.lane):
            return FORK
        self._verify(segment)
        if there is not None:
            return self._fork(segment, header.number, "place", arrival)
        wrong = _neighbour_in_doubt(segment, near)
        if wrong is not None:
            return self._fork(segment, wrong, "chain", arrival)
        return self._keep(segment, arrival)

    def _verify(self, segment: Segment) -> None:
        header = segment.header
        place = (header.device, header.lane, header.epoch)
        self._lanes.check_generation(place, header.number, header.generation, generation_segments)
        highest = self._lanes.generation(header.device, header.lane)
        is_far = header.generation > max(highest, 0) + generation_ahead_max
        if is_far and not self._rekeys.reaches(header.device, header.generation):
            raise ProtocolError(
                FAR_GENERATION,
                f"generation {header.generation} is more than {generation_ahead_max} above {max(highest, 0)}",
            )
        self._rekeys.verify(segment, header.device, header.lane, header.generation, tag_key)
        lane = self._lanes.epochs(header.device, header.lane).get(header.epoch)
        if lane is None or lane.base is None:
            # The first of its epoch says from which generation on all others must be.
            self._rekeys.check_epoch(header.device, header.epoch, header.generation)
        self._ends.check(place, header.number, self._lanes.epochs(header.device, CRITICAL))

    def _fork(self, segment: Segment, contested: int, kind: str, arrival: Arrival) -> int:
        header = segment.header
        place = (header.device, header.lane, header.epoch)
        self._store.add_fork(place, header.number, contested, kind, segment.raw, arrival)
        said = "another segment holds this number" if kind == "place" else "it does not continue what is held"
        text = f"{said}; both are kept, receipts stop below {contested}. Was the device cloned or restored?"
        self._store.add_finding(
            header.device, "fork", _place_text(place, header.number), text, arrival.received_ms
        )
        lane = self._touch(place)
        lane.contest(contested)
        return FORK

    def _keep(self, segment: Segment, arrival: Arrival) -> int:
        header = segment.header
        place = (header.device, header.lane, header.epoch)
        tally = self._open(segment, arrival)
        self._store.add_segment(segment, arrival, self._wall_ms())
        self._store.add_tally(header.device, tally)
        lane = self._touch(place)
        lane.add(header.number, header.generation)
        touching = list(lane.touching(header.number))
        if segment.tombstone is not None:
            lane.add_tombstone(header.number, segment.tombstone)
            touching.append(header.number)
        for number in touching:
            self._check_tombstone(lane, number, arrival)
        if lane.head is not None and lane.head.number == header.number:
            self._heartbeats.check_head(lane, arrival)
        return STORED

    def _open(self, segment: Segment, arrival: Arrival) -> Tally:
        header = segment.header
        if header.view_class == CLEAR:
            return Tally(segments=1, events=1)
        try:
            view_key = self._keystore.view_key(header.device, header.view_class, header.period)
            if view_key is None:  # Erased: the seal holds, the words are gone.
                return Tally(segments=1, events=header.count)
            boot, events = open_events(segment, view_key)
        except ProtocolError as error:
            code = PERIOD if error.code == PERIOD else BODY
            place = _place_text((header.device, header.lane, header.epoch), header.number)
            text = f"sealed by the device, but its body does not open ({NAMES[error.code]}): {error.text}"
            self._store.add_finding(header.device, "body", place, text, arrival.received_ms)
            raise ProtocolError(code, error.text) from None
        if is_begin(header.lane, header.epoch, header.number):
            self._end_lanes(header.device, events, arrival)
        if self._takings is not None:
            at = (header.device, header.epoch, boot, events, arrival.received_ms)
            for number, demand, verdict in self._takings.events(*at):
                if demand[0] == REKEY and verdict != DONE:
                    self._rekeys.refused(header.device, number)
                self._relinks.answered(header.device, number, demand, verdict)
        decisions = sum(1 for event in events if event[2] == DECISION)
        return Tally(segments=1, events=header.count, decisions=decisions)

    def _end_lanes(self, device: bytes, events: list[tuple[Any, ...]], arrival: Arrival) -> None:
        """Note where the lanes of before ended; what came before this was known, and lies above, is told."""
        for (lane, epoch), end in self._ends.take(device, events).items():
            held = self._lanes.lane((device, lane, epoch)).held.pairs
            if held and held[-1][1] - 1 > end:
                place = _place_text((device, lane, epoch), end + 1)
                text = "sealed under keys of before, above the head that the device named when it was given others: it was copied"
                self._store.add_finding(device, "fork", place, text, arrival.received_ms)

    def _check_tombstone(self, lane: Lane, number: int, arrival: Arrival) -> None:
        wrong = self._lanes.check_tombstone(lane, number)
        if wrong is not None:
            text = f"this tombstone {wrong}, so it excuses no missing segment"
            place = _place_text(lane.place, number)
            self._store.add_finding(lane.place[0], "tombstone", place, text, arrival.received_ms)

    # after the last segment of a batch

    def _touch(self, place: Place) -> Lane:
        lane = self._lanes.lane(place)
        self._lanes.touched[place] = lane
        return lane

    def _settle(self, now_ms: int) -> None:
        """Bring gaps and receipts of every lane that changed up to date, in the same transaction."""
        lanes: dict[tuple[bytes, int], None] = {}
        for place, lane in self._lanes.touched.items():
            self._settle_gaps(lane, now_ms)
            lanes[place[:2]] = None
        for device, at in lanes:
            for epoch in sorted(self._lanes.epochs(device, at))[-EPOCHS_RECEIPTED:]:
                generation = self._lanes.generation(device, at, epoch)
                self._settle_receipt(self._lanes.lane((device, at, epoch)), generation)
        self._lanes.touched.clear()

    def _settle_gaps(self, lane: Lane, now_ms: int) -> None:
        rows = lane.gap_rows()
        if rows == lane.gaps:
            return
        was = Ranges([(gap.start, gap.stop) for gap in lane.gaps]).pairs
        filled = intersect(was, lane.held.pairs)
        for start, stop in filled:
            lane.filled.add(start, stop)
        self._store.put_gaps(
            lane.place, lane.gaps - rows, rows - lane.gaps, lane.filled.pairs if filled else None, now_ms
        )
        lane.gaps = rows

    def _settle_receipt(self, lane: Lane, generation: int) -> None:
        number, digest = lane.known_digest_at_or_below(lane.receipt_number())
        if number < 0 or generation < 0:
            return
        before = lane.receipt
        # A receipt that was given stands, whatever became doubtful since.
        if before is not None and (number < before[0] or (number, generation) == before[:2]):
            return
        if digest is None:
            digest = self._store.held(lane.place, [number])[number].digest
        receipt = Receipt(*lane.place, number, digest, generation)
        raw = seal_receipt(receipt, downlink_key(self._keystore.downlink(lane.place[0]), "receipt"))
        self._store.put_receipt(receipt, raw)
        lane.receipt = (number, generation, raw)

    def _answer_devices(self, answer: UplinkAnswer, named: dict[bytes, set[int]]) -> None:
        for device, came in named.items():
            for at in LANES:
                epochs = self._lanes.epochs(device, at)
                # Of an older epoch too, where something of it came: its gateway keeps it until a receipt covers it.
                for epoch in sorted({*sorted(epochs)[-2:], *(came & epochs.keys())}):
                    lane = epochs[epoch]
                    if lane.receipt is not None and len(answer.receipts) < uplink_receipts_max:
                        answer.receipts.append(lane.receipt[2])
                    room = uplink_wants_max - len(answer.wants)
                    answer.wants += [(*lane.place, *pair) for pair in _open_gaps(lane)[:room]]


def _reseal_nothing(_device: bytes, _key: bytes, _now_ms: int) -> None:
    """There are no commands."""


def _open_gaps(lane: Lane) -> list[tuple[int, int]]:
    # Above a contested number the way on is in doubt; a person decides, and asking again would bring the same.
    stop = lane.contested
    pairs = [(gap.start, gap.stop) for gap in sorted(lane.gaps) if gap.state == "open"]
    return Ranges(pairs).pairs if stop is None else intersect(Ranges(pairs).pairs, [(0, stop)])


def _neighbour_in_doubt(segment: Segment, near: dict[int, Held]) -> int | None:
    """Return the number of which segment and a held neighbour say different things, or None."""
    header = segment.header
    before, after = near.get(header.number - 1), near.get(header.number + 1)
    if header.number == 0 and (
        header.first_sequence or header.previous != genesis(header.device, header.lane, header.epoch)
    ):
        return 0
    if before and (header.previous != before.digest or header.first_sequence != before.next_sequence()):
        return before.number
    if after and (after.previous != segment.digest or after.first_sequence != header.next_sequence()):
        return header.number
    return None


def _place_text(place: Place, number: int) -> str:
    return f"{LANE_NAMES[place[1]]} epoch {place[2]} number {number}"
