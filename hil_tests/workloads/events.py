"""Many events through the whole agent, receipted as an office does it: what of the heap stays free, what flash pays."""

import gc
import time
from hashlib import sha256

import board_main

from hil_tests.workloads.agent_here import Steps, boot, sample_once
from protocol.keys import LANES
from protocol.messages import Receipt
from protocol.segment import parse_segment

# As board_device does.
COLLECT_BYTES = 16384
EXACT_BYTES = 1024
# As many as an agent that is behind takes in one turn.
TURN_SAMPLES = 8
RECEIPT_SAMPLES = 64


def largest_free(refused):
    """Return the bytes of the largest free piece of the heap, to the KiB, by trying; add to refused how often one was too large."""
    gc.collect()
    low, high = 0, gc.mem_free()
    while high - low > EXACT_BYTES:
        middle = (low + high) // 2
        try:
            bytearray(middle)
            low = middle
        except MemoryError:
            refused[0] += 1
            high = middle
        gc.collect()
    return low


def look(agent, flash, started_us, refused):
    """Return [events, heap free, largest free piece, bytes programmed, sectors erased, microseconds since started_us]."""
    spent_us = time.ticks_diff(time.ticks_us(), started_us)
    largest = largest_free(refused)
    seen = [agent._journal.order, gc.mem_free(), largest, flash.programmed, flash.erases, spent_us]
    # For who waits until the end.
    print(seen)
    return seen


def receipt(agent):
    """Let the journal hear that the office has all that was sealed."""
    journal = agent._journal
    for lane in LANES:
        number = journal.lanes[lane].next_number - 1
        raw = journal.read(lane, number) if number > journal.lanes[lane].receipt else None
        if raw is not None:
            generation = parse_segment(raw).header.generation
            of = (journal.device, lane, journal.epoch, number, sha256(raw).digest(), generation)
            journal.note_receipt(Receipt(*of))


def measure(events, looks):
    """Record so many events, and return what look() saw after each looks-th part of them."""
    gc.threshold(COLLECT_BYTES)
    items = board_main.read_settings()
    clock = Steps(items["sample_ms"] // items["clock_scale"])
    agent, flash = boot(items, clock, lambda name: None)
    refused = [0]
    seen = [look(agent, flash, time.ticks_us(), refused)]
    for part in range(1, looks + 1):
        started_us = time.ticks_us()
        while agent._journal.order < events * part // looks:
            sample_once(agent, clock, TURN_SAMPLES)
            if clock.steps % RECEIPT_SAMPLES == 0:
                receipt(agent)
        seen.append(look(agent, flash, started_us, refused))
    return {"seen": seen, "samples": clock.steps, "refused": refused[0]}
