"""Receipts, time tokens and the office's wants, kept for each device until its next exchange.

Receipts are durable in the store; all else is told again by the office and lives in memory. Everything here is sealed for
the device or idempotent: delivering it twice, or to a device that has it, changes nothing.

Source: SPEC.md sections 5.2, 5.3 and 6.
"""

from gateway.reconcile import fold_wants
from protocol.limits import receipts_max
from protocol.messages import Message, parse_receipt, parse_time_token

# Lanes and epochs of one device whose receipts are kept at hand: two lanes of the newest epochs.
RECEIPTS_PER_DEVICE_MAX = 8
# Ranges that the office asks for, of one lane.
WANTS_PER_LANE_MAX = 64


class Downlink:
    """What waits for each device."""

    def __init__(self) -> None:
        self._receipts: dict[bytes, dict[tuple[int, int], Message]] = {}
        self._delivered: dict[tuple[bytes, int, int], bytes] = {}
        self._tokens: dict[bytes, Message] = {}
        self._wants: dict[tuple[bytes, int, int], list[tuple[int, int]]] = {}

    def load_receipts(self, raws: list[bytes]) -> None:
        """Take the receipts that the store kept."""
        for raw in raws:
            self.put_receipt(parse_receipt(raw))

    def put_receipt(self, receipt: Message) -> None:
        """Keep a receipt unless a newer one of its lane and epoch is known."""
        fields = receipt.fields
        known = self._receipts.setdefault(fields.device, {})
        before = known.get((fields.epoch, fields.lane))
        if before is None or before.fields.number <= fields.number:
            known[fields.epoch, fields.lane] = receipt
        while len(known) > RECEIPTS_PER_DEVICE_MAX:
            del known[min(known)]

    def put_time_token(self, token: Message) -> None:
        """Keep a token unless one for a newer heartbeat is known."""
        before = self._tokens.get(token.fields.device)
        if before is None or _heard(before) <= _heard(token):
            self._tokens[token.fields.device] = token

    def put_wants(self, missing: list[tuple[bytes, int, int, int, int]], devices: set[bytes]) -> None:
        """Replace what the office asks of devices by its newest word."""
        for key in [key for key in self._wants if key[0] in devices]:
            del self._wants[key]
        for device, lane, epoch, start, stop in missing:
            ranges = self._wants.setdefault((device, lane, epoch), [])
            if len(ranges) < WANTS_PER_LANE_MAX:
                ranges.append((start, stop))

    def wants(self, device: bytes, lane: int, epoch: int) -> list[tuple[int, int]]:
        """Return the ranges of a lane that the office lacks and this gateway does not hold."""
        wanted = self._wants.get((device, lane, epoch))
        return fold_wants(wanted, WANTS_PER_LANE_MAX) if wanted else []

    def is_wanted(self, device: bytes, lane: int, epoch: int, number: int) -> bool:
        """Return whether the office asked for this number."""
        wanted = self._wants.get((device, lane, epoch))
        return wanted is not None and any(start <= number < stop for start, stop in wanted)

    def arrived(self, device: bytes, lane: int, epoch: int, number: int) -> None:
        """Stop asking for a number that is held now."""
        key = (device, lane, epoch)
        if key in self._wants:
            ranges = fold_wants(self._wants[key], WANTS_PER_LANE_MAX)
            self._wants[key] = [
                pair
                for start, stop in ranges
                for pair in ((start, min(stop, number)), (max(start, number + 1), stop))
                if pair[0] < pair[1]
            ]

    def receipts_for(self, device: bytes, epoch: int, *, again: bool) -> list[bytes]:
        """Return at most receipts_max receipts: of the device's epoch first, then of the newest other epochs.

        again: also those that were delivered before; a device that lost an answer is so healed by its next heartbeat.
        """
        known = self._receipts.get(device)
        if known is None:
            return []
        order = sorted(known, key=lambda key: (key[0] != epoch, -key[0], key[1]))
        chosen = []
        for key in order:
            raw = known[key].raw
            if again or self._delivered.get((device, *key)) != raw:
                chosen.append(raw)
                self._delivered[device, *key] = raw
            if len(chosen) == receipts_max:
                break
        return chosen

    def take_time_token(self, device: bytes, boot: int | None) -> bytes | None:
        """Return the newest token once, if it is for this boot of the device."""
        token = self._tokens.pop(device, None)
        if token is None or (boot is not None and token.fields.boot != boot):
            return None
        return token.raw


def parse_downward(receipts: list[bytes], time_tokens: list[bytes]) -> tuple[list[Message], list[Message]]:
    """Return parsed receipts and tokens of an office's answer. Raises ProtocolError if one of them is not well-formed."""
    return [parse_receipt(raw) for raw in receipts], [parse_time_token(raw) for raw in time_tokens]


def _heard(token: Message) -> tuple[int, int]:
    return token.fields.boot, token.fields.counter
