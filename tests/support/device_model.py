"""A device as the office sees it: seals valid segments, tombstones and heartbeats from its own keys, on CPython.

It is over protocol/ alone, holds everything it sealed, and makes no claim about flash: the agent does that.
Damage is done by the tests themselves, to the bytes it returns.
"""

import copy
import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocol import keys
from protocol.event import BOOT, SAMPLE, encode_events
from protocol.limits import generation_segments
from protocol.messages import Heartbeat, Receipt, parse_receipt, seal_heartbeat
from protocol.segment import Header, Segment, Tombstone, genesis, parse_segment, seal_segment, seal_tombstone


def ctr(key, iv, text):
    """AES-128-CTR."""
    encryptor = Cipher(algorithms.AES128(key), modes.CTR(iv)).encryptor()
    return encryptor.update(text) + encryptor.finalize()


class LaneModel:
    """One lane in one epoch: what was sealed, by number."""

    def __init__(self, device, lane, epoch, base):
        self.place = (device, lane, epoch)
        self.base = base
        self.segments: list[Segment] = []
        self.previous = genesis(device, lane, epoch)
        self.next_sequence = 0
        self.kept_from = 0

    @property
    def number(self):
        """Number of the next segment."""
        return len(self.segments)

    @property
    def generation(self):
        """Seal generation of the next segment."""
        return keys.generation_of(self.base, self.number)

    def head(self):
        """(kept_from, number, digest) of the newest segment, or None."""
        if not self.segments:
            return None
        return self.kept_from, self.number - 1, self.segments[-1].digest


# What lies on a device's flash and in its cell, and so comes back with an older image of them.
_ON_FLASH = ("period", "boot", "order", "epoch", "bundle", "lanes", "past")


class DeviceModel:
    """A device with roots derived from a seed. Orders, ticks, numbers and digests go on by themselves."""

    def __init__(self, seed: int = 1, view_class: tuple = (keys.OFFICE, keys.SITE)):
        self.device = hashlib.sha256(b"device %d" % seed).digest()[:8]
        self.seal_root = hashlib.sha256(b"seal %d" % seed).digest()
        self.view_root = hashlib.sha256(b"view %d" % seed).digest()
        self.downlink = hashlib.sha256(b"downlink %d" % seed).digest()
        self.view_class = view_class
        self.period = 0
        self.boot = 1
        self.counter = 0
        self.order = 0
        self.tick_ms = 0
        self.epoch = 0
        self.bundle = (1, bytes(32))
        self.lanes = [LaneModel(self.device, lane, 0, 0) for lane in keys.LANES]
        self.past: list[LaneModel] = []

    def enrol(self, keystore):
        """Give the office this device's keys."""
        keystore.enrol(self.device, self.seal_root, self.view_root, self.downlink)

    def next_order(self):
        """Take the next order."""
        self.order += 1
        return self.order - 1

    def sample(self, values, step_ms=1000, qualities=None):
        """Return a sample event one step later; a value None is missing."""
        self.tick_ms += step_ms
        qualities = qualities or [1 if value is None else 0 for value in values]
        return self.next_order(), self.tick_ms, SAMPLE, (list(values), list(qualities))

    def row(self, kind, *fields):
        """Return an event of another kind at the present tick."""
        return self.next_order(), self.tick_ms, kind, fields

    def restart(self, now_base=0):
        """Begin the next boot and return its boot event."""
        self.boot += 1
        self.counter = 0
        self.tick_ms = 0
        return self.row(BOOT, 0, now_base)

    def new_epoch(self):
        """Begin a new epoch in both lanes, its generations above all that were used."""
        self.epoch += 1
        self.past += self.lanes
        self.lanes = [
            LaneModel(self.device, lane.place[1], self.epoch, lane.generation + 1) for lane in self.lanes
        ]

    def image(self):
        """Return a copy of what lies on its flash."""
        return {name: copy.deepcopy(getattr(self, name)) for name in _ON_FLASH}

    def put_back(self, image):
        """Let its flash be that copy again: numbers, orders, boots and epoch go back; what it sealed since it has forgotten."""
        for name, value in copy.deepcopy(image).items():
            setattr(self, name, value)

    def seal_key(self, lane, generation):
        """k(generation) of a lane."""
        return keys.seal_ahead(keys.seal_start(self.seal_root, lane), generation)

    def view_keys(self, view_class, period):
        """(body key, iv key) of a period."""
        ratchet = keys.view_start(self.view_root, view_class)
        for _ in range(period):
            ratchet = keys.view_next(ratchet)
        return keys.body_keys(keys.view_key(ratchet))

    def header(self, lane, count, view_class, **other):
        """Return the header of the next segment of a lane; other: fields to say something else in."""
        at = self.lanes[lane]
        fields = {
            "device": self.device,
            "lane": lane,
            "epoch": at.place[2],
            "number": at.number,
            "first_sequence": at.next_sequence,
            "count": count,
            "previous": at.previous,
            "generation": at.generation,
            "view_class": view_class,
            "period": self.period,
        }
        return Header(**{**fields, **other})

    def seal_only(self, lane, events, **other):
        """Return the bytes of a segment that the next one could be, and forget it: for forks and lies."""
        header = self.header(lane, other.pop("count", len(events)), self.view_class[lane], **other)
        tag_key = keys.tag_key(self.seal_key(lane, header.generation))
        body_key, iv_key = self.view_keys(header.view_class, header.period)
        return seal_segment(header, encode_events(self.boot, events), tag_key, body_key, iv_key, ctr)

    def seal(self, lane, events=None):
        """Seal events (one sample if none are given) as the next segment of a lane; return its bytes."""
        raw = self.seal_only(lane, events or [self.sample([20, 5])])
        return self._keep(lane, raw)

    def tombstone(self, lane, first, last, reason=0, **other):
        """Seal a tombstone over first..last as the next segment of a lane; other: fields to lie in."""
        at = self.lanes[lane]
        start, stop = at.segments[first].header, at.segments[last].header
        fields = {
            "first": first,
            "last": last,
            "before": start.previous,
            "last_digest": at.segments[last].digest,
            "event_count": stop.next_sequence() - start.first_sequence,
            "reason": reason,
        }
        header = self.header(lane, 1, keys.CLEAR)
        tag_key = keys.tag_key(self.seal_key(lane, header.generation))
        at.kept_from = max(at.kept_from, last + 1)
        return self._keep(lane, seal_tombstone(header, Tombstone(**{**fields, **other}), tag_key))

    def heartbeat(self, **other):
        """Return a sealed heartbeat with the present heads; other: fields to say something else in."""
        self.counter += 1
        fields = {
            "device": self.device,
            "generation": self.lanes[0].generation,
            "boot": self.boot,
            "counter": self.counter,
            "tick_ms": self.tick_ms,
            "epoch": self.epoch,
            "critical": self.lanes[0].head(),
            "routine": self.lanes[1].head(),
            "bundle": self.bundle,
            "health": {0: 1000},
        }
        heartbeat = Heartbeat(**{**fields, **other})
        key = keys.heartbeat_key(self.seal_key(0, heartbeat.generation))
        return seal_heartbeat(heartbeat, key)

    def read_receipt(self, raw) -> Receipt:
        """Verify a receipt as the device does and return its fields."""
        message = parse_receipt(raw)
        message.verify(keys.downlink_key(self.downlink, "receipt"))
        return message.fields

    def all_segments(self):
        """Return every segment of every lane and epoch, in the order of sealing within each."""
        return [segment for lane in [*self.past, *self.lanes] for segment in lane.segments]

    def _keep(self, lane, raw):
        at = self.lanes[lane]
        segment = parse_segment(raw)
        assert segment.header.number // generation_segments == at.number // generation_segments
        at.segments.append(segment)
        at.previous = segment.digest
        at.next_sequence = segment.header.next_sequence()
        return raw
