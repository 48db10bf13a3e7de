"""A gateway and an office in memory, behind the same bytes as the real ones: what the agent is tested against.

It is the device's link: what send() takes is decrypted, kept and answered. It verifies every segment with the device's own first
keys, as the office does, and gives receipts and time tokens for what verified. It holds releases and commands, and names the wanted
one in its answers; `meddle` lets a test answer otherwise than an honest gateway would.
"""

import asyncio
import hashlib
from collections import deque

from protocol import coap
from protocol.aead import ctr
from protocol.aes_host import Aes128
from protocol.blockwise import decode_block, encode_block
from protocol.errors import ProtocolError
from protocol.event import decode_events
from protocol.keys import downlink_key, heartbeat_key, tag_key
from protocol.messages import (
    Answer,
    Receipt,
    TimeToken,
    encode_answer,
    parse_heartbeat,
    seal_receipt,
    seal_time_token,
)
from protocol.oscore import OscoreContext, ReplayWindow, decode_option
from protocol.segment import check_first, check_follows, parse_segment
from tests.agent.model_keys import ModelKeys

MAX_AGE_S = 7


def block_of(body, number, size=512, etag=None):
    """Return the answer with one block of a body: (code, options, payload)."""
    block = body[number * size : (number + 1) * size]
    is_more = (number + 1) * size < len(body)
    etag = hashlib.sha256(body).digest()[:8] if etag is None else etag
    return coap.CONTENT, [(coap.ETAG, etag), (coap.BLOCK2, encode_block(number, is_more, size))], block


class ModelGateway:
    """Attributes that tests set: is_down, lose_answers (that many next), refused_lanes, gives_receipts,
    hangs (never answers, never times out), knows_nobody (for so many requests), gives_time,
    time_error_ms (how well the office knows its own time).

    releases: number -> (release, [bodies of its parts]); wanted: number that answers name, or None. commands: number -> sealed; replacements: number -> what a command names;
    newest: number that answers name, None for the highest held. meddle(path, number of the block, answer) -> answer, each
    (code, options, payload). gets: paths that were asked for; order: those of all requests. late_s: how long answers to GET take. deaf_to: digest of a
    bundle whose heartbeats are not answered as they should be.
    """

    def __init__(self, clock, device, kid, secret, seal_keys, ratchets, downlink):
        self.clock = clock
        self.device = device
        # sender ID -> secret of every link that is served; kids: those of all verified requests, as they change.
        self.links = {kid: secret}
        self.kids = []
        self.keys = ModelKeys(device, seal_keys, ratchets, downlink)
        self.is_down = False
        self.lose_answers = 0
        self.refused_lanes = ()
        self.gives_receipts = True
        self._opened = {}
        self.segments = {}
        # (lane, epoch) -> highest number that a receipt was given for.
        self.receipted = {}
        self.received = []
        self.heartbeats = []
        self.raw_heartbeats = []
        self.duplicates = 0
        self.unprotected = 0
        self.sequences = []
        self.hangs = False
        self.knows_nobody = 0
        self.refusals = []
        self.contexts = {}
        self.highest = {}
        self.sent_answers = []
        self.replayed_answer = None
        self._numbers = 0
        self.queue = deque()
        self.gives_time = True
        # Seconds that answers say that what can wait has to; None: it may go.
        self.bulk_s = None
        self.time_error_ms = 5
        self.releases = {}
        # number -> files of the agent that the release brings, as they travel; files_sent: which were asked for, block by block.
        self.files = {}
        self.files_sent = []
        self.wanted = None
        self.commands = {}
        self.replacements = {}
        self.newest = None
        self.meddle = None
        self.deaf_to = None
        self.gets = []
        self.order = []
        self.late_s = 0
        self._due = None
        # As every link counts: datagrams of all boots, both ways.
        self.sent_bytes = self.received_bytes = self.lost = 0

    # ---- the link

    def send(self, datagram):
        self.sent_bytes += len(datagram)
        if self.is_down:
            return
        answer = self._serve(datagram)
        if self.lose_answers:
            self.lose_answers -= 1
        elif answer is not None:
            self.queue.append(answer)

    async def recv(self, timeout_ms):
        if self.hangs:
            await asyncio.Event().wait()
        late = 0 if self._due is None else self._due - self.clock.now
        if not self.queue or late > timeout_ms / 1000:
            await asyncio.sleep(timeout_ms / 1000)
            return None
        if late > 0:
            await asyncio.sleep(late)
        self._due = None
        self.received_bytes += len(self.queue[0])
        return self.queue.popleft()

    # ---- the gateway

    def _serve(self, datagram):
        message = coap.decode(datagram)
        _, kid, id_context = decode_option(coap.option(message.options, coap.OSCORE))
        if kid not in self.links:
            return self._refuse(message)
        if self.knows_nobody:
            self.knows_nobody -= 1
            return self._refuse(message)
        if (kid, id_context) not in self.contexts:
            context = OscoreContext(
                Aes128, self.links[kid], b"", kid, self._next_sequence, id_context=id_context
            )
            self.contexts[kid, id_context] = (context, ReplayWindow(), {})
        context, window, answered = self.contexts[kid, id_context]
        if datagram in answered:
            # A retransmission: the same datagram gets the same answer (RFC 7252 section 4.2).
            return answered[datagram]
        try:
            request, exchange = context.unprotect_request(message, window)
        except ProtocolError:
            return self._refuse(message)
        if self.kids[-1:] != [kid]:
            self.kids.append(kid)
        self.sequences.append((id_context, exchange.sequence()))
        self.order.append("/".join(v.decode() for n, v in request.options if n == coap.URI_PATH))
        if request.code == coap.GET:
            code, options, payload = self._get(request.options)
        else:
            path = coap.option(request.options, coap.URI_PATH)
            code, options, payload = self._answer(path, request.payload)
        inner = coap.Message(coap.ACK, code, message.message_id, message.token, options, payload)
        answered[datagram] = coap.encode(context.protect_response(inner, exchange))
        return answered[datagram]

    def _refuse(self, message):
        self.unprotected += 1
        return coap.encode(coap.Message(coap.ACK, coap.UNAUTHORIZED, message.message_id, message.token))

    def _next_sequence(self):
        self._numbers += 1
        return self._numbers

    def _answer(self, path, payload):
        if path == b"h":
            self._take_heartbeat(payload)
            if self.heartbeats[-1].bundle[1] == self.deaf_to:
                return coap.SERVICE_UNAVAILABLE, [], b""
        else:
            segment = parse_segment(payload)
            if segment.header.lane in self.refused_lanes:
                self.refusals.append((self.clock.now, segment.header.lane))
                return coap.SERVICE_UNAVAILABLE, [(coap.MAX_AGE, coap.uint_value(MAX_AGE_S))], b""
            self._take_segment(segment)
        encoded = encode_answer(self._make_answer(path == b"h"))
        self.sent_answers.append(encoded)
        if self.replayed_answer is not None:
            encoded = self.replayed_answer
        return coap.CHANGED, [], encoded

    # ---- what goes down

    def _get(self, options):
        path = "/".join(value.decode() for number, value in options if number == coap.URI_PATH)
        self.gets.append(path)
        block = coap.option(options, coap.BLOCK2)
        number, _, size = decode_block(block) if block is not None else (0, False, 512)
        answer = self._block(path, number, size) if path[0] == "r" else self._command(path, number, size)
        if self.late_s:
            self._due = self.clock.now + self.late_s
        return answer if self.meddle is None else self.meddle(path, number, answer)

    def _command(self, path, number, size):
        words = [int(word) for word in path.split("/")[1:]]
        if len(words) == 2:
            body = self.replacements.get(words[0])
            return (coap.NOT_FOUND, [], b"") if body is None else block_of(body, number, size)
        floor = words[0]
        waiting = [number for number in sorted(self.commands) if number >= floor]
        if not waiting:
            return coap.NOT_FOUND, [], b""
        return coap.CONTENT, [], self.commands[waiting[0]]

    def _block(self, path, number, size):
        words = [int(word) for word in path.split("/")[1:]]
        if words[0] not in self.releases:
            return coap.NOT_FOUND, [], b""
        release, bodies = self.releases[words[0]]
        if len(words) == 3:
            self.files_sent.append(words[2])
            return block_of(self.files[words[0]][words[2]], number, size)
        return block_of(release if len(words) == 1 else bodies[words[1]], number, size)

    def name_what_waits(self, answer):
        """Name the wanted release and the newest command in an answer."""
        answer.release = self.wanted
        answer.bulk_s = self.bulk_s
        answer.command = self.newest or max(self.commands, default=None)

    def _take_heartbeat(self, payload):
        message = parse_heartbeat(payload)
        self.keys.verify(message, 0, message.fields.generation, heartbeat_key)
        self.heartbeats.append(message.fields)
        self.raw_heartbeats.append(payload)

    def _take_segment(self, segment):
        header = segment.header
        self.keys.verify(segment, header.lane, header.generation, tag_key)
        key = header.lane, header.epoch, header.number
        self.received.append(key)
        if key in self.segments:
            assert self.segments[key].digest == segment.digest, f"fork at {key}"
            self.duplicates += 1
        self.segments[key] = segment
        self.highest[header.lane] = max(self.highest.get(header.lane, 0), header.generation)

    def watermark(self, lane, epoch):
        lost = self.lost_below(lane, epoch)
        number = 0
        while (lane, epoch, number) in self.segments or number in lost:
            number += 1
        return number

    def lost_below(self, lane, epoch):
        """Return the numbers that tombstones of a lane cover."""
        covered = set()
        for (of, in_epoch, _), segment in self.segments.items():
            if (of, in_epoch) == (lane, epoch) and segment.tombstone is not None:
                covered |= set(range(segment.tombstone.first, segment.tombstone.last + 1))
        return covered

    def _make_answer(self, is_to_heartbeat):
        if not self.heartbeats:
            return Answer()
        beat = self.heartbeats[-1]
        answer = Answer()
        for lane in (0, 1):
            mark = self.watermark(lane, beat.epoch)
            answer.custody.append((lane, beat.epoch, mark))
            head = beat.head(lane)
            if is_to_heartbeat and head is not None and mark <= head[1]:
                held = [n for n in range(mark, head[1] + 1) if (lane, beat.epoch, n) in self.segments]
                top = max(held, default=mark)
                missing = [n for n in range(max(mark, head[0]), top) if n not in held][:4]
                answer.wants += [(lane, beat.epoch, n, n + 1) for n in missing]
            if mark and self.gives_receipts and (lane, beat.epoch, mark - 1) in self.segments:
                self.receipted[(lane, beat.epoch)] = max(mark - 1, self.receipted.get((lane, beat.epoch), -1))
                digest = self.segments[(lane, beat.epoch, mark - 1)].digest
                generation = self.highest[lane]
                receipt = Receipt(self.device, lane, beat.epoch, mark - 1, digest, generation)
                answer.receipts.append(seal_receipt(receipt, downlink_key(self.keys.downlink, "receipt")))
        if self.gives_time:
            token = TimeToken(self.device, beat.boot, beat.counter, self.clock.wall_ms(), self.time_error_ms)
            answer.time_token = seal_time_token(token, downlink_key(self.keys.downlink, "time"))
        self.name_what_waits(answer)
        return answer

    # ---- the office

    def check_chains(self):
        """Check that what arrived of each lane and epoch is one chain from its genesis, tombstones aside."""
        for lane, epoch in {key[:2] for key in self.segments}:
            numbers = sorted(
                number for of, of_epoch, number in self.segments if (of, of_epoch) == (lane, epoch)
            )
            for number in numbers:
                header = self.segments[(lane, epoch, number)].header
                if number == 0:
                    check_first(header)
                elif number - 1 in numbers:
                    before = self.segments[(lane, epoch, number - 1)]
                    check_follows(header, before.header, before.digest)

    def events(self, lane=None, epoch=None):
        """Return (boot, event) of all held segments, in the order of events."""
        found = []
        # A list of them: another thread may be serving this gateway.
        for key, segment in list(self.segments.items()):
            if segment.tombstone is None and lane in (None, key[0]) and epoch in (None, key[1]):
                found += self.events_of(key, segment)
        return sorted(found, key=lambda item: item[1][0])

    def events_of(self, key, segment):
        """Return (boot, event) of a held segment, opened once: every look at a long run would open them all again."""
        held, found = self._opened.get(key, (None, None))
        if held is not segment:
            boot, events = decode_events(self.open(segment), segment.header.count)
            found = [(boot, event) for event in events]
            self._opened[key] = (segment, found)
        return found

    def open(self, segment):
        """Return the plaintext of a held segment."""
        body, iv = self.keys.body_keys(segment.header.view_class, segment.header.period)
        return segment.open_body(body, iv, lambda key, block, text: ctr(Aes128(key), block, text))
