"""Rows waiting for the office: what goes next, and what an answer releases.

Critical lane before routine, oldest first. A row leaves only as SPEC.md section 7 allows: a receipt covers its number and
the office told an outcome for that very digest, or that outcome says that the evidence lies there.
"""

from collections.abc import Callable

from gateway.downlink import Downlink, parse_downward
from gateway.errors import OfficeConfused
from gateway.health import Health
from gateway.link_set import LinkSet
from gateway.readings import Readings
from gateway.shelf import Shelf
from gateway.store import Batch, Store
from protocol.errors import ProtocolError
from protocol.limits import uplink_heartbeats_max
from protocol.uplink import (
    DUPLICATE,
    FORK,
    HEARTBEAT_SEEN,
    HEARTBEAT_TAKEN,
    QUARANTINED,
    STORED,
    UplinkAnswer,
    parse_uplink_answer,
)

# Heartbeats beside a batch of segments; the office's limit.
HEARTBEATS_MAX = uplink_heartbeats_max


class Outbox:
    """is_known(device): whether a device has a link here; what an answer says of others is left aside. lacks(): told after each answer.

    is_revoked(device): whether that is known already; revoke(devices): ends their sessions.
    """

    def __init__(
        self,
        store: Store,
        downlink: Downlink,
        shelf: Shelf,
        health: Health,
        *,
        is_known: Callable[[bytes], bool],
        lacks: Callable[[], None],
        is_revoked: Callable[[bytes], bool],
        readings: Readings,
        revoke: Callable[[list[bytes]], None],
        links: LinkSet | None = None,
    ):
        self._store = store
        self._shelf = shelf
        self._lacks = lacks
        self._downlink = downlink
        self._health = health
        self._is_known = is_known
        self._is_revoked = is_revoked
        self._readings = readings
        self._revoke = revoke
        self._links = links

    async def next_batch(self, segments_max: int) -> Batch:
        """Return what to send next. Raises StoreFailed."""
        return await self._store.next_batch(segments_max, HEARTBEATS_MAX)

    async def settle(self, batch: Batch, raw_answer: bytes) -> None:
        """Carry out the office's answer to batch: what it says of segments in one transaction, what waits below in a second.

        Raises OfficeConfused: the answer is not well-formed, nothing was changed. StoreFull, StoreFailed: of the first
        transaction nothing was changed, or it stands and what waits below is as it was, until the office says it again.
        """
        answer = parse_answer(batch, raw_answer)
        try:
            receipts, tokens = parse_downward(answer.receipts, answer.time_tokens)
        except ProtocolError as error:
            raise OfficeConfused(f"the office's answer carries {error}") from None
        await self._take_revoked(answer.revoked)
        if self._links is not None:
            # Before all else is looked at: only what is said of devices that are served counts.
            await self._links.take(answer.links)
        receipts = [receipt for receipt in receipts if self._is_known(receipt.fields.device)]
        settlement = await self._store.settle(
            [(row, outcome) for (row, _), outcome in zip(batch.segments, answer.outcomes, strict=True)],
            [row for row, _ in batch.heartbeats],
            receipts,
            [want for want in answer.wants if self._is_known(want[0])],
        )
        self._health.count("forwarded", len(batch.segments))
        self._health.count("released", settlement.released)
        self._health.count("quarantined", sum(outcome >= QUARANTINED for outcome in answer.outcomes))
        for receipt in receipts:
            self._downlink.put_receipt(receipt)
        for token in tokens:
            if self._is_known(token.fields.device):
                self._downlink.put_time_token(token)
        named = {receipt.fields.device for receipt in receipts} | {want[0] for want in answer.wants}
        self._downlink.put_wants(settlement.missing, named)
        releases = [entry for entry in answer.releases if self._is_known(entry[0])]
        gone = [device for device in self._shelf.devices() if not self._is_known(device)]
        await self._shelf.replace(releases, answer.commands, gone=gone)
        await self._readings.replace([grant for grant in answer.views if self._is_known(grant[0])])
        self._lacks()

    async def _take_revoked(self, devices: list[bytes]) -> None:
        new = [device for device in devices if not self._is_revoked(device)]
        if not new:
            return
        # At once, and durably before this answer counts as carried out.
        self._revoke(new)
        self._health.count("revoked", len(new))
        await self._store.add_revoked(new)


def parse_answer(batch: Batch, raw: bytes) -> UplinkAnswer:
    """Return the office's answer to batch. Raises OfficeConfused: not CBOR, wrong lengths, outcomes nobody knows."""
    try:
        answer = parse_uplink_answer(raw)
    except ProtocolError as error:
        raise OfficeConfused(f"the office's answer is not well-formed: {error}") from None
    counts = len(answer.outcomes), len(answer.heartbeat_outcomes)
    asked = len(batch.segments), len(batch.heartbeats)
    if counts != asked:
        raise OfficeConfused(f"the office told {counts} outcomes for {asked} segments and heartbeats")
    strange = [o for o in answer.outcomes if o < QUARANTINED and o not in (STORED, DUPLICATE, FORK)]
    strange += [
        o for o in answer.heartbeat_outcomes if o < QUARANTINED and o not in (HEARTBEAT_TAKEN, HEARTBEAT_SEEN)
    ]
    if strange:
        raise OfficeConfused(f"the office told outcome {strange[0]}, which does not exist")
    return answer
