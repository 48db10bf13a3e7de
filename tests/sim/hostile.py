"""A gateway in the wrong hands. It holds the link secrets and no seal: what it can do is withhold, replay, forge, reorder, truncate."""

from gateway.collector import Reply
from protocol.cbor import dumps
from protocol.coap import CHANGED
from protocol.errors import ProtocolError
from protocol.messages import encode_answer, parse_answer
from protocol.uplink import (
    QUARANTINED,
    STORED,
    encode_request,
    encode_uplink_answer,
    parse_request,
    parse_uplink_answer,
)
from tests.sim.site_plan import token_of

KINDS = (
    "withhold",
    "forge",
    "reorder",
    "replay",
    "truncate",
    "false custody",
    "withhold receipts",
    "old answers",
    "old commands",
    "other rules",
)

# Of the rules of each release, in their bytes.
_THRESHOLDS = {dumps(low): dumps(low + 1) for low in (8800, 9000, 9200)}


class Hostile:
    """kinds: what it does. It lies to the office in uplink() and to devices through collector()."""

    def __init__(self, gateway, kinds, random):
        self._gateway = gateway
        self._kinds = kinds
        self._random = random
        self._old_segments = []
        self._old_answers = []

    # ---- to the office

    def uplink(self, token, body):
        """Send another request than the gateway's own, and give the gateway an answer that fits its own."""
        assert token == token_of(self._gateway.site_name)
        segments, heartbeats = parse_request(body)
        sent = self._bent(segments)
        self._old_segments = (self._old_segments + segments)[-40:]
        kind, raw = self._gateway.world.office.uplink(
            token, encode_request([raw for _, raw in sent], heartbeats)
        )
        return (kind, self._patched(raw, sent, len(segments))) if kind == "ok" else (kind, raw)

    def _bent(self, segments):
        """Return (place among the segments or None, bytes) of what it sends in their place."""
        sent = [(at, raw) for at, raw in enumerate(segments) if not self._does("withhold")]
        self._lied("withhold", len(segments) - len(sent))
        if "truncate" in self._kinds and sent:
            kept = self._random.randrange(len(sent) + 1)
            self._lied("truncate", len(sent) - kept)
            sent = sent[:kept]
        sent = [(at, self._forged(raw)) if self._does("forge") else (at, raw) for at, raw in sent]
        if "replay" in self._kinds and self._old_segments:
            sent += [(None, self._random.choice(self._old_segments)) for _ in range(2)]
            self._lied("replay", 2)
        if "reorder" in self._kinds:
            before = list(sent)
            self._random.shuffle(sent)
            self._lied("reorder", sent != before)
        return sent

    def _lied(self, kind, times=1):
        self._gateway.world.history.happened[f"gateway lied: {kind}"] += times

    def _patched(self, raw, sent, count):
        answer = parse_uplink_answer(raw)
        outcomes = [STORED] * count
        for (at, _), outcome in zip(sent, answer.outcomes, strict=True):
            # It keeps from its own store that the office refused what it had forged.
            if at is not None and outcome < QUARANTINED:
                outcomes[at] = outcome
        answer.outcomes = outcomes
        return encode_uplink_answer(answer)

    def _does(self, kind):
        return kind in self._kinds and self._random.random() < 0.3

    def _forged(self, raw):
        self._lied("forge")
        at = self._random.randrange(len(raw))
        return raw[:at] + bytes([raw[at] ^ 1 << self._random.randrange(8)]) + raw[at + 1 :]

    # ---- to devices

    def collector(self, honest):
        """Return what answers devices in its place."""
        return _Liar(self, honest)

    def lie(self, reply):
        """Return another reply than the honest one."""
        if reply.code != CHANGED:
            return reply
        answer = parse_answer(reply.payload)
        if "false custody" in self._kinds:
            true_custody = answer.custody
            answer.custody = [
                (lane, epoch, mark + self._random.randrange(40)) for lane, epoch, mark in true_custody
            ]
            self._lied("false custody", answer.custody != true_custody)
        if "withhold receipts" in self._kinds:
            self._lied("withhold receipts", len(answer.receipts))
            answer.receipts = []
        if "forge" in self._kinds and answer.receipts:
            answer.receipts = [self._forged(raw) for raw in answer.receipts]
        if "old commands" in self._kinds:
            answer.command = 1 << 30
        encoded = encode_answer(answer)
        if "old answers" in self._kinds:
            self._old_answers = [*self._old_answers, reply.payload][-20:]
            encoded = self._random.choice(self._old_answers)
            self._lied("old answers", encoded != reply.payload)
        try:
            parse_answer(encoded)
        except ProtocolError:
            return reply
        return Reply(CHANGED, encoded)

    # ---- what goes down

    def delivery(self, honest):
        """Return what answers GETs in its place."""
        return _Deceiver(self, honest)

    def rules(self, reply):
        """Return a part of a release in which another threshold stands; its signature is over the true one."""
        if "other rules" not in self._kinds:
            return reply
        payload = reply.payload
        for true, other in _THRESHOLDS.items():
            payload = payload.replace(true, other)
        self._lied("other rules", payload != reply.payload)
        return reply._replace(payload=payload)

    def command(self, device, reply):
        """Return a command that the device was given before, where there is one."""
        if reply.payload:
            self._gateway.world.overheard_commands.setdefault(device, []).append(reply)
        old = self._gateway.world.overheard_commands.get(device)
        if not old or "old commands" not in self._kinds:
            return reply
        given = self._random.choice(old)
        self._lied("old commands", given.payload != reply.payload)
        return given


class _Deceiver:
    def __init__(self, hostile, honest):
        self._hostile = hostile
        self._honest = honest

    def get(self, device, path, block):
        reply = self._honest.get(device, path, block)
        if path[:1] == [b"c"]:
            return self._hostile.command(device, reply)
        return self._hostile.rules(reply)


class _Liar:
    def __init__(self, hostile, honest):
        self._hostile = hostile
        self._honest = honest

    async def segment(self, device, payload, bulk_in_s=0):
        return self._hostile.lie(await self._honest.segment(device, payload))

    async def heartbeat(self, device, payload, bulk_in_s=0):
        return self._hostile.lie(await self._honest.heartbeat(device, payload))
