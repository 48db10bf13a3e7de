"""Proof that a device took other keys, and what follows from it in the database.

A rekey that was given is pending until something that the device sealed fits it: its own answer is not enough, for a cut may have kept
it from what it answered. Nothing asks for pending ones as long as seals fit the chain that is known.

The keystore goes first, and keeps a settled row until the database followed: receipts and waiting commands are sealed anew, in the
transaction of the batch. So a batch that failed, or a process that ended in between, is made good by the next one.

Source: SPEC.md section 10.1.
"""

import math
from collections.abc import Callable
from typing import Protocol

from office_ingest.receive.keystore import Keystore, Rekey
from office_ingest.receive.lanes import Lanes
from office_ingest.storage.interface import Place, Store
from protocol.errors import SUPERSEDED, ProtocolError
from protocol.keys import LANES, downlink_key
from protocol.limits import generation_ahead_max
from protocol.messages import parse_receipt, seal_receipt

Derive = Callable[[bytes], bytes]
Reseal = Callable[[bytes, bytes, int], None]


class Sealed(Protocol):
    """Whatever has a seal."""

    def verify(self, key: bytes) -> None:
        """Raise ProtocolError if the seal does not fit."""


class Rekeys:
    """Of one office. Not for two threads at once. reseal(device, command key, now_ms): seals its waiting commands anew."""

    def __init__(self, store: Store, keystore: Keystore, lanes: Lanes, reseal: Reseal):
        self._store = store
        self._lanes = lanes
        self._reseal = reseal
        self._keystore = keystore
        # Devices whose database did not follow yet: of a process before this one, too.
        self._owed: dict[bytes, None] = dict.fromkeys(keystore.settled_rekeys())

    def reaches(self, device: bytes, generation: int) -> bool:
        """Say whether a generation that is far above all that is verified is near to where the keys of a rekey begin."""
        begins = [one.generation for one in self._keystore.pending_rekeys(device)]
        return any(_is_near(one, generation) for one in begins + self._keystore.rekey_generations(device))

    def check_epoch(self, device: bytes, epoch: int, generation: int) -> None:
        """Check that a generation is not of keys that had ended when its epoch began.

        Whoever has a copy of them could begin an epoch in the device's place, or one above it, and nothing of the device itself would
        count any more. Raises ProtocolError(SUPERSEDED).
        """
        for begins in self._keystore.rekey_generations(device):
            if generation < begins and epoch >= self._first_epoch(device, begins):
                text = f"generation {generation} ended before epoch {epoch}: the device has other keys from {begins} on"
                raise ProtocolError(SUPERSEDED, text)

    def _first_epoch(self, device: bytes, begins: int) -> float:
        """Return the lowest epoch known to be of keys that begin there."""
        heard = self._store.first_epoch_heard(device, begins)
        held = [
            epoch
            for lane in LANES
            for epoch, of in self._lanes.epochs(device, lane).items()
            if of.base is not None and of.base >= begins
        ]
        return min([math.inf if heard is None else heard, *held])

    def refused(self, device: bytes, number: int) -> None:
        """A device answered a rekey command, and did not take it."""
        self._keystore.drop_rekey(device, number)

    def verify(self, message: Sealed, device: bytes, lane: int, generation: int, derive: Derive) -> None:
        """Check a seal, made with derive(k(generation)), under the chain that is known, then under what is pending; the first that fits settles it.

        Raises KeyUnknown; ProtocolError as the chain that is known says it.
        """
        try:
            message.verify(derive(self._keystore.seal_key(device, lane, generation)))
        except ProtocolError:
            fitting = self._fitting(message, device, lane, generation, derive)
            if fitting is None:
                raise
            self._keystore.settle_rekey(device, fitting)
            self._owed[device] = None

    def _fitting(
        self, message: Sealed, device: bytes, lane: int, generation: int, derive: Derive
    ) -> Rekey | None:
        for pending in self._keystore.pending_rekeys(device):
            if _is_near(pending.generation, generation):
                try:
                    message.verify(derive(pending.seal_key(lane, generation)))
                except ProtocolError:
                    continue
                return pending
        return None

    def follow(self, now_ms: int) -> dict[Place, bytes]:
        """Seal anew what waits for devices with other keys, inside a transaction; return place -> receipt of those that changed."""
        receipts: dict[Place, bytes] = {}
        for device in self._owed:
            downlink = self._keystore.downlink(device)
            for place, raw in self._store.receipts_of(device):
                receipt = parse_receipt(raw).fields
                receipts[place] = seal_receipt(receipt, downlink_key(downlink, "receipt"))
                self._store.put_receipt(receipt, receipts[place])
            self._reseal(device, downlink_key(downlink, "command"), now_ms)
        return receipts

    def finish(self) -> None:
        """The transaction of follow() is durable."""
        for device in self._owed:
            self._keystore.finish_rekey(device)
        self._owed.clear()


def _is_near(begins: int, generation: int) -> bool:
    return 0 <= generation - begins <= generation_ahead_max
