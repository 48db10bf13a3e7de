"""One lap of the device benchmark, a process of MicroPython: `lap.py settings.json`. Prints one JSON object.

who "agent": the very agent, sample to sealed flash. who "usual": the same engine with rules as closures, each event encoded as
JSON and appended to a file of littlefs. Both get the same readings from memory and the same rules.

What is counted: the samples, decisions, actions and refusals that these readings make under these rules. They are worked out
again once the clock has stopped, since the ring and the files give up their oldest in a long lap, and since a device cannot open
what it sealed under an earlier day's key. Against that stands what lies on the flash then: of the agent, that the headers of its
segments continue each other and number at least so many events (its own housekeeping is among them); of the usual way, that each
file holds the lines that were written to it. That both keep the very same events, one by one, a test shows on a short lap.

each true: every event is durable before the next sample. each false: decisions at once, samples a hundred together or when a
segment is full.

Settings: who, medium ("ram" or "file"), flash (a file, for medium "file"), sectors, rows, samples, each, events (whether to
print every event that was kept), schema and bundle (hex).
"""

import gc
import hashlib
import json
import sys
import time
from binascii import hexlify, unhexlify

from agent.aes import Aes128
from agent.flash import SECTOR_BYTES, FileFlash, RamFlash
from protocol.event import ACTION, DECISION, REFUSAL, SAMPLE, decode_events
from protocol.keys import LANES
from protocol.segment import parse_segment
from rules.bundle import read_bundle
from rules.engine import D_ACTS, Engine
from rules.guard import ALLOWED
from tools.bench.micropython import closures, paced_agent
from tools.bench.micropython.event_files import EventFiles, FileBlocks, RamBlocks

_RULE_TICK_MS = 100
# Samples between two receipts, and between two flushes of who does not flush each event.
_RECEIPT_SAMPLES = 64
_FLUSH_SAMPLES = 100
_COMPARED = (SAMPLE, DECISION, ACTION, REFUSAL)
_GOOD, _MISSING = 0, 1
_DONE = 0


def _agent(settings: dict) -> dict:
    flash = _flash(settings)
    paced_agent.provision(flash, b"s" * 32, b"v" * 32, b"d" * 32)
    wait_ms = paced_agent.AT_ONCE_MS if settings["each"] else paced_agent.WHEN_FULL_MS
    schema, bundle = unhexlify(settings["schema"]), unhexlify(settings["bundle"])
    sensor = paced_agent.Rows(settings["rows"])
    agent = paced_agent.boot(flash, "00" * 8, sensor, Aes128, schema, bundle, wait_ms)
    before = (flash.erases, flash.programmed)
    gc.collect()
    started = time.ticks_us()
    for number in range(settings["samples"]):
        agent.turn()
        if number % _RECEIPT_SAMPLES == 0:
            agent.note_receipts()
    agent.seal_all()
    us = time.ticks_diff(time.ticks_us(), started)
    said = {"us": us, "erases": flash.erases - before[0], "programmed": flash.programmed - before[1]}
    said["count"] = _expected(settings)
    assert agent.sealed_events() >= said["count"]
    if settings["events"]:
        said["events"] = _sealed(agent)
    return said


def _flash(settings: dict):
    """Return a flash whose journal was written before, as after the first turn of a ring: each sector costs its erase."""
    used = paced_agent.used_image(settings["sectors"])
    sectors = len(used) // SECTOR_BYTES
    if settings["medium"] == "ram":
        return RamFlash(sectors, used)
    with open(settings["flash"], "wb") as file:
        file.write(used)
    return FileFlash(settings["flash"], sectors)


def _expected(settings: dict) -> int:
    """Return how many events these readings and rules make: the agent seals its own housekeeping beside them."""
    counted = []
    _decide(settings, Engine(read_bundle(unhexlify(settings["bundle"]))), counted.append, lambda is_due: None)
    return len(counted)


def _sealed(agent) -> list:
    events = []
    for lane in LANES:
        for raw in agent.segments(lane):
            segment = parse_segment(raw)
            if segment.tombstone is not None:
                continue
            keys = agent.view_keys(segment.header.view_class, segment.header.period)
            plaintext = segment.open_body(keys[0], keys[1], agent.ctr)
            events += decode_events(plaintext, segment.header.count)[1]
    events.sort()
    return [_plain(event) for event in events if event[2] in _COMPARED]


def _plain(event: tuple) -> list:
    fields = list(event[3])
    if event[2] != SAMPLE:
        fields = fields[1:]
    if event[2] == DECISION:
        fields[2] = hexlify(fields[2]).decode()
    return [event[1], event[2], fields]


def _usual(settings: dict) -> dict:
    sectors = settings["sectors"]
    is_file = settings["medium"] == "file"
    blocks = FileBlocks(settings["flash"], sectors) if is_file else RamBlocks(sectors)
    files = EventFiles(blocks)
    engine = Engine(read_bundle(unhexlify(settings["bundle"])), closures.kernel)
    before = (blocks.erases, blocks.programmed)
    is_each = settings["each"]

    def write(event):
        files.write(event)
        if is_each:
            files.flush()

    def flush(is_due):
        if is_due:
            files.flush()

    gc.collect()
    started = time.ticks_us()
    _decide(settings, engine, write, flush)
    files.flush()
    us = time.ticks_diff(time.ticks_us(), started)
    said = {"us": us, "erases": blocks.erases - before[0], "programmed": blocks.programmed - before[1]}
    said["count"] = files.stored()
    assert said["count"] == files.written
    if settings["events"]:
        said["events"] = files.read()
    return said


def _decide(settings: dict, engine, write, flush) -> None:
    """Take the samples, and write each event; flush(is_due) after each sample, due with a decision or when many wait."""
    rows = settings["rows"]
    digest = hexlify(hashlib.sha256(unhexlify(settings["bundle"])).digest()).decode()
    tick_ms = 0
    for number in range(settings["samples"]):
        tick_ms += paced_agent.SAMPLE_MS
        values = rows[number % len(rows)]
        qualities = [_MISSING if value is None else _GOOD for value in values]
        write([tick_ms, SAMPLE, [values, qualities]])
        good = 0
        for channel in range(len(values)):
            if values[channel] is not None:
                good |= 1 << channel
        now = tick_ms // _RULE_TICK_MS
        decisions = engine.sample(now, values, good, trusted_time=False, online=False)
        for decision in decisions:
            write([tick_ms, DECISION, list(decision[:2]) + [digest] + list(decision[2:])])
            for action, value, verdict, _last in decision[D_ACTS]:
                kind, result = (ACTION, _DONE) if verdict == ALLOWED else (REFUSAL, verdict)
                write([tick_ms, kind, [action, value, result]])
        flush(decisions or number % _FLUSH_SAMPLES == _FLUSH_SAMPLES - 1)


def main(path: str) -> None:
    """Run the lap that a file of settings asks for."""
    with open(path) as file:
        settings = json.load(file)
    run = {"agent": _agent, "usual": _usual}[settings["who"]]
    print(json.dumps(run(settings)))


if __name__ == "__main__":
    main(sys.argv[1])
