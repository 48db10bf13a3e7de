"""Answers exchanges: a segment is durable before custody is given, a heartbeat is the device's offer.

Knows nothing of CoAP but its codes: a link hands in the authenticated device and the payload, and sends the reply.

Source: SPEC.md section 6.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

from gateway.downlink import Downlink
from gateway.errors import StoreFailed, StoreFull, TooManyForks
from gateway.health import Health
from gateway.quick_segment import parse_quickly
from gateway.reconcile import Action, Fork, Lost, Offer, Want, fold_wants, reconcile
from gateway.shelf import Shelf
from gateway.store import DUPLICATE, FORKED, STORED, Store
from protocol.coap import BAD_REQUEST, CHANGED, FORBIDDEN, SERVICE_UNAVAILABLE
from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError
from protocol.keys import LANES
from protocol.limits import wants_max
from protocol.messages import Answer, Heartbeat, encode_answer, parse_heartbeat
from protocol.segment import Segment

_log = logging.getLogger("gateway.collector")

# When custody is refused, the device comes back after so many seconds.
RETRY_FULL_S = 30
RETRY_FAILED_S = 5


class Reply(NamedTuple):
    """What the link answers. code: of CoAP; max_age_s: with SERVICE_UNAVAILABLE, when to come back; options: further ones."""

    code: int
    payload: bytes = b""
    max_age_s: int | None = None
    options: tuple[tuple[int, bytes], ...] = ()


class Collector:
    """point: the kill points. said: the last (boot, epoch) of each device's heartbeats in this process."""

    def __init__(
        self,
        store: Store,
        downlink: Downlink,
        shelf: Shelf,
        health: Health,
        *,
        point: Callable[[str], None],
    ):
        self._store = store
        self._downlink = downlink
        self._shelf = shelf
        self._health = health
        self._point = point
        self._said: dict[bytes, tuple[int, int]] = {}
        self.arrived: Callable[[], None] = _nobody
        self.kept: Callable[[Segment], None] = _nobody_reads

    async def segment(self, device: bytes, payload: bytes, bulk_in_s: int = 0) -> Reply:
        """Return the reply to POST /s of an authenticated device: custody once the segment is durable. bulk_in_s: 0 for at any time."""
        try:
            segment = parse_quickly(payload)
        except ProtocolError as error:
            return self._malformed(device, error)
        header = segment.header
        if header.device != device:
            return self._other_device(device, header.device)
        place = (device, header.lane, header.epoch)
        plan: list[Action] = []
        if segment.tombstone is not None:
            covered = (segment.tombstone.first, segment.tombstone.last)
            plan = reconcile(self._store.lane(*place), None, tombstone=covered)
        try:
            if self._store.commits.is_overloaded():
                raise StoreFull("more segments wait for the disk than it can take")
            kind = await self._store.add_segment(
                segment,
                lost=[(action.start, action.stop) for action in plan if isinstance(action, Lost)],
                is_wanted=self._downlink.is_wanted(*place, header.number),
            )
        except (StoreFull, StoreFailed) as error:
            return self._no_custody(device, error)
        except TooManyForks as error:
            _log.warning("device %s: %s", device.hex(), error)
            self._health.count("forks")
            return Reply(FORBIDDEN)
        self._count(kind, device, header.number)
        self._downlink.arrived(*place, header.number)
        if kind == STORED:
            self.kept(segment)
        self.arrived()
        return self._answer(device, header.epoch, {}, bulk_in_s, again=False)

    async def heartbeat(self, device: bytes, payload: bytes, bulk_in_s: int = 0) -> Reply:
        """Return the reply to POST /h of an authenticated device: custody, wants, receipts, time token, what waits below."""
        try:
            heartbeat = parse_heartbeat(payload)
            _check_heads(heartbeat.fields)
        except ProtocolError as error:
            return self._malformed(device, error)
        fields = heartbeat.fields
        if fields.device != device:
            return self._other_device(device, fields.device)
        try:
            dropped = await self._store.add_heartbeat(heartbeat)
            offers = {lane: Offer(*fields.head(lane)) for lane in LANES if fields.head(lane)}
            digests = {
                lane: await self._store.digests_of(device, lane, fields.epoch, offer.number)
                for lane, offer in offers.items()
            }
        except (StoreFull, StoreFailed) as error:
            return self._no_custody(device, error)
        self._health.count("heartbeats")
        self._health.count("heartbeats_dropped", dropped)
        self._said[device] = (fields.boot, fields.epoch)
        self.arrived()
        wants = {}
        for lane, offer in offers.items():
            plan = reconcile(self._store.lane(device, lane, fields.epoch), offer, digests=digests[lane])
            wants[lane] = [(action.start, action.stop) for action in plan if isinstance(action, Want)]
            for fork in (action for action in plan if isinstance(action, Fork)):
                _log.warning(
                    "device %s: its head %d of lane %d has another digest than ours",
                    device.hex(),
                    fork.number,
                    lane,
                )
        return self._answer(device, fields.epoch, wants, bulk_in_s, again=True)

    def _answer(
        self,
        device: bytes,
        epoch: int,
        wants: dict[int, list[tuple[int, int]]],
        bulk_in_s: int,
        *,
        again: bool,
    ) -> Reply:
        boot, device_epoch = self._said.get(device, (None, epoch))
        asked = []
        for lane in LANES:
            wanted = [*wants.get(lane, []), *self._downlink.wants(device, lane, epoch)]
            folded = fold_wants(wanted, wants_max) if wanted else []
            asked += [(lane, epoch, start, stop) for start, stop in folded]
        custody = [(lane, epoch, self._custody(device, lane, epoch)) for lane in LANES]
        answer = Answer(
            custody,
            asked[:wants_max],
            self._downlink.receipts_for(device, device_epoch, again=again),
            self._downlink.take_time_token(device, boot),
            self._shelf.deliverable(device),
            self._shelf.newest_command(device),
            bulk_in_s or None,
        )
        self._point("before_custody")
        return Reply(CHANGED, encode_answer(answer))

    def _custody(self, device: bytes, lane: int, epoch: int) -> int:
        return self._store.lane(device, lane, epoch).watermark()

    def _count(self, kind: str, device: bytes, number: int) -> None:
        if kind == DUPLICATE:
            self._health.count("duplicates")
            return
        self._health.count("segments")
        if kind == FORKED:
            self._health.count("forks")
            _log.warning("device %s: fork at segment %d; both are kept and forwarded", device.hex(), number)

    def _malformed(self, device: bytes, error: ProtocolError) -> Reply:
        self._health.count("oversized" if error.code == TOO_LARGE else "malformed")
        _log.info("device %s: %s", device.hex(), error)
        return Reply(BAD_REQUEST)

    def _other_device(self, device: bytes, named: bytes) -> Reply:
        self._health.count("wrong_device")
        _log.warning("device %s spoke for device %s", device.hex(), named.hex())
        return Reply(FORBIDDEN)

    def _no_custody(self, device: bytes, error: StoreFull | StoreFailed) -> Reply:
        self._health.count("custody_refused")
        _log.error("device %s: custody refused: %s", device.hex(), error)
        return Reply(
            SERVICE_UNAVAILABLE, max_age_s=RETRY_FULL_S if isinstance(error, StoreFull) else RETRY_FAILED_S
        )


def _check_heads(fields: Heartbeat) -> None:
    """Raise ProtocolError if a lane keeps nothing up to far above its head: custody would pass over what exists."""
    for lane in LANES:
        head = fields.head(lane)
        if head and head[0] > head[1] + 1:
            raise ProtocolError(MALFORMED, f"lane {lane} keeps from {head[0]} on, above its head {head[1]}")


def _nobody() -> None:
    """The uplink puts itself here, to be woken when something arrived."""


def _nobody_reads(_segment: Segment) -> None:
    """Readings put themselves here, to be shown what is durable."""
