"""`python -m tests.drills.rogue_gateway PLAN run --config ...`: a real gateway in the wrong hands.

It holds what a gateway holds: the links' secrets, the token, its store; and no seal. What it does to each device stands in PLAN, a JSON
file: {"devices": {device in hex: kind}, "acts": file}. Each lie is a line there: when, about whom, which numbers.
Everything else is the gateway's own code.
"""

import json
import random
import sys
import time
from pathlib import Path

from gateway.collector import Collector, Reply
from gateway.uplink import Office
from protocol.cbor import dumps, loads
from protocol.coap import CHANGED
from protocol.errors import ProtocolError
from protocol.messages import encode_answer, parse_answer, parse_heartbeat
from protocol.segment import parse_segment
from protocol.uplink import (
    HEARTBEAT_TAKEN,
    STORED,
    encode_request,
    encode_uplink_answer,
    parse_request,
    parse_uplink_answer,
)

CONTROL = "none"
# A segment number in so many is lied about; the first of them has neighbours that are not.
_EVERY, _WHICH = 3, 1
# Far enough above every number of a drill.
_FAR = 1000
_KEPT = 40
# Ends the ciphertext, in front of a tag of 32 bytes and its head of two; and the tag.
_IN_BODY, _IN_TAG = -40, -1


def flip(raw: bytes, at: int) -> bytes:
    """Return raw with one bit flipped in the byte at a place."""
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)


def renumbered(raw: bytes, number: int) -> bytes:
    """Return a segment that is well-formed and names another number; its seal is of the true one."""
    protected, unprotected, payload, tag = loads(raw)
    header, body = loads(payload)
    header[4] = number
    return dumps([protected, unprotected, dumps([header, body]), tag])


def boasting(receipt: bytes, device: bytes, more: int) -> bytes:
    """Return a receipt that names a device and claims more numbers; its seal is of the true one."""
    protected, unprotected, payload, tag = loads(receipt)
    fields = loads(payload)
    fields[1] = device
    fields[4] += more
    return dumps([protected, unprotected, dumps(fields), tag])


class Lies:
    """What is said to the office of one device, in place of the truth. Each method: (segments, heartbeats) in, the same out.

    Segments and heartbeats are (place in the gateway's own request or None, raw). note(numbers): writes a lie down.
    """

    def __init__(self, note):
        self.note = note
        self.old = []
        self.old_beats = []
        self.kept_back = []

    def none(self, segments, beats):
        return segments, beats

    withhold_receipts = none

    def alter(self, segments, beats):
        """Flip a bit in some."""
        return self._each(segments, lambda at, raw: [(at, flip(raw, _IN_BODY))]), beats

    def drop(self, segments, beats):
        """Leave some out, and say nothing of it to its own store."""
        return self._each(segments, lambda at, raw: []), beats

    def insert(self, segments, beats):
        """Put segments between that no device sealed."""
        return self._each(
            segments, lambda at, raw: [(at, raw), (None, renumbered(raw, number_of(raw) + _FAR))]
        ), beats

    def fork(self, segments, beats):
        """Tell two different segments of some numbers, the true one first."""
        return self._each(segments, lambda at, raw: [(at, raw), (None, flip(raw, _IN_TAG))]), beats

    def forge_first(self, segments, beats):
        """Tell two different segments of some numbers, the forged one first."""
        return self._each(segments, lambda at, raw: [(None, flip(raw, _IN_TAG)), (at, raw)]), beats

    def forge_heartbeats(self, segments, beats):
        """Add to each heartbeat one that claims other heads."""
        self._note_if(beats, [])
        return segments, [one for at, raw in beats for one in ((None, flip(raw, _IN_BODY)), (at, raw))]

    def truncate(self, segments, beats):
        """Cut off the end: nothing from a number on ever arrives, heartbeats do."""
        cut = [number_of(raw) for _, raw in segments if number_of(raw) >= _EVERY]
        self._note_if(cut, cut)
        return [(at, raw) for at, raw in segments if number_of(raw) < _EVERY], beats

    def silence(self, segments, beats):
        """Let nothing of the device through any more."""
        self._note_if([*segments, *beats], [])
        return [], []

    def reorder(self, segments, beats):
        """Keep segments back, and bring them in the wrong order."""
        self.kept_back += [raw for _, raw in segments]
        if len(self.kept_back) < 2 * _EVERY:
            return [], beats
        late, self.kept_back = self.kept_back, []
        self._note_if(late, [number_of(raw) for raw in late])
        return [(None, raw) for raw in reversed(late)], beats

    def replay(self, segments, beats):
        """Bring old segments and heartbeats again."""
        again = random.sample(self.old, min(3, len(self.old)))
        again_beats = random.sample(self.old_beats, min(2, len(self.old_beats)))
        self._note_if([*again, *again_beats], [number_of(raw) for raw in again])
        self.old = (self.old + [raw for _, raw in segments])[-_KEPT:]
        self.old_beats = (self.old_beats + [raw for _, raw in beats])[-_KEPT:]
        return segments + [(None, raw) for raw in again], beats + [(None, raw) for raw in again_beats]

    def false_custody(self, segments, beats):
        """Keep everything for itself; what it tells the device is in Answers."""
        numbers = [number_of(raw) for _, raw in segments]
        self._note_if(numbers, numbers)
        return [], beats

    false_custody_full_ring = forge_receipts = false_custody

    def _each(self, segments, lie):
        said = []
        for at, raw in segments:
            if number_of(raw) % _EVERY == _WHICH:
                self.note([number_of(raw)])
                said += lie(at, raw)
            else:
                said.append((at, raw))
        return said

    def _note_if(self, what, numbers):
        if what:
            self.note(numbers)


class Answers:
    """What a device is told, in place of the truth: each method takes and returns an `Answer`."""

    def __init__(self, note, device):
        self.note = note
        self.device = device
        self.old = []
        self.receipts = {}

    def false_custody(self, answer):
        """Custody of whatever the device may ever have."""
        self.note([])
        answer.custody = [(lane, epoch, mark + _FAR) for lane, epoch, mark in answer.custody]
        return answer

    false_custody_full_ring = false_custody

    def withhold_receipts(self, answer):
        """No receipt ever."""
        if answer.receipts:
            self.note([])
        answer.receipts = []
        return answer

    def forge_receipts(self, answer):
        """Receipts made up of another device's, which are true."""
        made = [boasting(raw, self.device, more) for raw in self.receipts.values() for more in (0, _FAR)]
        self.note([])
        answer.receipts = made[:2] or [bytes(60)]
        return answer

    def replay(self, answer):
        """An old answer, now and then."""
        self.old = [*self.old, answer][-_KEPT:]
        return random.choice(self.old)


class Rogue:
    """Puts itself over the gateway's uplink and its answers."""

    def __init__(self, plan):
        self._kinds = {bytes.fromhex(device): kind for device, kind in plan["devices"].items()}
        self._acts = Path(plan["acts"])
        self._lies = {device: Lies(self._noting(device)) for device in self._kinds}
        self._answers = {device: Answers(self._noting(device), device) for device in self._kinds}
        self._true_receipts = {}

    def _noting(self, device):
        def note(numbers):
            with self._acts.open("a") as file:
                file.write(json.dumps([int(time.time() * 1000), device.hex(), numbers]) + "\n")

        return note

    def take_over(self):
        """Replace what the gateway says, both ways."""
        true_post, rogue = Office.post, self

        async def post(office, body):
            return await rogue.post(lambda said: true_post(office, said), body)

        Office.post = post
        for name in ("segment", "heartbeat"):
            setattr(Collector, name, self._answering(getattr(Collector, name)))

    async def post(self, true_post, body):
        """Send another request than the gateway's own; return an answer that fits its own."""
        segments, beats = parse_request(body)
        sent, sent_beats = self._said(list(enumerate(segments)), list(enumerate(beats)))
        answer = parse_uplink_answer(
            await true_post(encode_request([r for _, r in sent], [r for _, r in sent_beats]))
        )
        for raw in answer.receipts:
            fields = loads(loads(raw)[2])
            if self._kinds.get(fields[1]) == CONTROL:
                self._true_receipts[fields[2]] = raw
        # Its own store is told that all went well.
        answer.outcomes = [STORED] * len(segments)
        answer.heartbeat_outcomes = [HEARTBEAT_TAKEN] * len(beats)
        return encode_uplink_answer(answer)

    def _said(self, segments, beats):
        sent, sent_beats = [], []
        for device, kind in self._kinds.items():
            mine = [pair for pair in segments if parse_segment(pair[1]).header.device == device]
            my_beats = [pair for pair in beats if parse_heartbeat(pair[1]).fields.device == device]
            lied = getattr(self._lies[device], kind)(mine, my_beats)
            sent += lied[0]
            sent_beats += lied[1]
        return sent, sent_beats

    def _answering(self, honest):
        rogue = self

        async def answer(collector, device, payload, *more):
            return rogue.lie(device, await honest(collector, device, payload, *more))

        return answer

    def lie(self, device, reply):
        """Return another reply than the honest one."""
        answers = self._answers[device]
        change = getattr(answers, self._kinds[device], None)
        if change is None or reply.code != CHANGED:
            return reply
        answers.receipts = self._true_receipts
        try:
            payload = encode_answer(change(parse_answer(reply.payload)))
        except ProtocolError:
            return reply
        return Reply(CHANGED, payload)


def number_of(raw):
    """Return a segment's number."""
    return parse_segment(raw).header.number


if __name__ == "__main__":
    planned = json.loads(Path(sys.argv.pop(1)).read_text())
    Rogue(planned).take_over()
    from gateway.cli import main

    main()
