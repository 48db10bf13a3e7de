"""Judges heartbeats: sealed, newer than the last, and in agreement with what is held.

Newer is what has the higher epoch, boot and counter, in this order: a device whose flash was put back counts its boots again, and begins an
epoch as soon as it knows. A heartbeat's heads say what must exist. Numbers up to a head that are not held are a gap; another digest than the held
one at a head is a fork, with the heartbeat itself as evidence; a head that goes back within an epoch is a finding.

Source: SPEC.md sections 5.1 and 5.3.
"""

import hashlib
from collections.abc import Callable

from office_ingest.errors import KeyUnknown
from office_ingest.health import APART_MS, Pace
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.lane import Lane
from office_ingest.receive.lanes import Lanes
from office_ingest.receive.rekeys import Rekeys
from office_ingest.receive.relinks import Relinks
from office_ingest.receive.takings import Takings
from office_ingest.storage.interface import Arrival, Head, Store
from office_ingest.watch.levels import judge_levels
from protocol.errors import FAR_GENERATION, REPLAY, REVOKED, UNKNOWN_DEVICE, ProtocolError
from protocol.keys import CRITICAL, LANE_NAMES, LANES, downlink_key, heartbeat_key
from protocol.limits import generation_ahead_max
from protocol.messages import Heartbeat, Message, TimeToken, parse_heartbeat, seal_time_token
from protocol.uplink import HEARTBEAT_SEEN, HEARTBEAT_TAKEN, QUARANTINED


class Heartbeats:
    """Takes heartbeats inside the transaction of their batch."""

    def __init__(
        self,
        store: Store,
        keystore: Keystore,
        lanes: Lanes,
        rekeys: Rekeys,
        relinks: Relinks,
        *,
        clock_error_ms: int,
        heard: Callable[[bytes], None],
        paced: Callable[[bytes, Pace], None] = lambda device, pace: None,
        takings: Takings | None = None,
    ):
        self._store = store
        self._keystore = keystore
        self._lanes = lanes
        self._rekeys = rekeys
        self._relinks = relinks
        self._clock_error_ms = clock_error_ms
        self._heard = heard
        self._paced = paced
        self._takings = takings

    def take(self, raw: bytes, arrival: Arrival, named: dict[bytes, None]) -> tuple[int, bytes | None]:
        """Return (outcome, sealed time token for a fresh one or None); the device is added to named once it is known."""
        device = None
        try:
            message = parse_heartbeat(raw)
            heartbeat: Heartbeat = message.fields
            if not self._store.has_device(heartbeat.device):
                raise ProtocolError(UNKNOWN_DEVICE, f"device {heartbeat.device.hex()} is not registered")
            device = heartbeat.device
            if self._store.is_revoked(device):
                raise ProtocolError(REVOKED, f"device {device.hex()} is revoked")
            named[device] = None
            return self._known_device(message, arrival)
        except KeyUnknown as error:
            self._store.add_quarantine(device, UNKNOWN_DEVICE, str(error), raw, arrival)
            return QUARANTINED + UNKNOWN_DEVICE, None
        except ProtocolError as error:
            self._store.add_quarantine(device, error.code, error.text, raw, arrival)
            return QUARANTINED + error.code, None

    def _known_device(self, message: Message, arrival: Arrival) -> tuple[int, bytes | None]:
        heartbeat: Heartbeat = message.fields
        at = (heartbeat.epoch, heartbeat.boot, heartbeat.counter)
        digest = hashlib.sha256(message.raw).digest()
        before = self._store.heartbeat_digest(heartbeat.device, *at)
        if before == digest:
            return HEARTBEAT_SEEN, None
        self._verify(message)
        if before is not None:
            text = (
                f"two different heartbeats {at[2]} of epoch {at[0]}, boot {at[1]} are sealed:"
                " two devices have these keys, or its flash was put back"
            )
            place = f"epoch {at[0]} boot {at[1]}"
            self._store.add_finding(heartbeat.device, "clone", place, text, arrival.received_ms)
        newest = self._store.newest_heartbeat(heartbeat.device)
        if newest is not None and at <= tuple(newest):
            raise ProtocolError(REPLAY, f"heartbeat (epoch, boot, counter) {at} is not above {tuple(newest)}")
        self._store.add_heartbeat(heartbeat, message.raw, arrival)
        self._heard(heartbeat.device)
        self._relinks.heard(heartbeat.device, heartbeat.health)
        judge_levels(self._store, heartbeat.device, heartbeat.health, arrival.received_ms)
        life = (heartbeat.epoch, heartbeat.boot)
        self._paced(heartbeat.device, Pace(life, heartbeat.health.get(APART_MS, 0)))
        if self._takings is not None:
            self._takings.heartbeat(heartbeat, arrival.received_ms)
        for lane in LANES:
            self._take_head(heartbeat, lane, arrival)
        return HEARTBEAT_TAKEN, self._time_token(heartbeat, arrival)

    def _verify(self, message: Message) -> None:
        heartbeat: Heartbeat = message.fields
        highest = max(self._lanes.generation(heartbeat.device, CRITICAL), 0)
        is_far = heartbeat.generation > highest + generation_ahead_max
        if is_far and not self._rekeys.reaches(heartbeat.device, heartbeat.generation):
            raise ProtocolError(
                FAR_GENERATION,
                f"generation {heartbeat.generation} is more than {generation_ahead_max} above {highest}",
            )
        self._rekeys.verify(message, heartbeat.device, CRITICAL, heartbeat.generation, heartbeat_key)
        self._rekeys.check_epoch(heartbeat.device, heartbeat.epoch, heartbeat.generation)

    def _take_head(self, heartbeat: Heartbeat, lane_index: int, arrival: Arrival) -> None:
        said = heartbeat.head(lane_index)
        if said is None:
            return
        place = (heartbeat.device, lane_index, heartbeat.epoch)
        lane = self._lanes.lane(place)
        kept_from, number, digest = said
        head = Head(kept_from, number, digest, heartbeat.boot, heartbeat.counter)
        if lane.head is not None and head.number < lane.head.number:
            text = f"the head went back from {lane.head.number} to {head.number}: the device lost or hides segments"
            where = f"{LANE_NAMES[lane_index]} epoch {heartbeat.epoch}"
            self._store.add_finding(heartbeat.device, "head", where, text, arrival.received_ms)
            return
        lane.head = head
        self._store.put_head(place, head)
        self._lanes.touched[place] = lane
        self.check_head(lane, arrival)

    def check_head(self, lane: Lane, arrival: Arrival) -> None:
        """Compare a lane's newest head with the segment held at its number; another digest is a fork."""
        head = lane.head
        assert head is not None
        held = self._store.held(lane.place, [head.number]).get(head.number)
        if held is None or held.digest == head.digest:
            return
        device, lane_index, epoch = lane.place
        evidence = self._store.heartbeat_raw(device, epoch, head.boot, head.counter)
        if evidence is not None and not self._store.has_fork(hashlib.sha256(evidence).digest(), lane_index):
            self._store.add_fork(lane.place, head.number, head.number, "head", evidence, arrival)
        place = f"{LANE_NAMES[lane_index]} epoch {epoch} number {head.number}"
        text = f"a heartbeat names another digest than the held one; receipts stop below {head.number}"
        self._store.add_finding(device, "fork", place, text, arrival.received_ms)
        lane.contest(head.number)
        self._lanes.touched[lane.place] = lane

    def _time_token(self, heartbeat: Heartbeat, arrival: Arrival) -> bytes:
        token = TimeToken(
            heartbeat.device, heartbeat.boot, heartbeat.counter, arrival.received_ms, self._clock_error_ms
        )
        return seal_time_token(token, downlink_key(self._keystore.downlink(heartbeat.device), "time"))
