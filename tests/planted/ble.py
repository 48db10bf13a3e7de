"""Broken variants of the link over BLE, at the device and at the gateway. tests/canary/test_ble.py shows that each is caught by its test.

FAULTS: name -> apply(patch), where patch(owner, name, value) replaces an attribute, as setattr does.
"""

import asyncio
from collections import deque

from agent.links import ble as device_ble
from agent.links.ble import BleStream
from gateway.links.ble import BleLink
from gateway.links.ble_peer import BlePeer
from gateway.links.ble_turns import Turns
from protocol.slipmux import FrameReader
from tests.planted.register import register

FAULTS, fault = register()


# ---- at the device


@fault
def join_halves_of_two_connections(patch):
    """The reader of frames goes on where the connection before ended."""
    patch(FrameReader, "abandon", lambda self: None)


@fault
def take_bytes_of_either_connection(patch):
    """Whether a connection ended while its bytes were read is not looked at."""

    def read(self, _n):
        self._tend()
        if not self._has_come:
            return None
        self._has_come = False
        piece = self._ble.gatts_read(self._down)
        self.life = self._lives
        return piece

    patch(BleStream, "read", read)
    patch(FrameReader, "abandon", lambda self: None)


@fault
def say_again_what_was_answered(patch):
    """An answer does not end the repetition of its question."""
    patch(BleStream, "heard", lambda self: None)


@fault
def leave_the_repetition_to_time(patch):
    """A connection that opens brings nothing of what the one before took with it."""
    true_tend = BleStream._tend

    def tend(self):
        if self._lives != self.life:
            self._at = len(self._frame)
            self.life = self._lives
        true_tend(self)

    patch(BleStream, "_tend", tend)


@fault
def go_on_where_the_last_connection_ended(patch):
    """The rest of a frame goes into the next connection."""
    true_tend = BleStream._tend

    def tend(self):
        at = self._at
        is_new = self._lives != self.life
        if is_new:
            self.life = self._lives
        true_tend(self)
        if is_new and self._at < at:
            self._at = at

    patch(BleStream, "_tend", tend)


@fault
def speak_before_anybody_listens(patch):
    """A connection counts as open when it is there."""
    true_note = BleStream._note

    def note(self, event, details):
        true_note(self, event, details)
        self._is_open = self._is_open or event == 1

    patch(BleStream, "_note", note)


@fault
def forget_the_header_of_a_piece(patch):
    """Pieces are as long as the MTU."""
    patch(device_ble, "piece_bytes", lambda mtu: mtu)


@fault
def skip_the_piece_that_finds_no_room(patch):
    """What the stack does not take is given up, and the next piece is tried."""

    def push(self, connection):
        while self._at < len(self._frame):
            piece = self._frame[self._at : self._at + 20]
            self._at += len(piece)
            try:
                self._ble.gatts_notify(connection, self._up, piece)
            except OSError:
                return

    patch(BleStream, "_push", push)


@fault
def keep_a_central_that_never_answers(patch):
    """Whoever is there first may stay."""
    patch(BleStream, "_end_after", lambda *_: None)


# ---- at the gateway


@fault
def read_all_connections_as_one_stream(patch):
    """A device's frames are put together over all of its connections."""
    readers = {}
    true_init = BlePeer.__init__

    def init(self, address, *args, **options):
        true_init(self, address, *args, **options)
        self._reader = readers.setdefault(address, FrameReader())

    patch(BlePeer, "__init__", init)
    patch(FrameReader, "abandon", lambda self: None)


@fault
def send_old_answers_into_a_new_connection(patch):
    """The answers for a device wait in one queue over all of its connections."""

    class Kept(deque):
        def clear(self):
            pass

    queues = {}
    true_init = BlePeer.__init__

    def init(self, address, *args, **options):
        true_init(self, address, *args, **options)
        self._answers = queues.setdefault(address, Kept())

    patch(BlePeer, "__init__", init)


@fault
def serve_by_name(patch):
    """Of those that wait, the first of the alphabet is next: others starve."""

    def begin(self, now_s):
        waiting = sorted(address for address, one in self._known.items() if one.waits(now_s))
        if not waiting:
            return None
        self._known[waiting[0]].is_served = True
        return waiting[0], self._known[waiting[0]].handle

    patch(Turns, "begin", begin)


@fault
def believe_every_advertiser(patch):
    """Strangers stand in the queue of devices."""
    patch(Turns, "trust", lambda self, address: None)


@fault
def never_end_a_turn(patch):
    """Who has a connection keeps it while others wait."""
    patch(BleLink, "_end_turns", lambda self, now_s: None)


@fault
def scan_once(patch):
    """An adapter that went away is not looked for."""

    async def scan(self):
        await self._radio.scan(self._hear).start()
        await asyncio.Event().wait()

    patch(BleLink, "_scan", scan)


@fault
def ask_a_refused_stranger_for_ever(patch):
    """Turns that bring nothing do not become rare."""
    true_end = Turns.end
    patch(
        Turns, "end", lambda self, address, now_s, was_useful: true_end(self, address, now_s, was_useful=True)
    )
