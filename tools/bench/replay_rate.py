"""How many recorded decisions a second are decided again, from nothing but what they carry.

The anchor is SHA-256 over the bytes of the same decisions: the least that anybody does who checks a log. The interpreter is
the specification in code, which a translated rule must never differ from. The last contender goes the auditor's whole way, from
the sealed segment: seal, decryption, decoding, and then the replay.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from office_ingest.prove.replay import read_decision
from office_ingest.receive.body import open_events
from protocol.cbor import dumps
from protocol.event import DECISION
from protocol.keys import CRITICAL, seal_ahead, seal_start, tag_key, view_key, view_next, view_start
from protocol.segment import Segment, parse_segment
from rules import interpreter
from rules.bundle import read_bundle
from rules.replay import StepReplay
from rules.translate import kernel
from tools.bench.fleet import BUNDLE, SealedDevice, Tell
from tools.bench.race import Case, Contender, Lap, race


class Recorded(NamedTuple):
    """One decision as the office holds it: the sealed segment, the keys that open it, and what the engine made."""

    raw: bytes
    seal_key: bytes
    body_key: bytes
    made: tuple[Any, ...]
    encoded: bytes


def run(fleet: list[SealedDevice], rounds: int, tell: Tell, decisions: int) -> list[Case]:
    """Return the case. decisions: how many in a lap, those of the fleet again and again."""
    found = [recorded for device in fleet for recorded in decisions_of(device)]
    work = [found[at % len(found)] for at in range(decisions)]
    runners = [
        Contender(
            "outstation",
            "step replay: state restored, rule run, all ten fields compared",
            lambda: _step(work, kernel),
        ),
        Contender(
            "interpreter",
            "the same by walking the tree: the judge of the above",
            lambda: _step(work, interpreter.kernel),
        ),
        Contender(
            "sealed bytes", "seal, decryption and decoding first, then step replay", lambda: _sealed(work)
        ),
        Contender("SHA-256", "the same decisions' bytes hashed, one by one", lambda: _hash(work)),
    ]
    return [
        race(
            "step replay",
            "decisions/s",
            runners,
            rounds,
            tell,
            "one thread, decisions of the demonstration's rules",
        )
    ]


def decisions_of(device: SealedDevice) -> list[Recorded]:
    """Return the decisions that a device sealed, one for each segment of its critical lane that begins with one."""
    found = []
    keys: dict[int, bytes] = {}
    for raw in device.lanes[CRITICAL]:
        segment = parse_segment(raw)
        body = _view(device, segment)
        order, _, kind, fields = open_events(segment, body)[1][0]
        if kind != DECISION:
            continue
        generation = segment.header.generation
        if generation not in keys:
            keys[generation] = tag_key(seal_ahead(seal_start(device.seal_root, CRITICAL), generation))
        decision = read_decision(order, fields)
        assert decision is not None
        found.append(Recorded(raw, keys[generation], body, decision.made, dumps(list(decision.made))))
    return found


def _view(device: SealedDevice, segment: Segment) -> bytes:
    ratchet = view_start(device.view_root, segment.header.view_class)
    for _ in range(segment.header.period):
        ratchet = view_next(ratchet)
    return view_key(ratchet)


def _step(work: list[Recorded], make_kernel: Callable[[Any], Any]) -> Lap:
    replay = StepReplay(read_bundle(BUNDLE), make_kernel)
    equal = 0
    started = time.perf_counter()
    for recorded in work:
        equal += not replay.differences(recorded.made)
    return Lap(equal, time.perf_counter() - started)


def _sealed(work: list[Recorded]) -> Lap:
    replay = StepReplay(read_bundle(BUNDLE))
    equal = 0
    started = time.perf_counter()
    for recorded in work:
        segment = parse_segment(recorded.raw)
        segment.verify(recorded.seal_key)
        order, _, _, fields = open_events(segment, recorded.body_key)[1][0]
        decision = read_decision(order, fields)
        equal += decision is not None and not replay.differences(decision.made)
    return Lap(equal, time.perf_counter() - started)


def _hash(work: list[Recorded]) -> Lap:
    digests = set()
    started = time.perf_counter()
    for recorded in work:
        digests.add(hashlib.sha256(recorded.encoded).digest())
    seconds = time.perf_counter() - started
    assert digests == {hashlib.sha256(recorded.encoded).digest() for recorded in work}
    return Lap(len(work), seconds)
