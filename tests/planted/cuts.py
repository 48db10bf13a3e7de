"""Faults planted under the power cuts, the counters and the decoders, by name: NAME -> (plant(patch), what must catch it).

patch(object, attribute, value) undoes itself. What catches it is the part of the storage whose sweep must fail, "counters", or the entry
of the fuzzing whose frames must show it.
"""

import tomllib

from agent import cell
from agent import session as session_module
from agent.adopter import Adopter
from agent.cell import Cell
from agent.journal import Journal
from agent.key_notes import INTENT, LABELS
from agent.keystore import Keystore
from agent.pages import FlashFault, encode_page
from agent.session import Session
from agent.slots import Slots
from gateway import outbox
from gateway.store import Store
from protocol import blockwise, cbor, settings
from protocol.limits import generation_segments
from protocol.oscore import OscoreContext
from rules.authoring import cel
from tests.planted.device import acknowledge_before_program


def remove_then_rewrite(patch):
    """Erase the cell that is valid, then write the new one."""

    def place(self):
        self._flash.erase(self._sector)
        return self._sector, 0

    patch(Cell, "_place", place)


def store_field_by_field(patch):
    """Make several fields durable one after the other instead of in one page."""
    store = Cell.store

    def one_by_one(self, **changes):
        for name, value in changes.items():
            store(self, **{name: value})

    patch(Cell, "store", one_by_one)


def skip_the_erase_of_old_keys(patch):
    """Move the keys to the other sector and leave the full one as it is."""
    move = Keystore._move

    def lazy(self):
        flash, old = self._flash, self._sector
        self._flash = _Unerased(flash, old)
        try:
            move(self)
        finally:
            self._flash = flash

    patch(Keystore, "_move", lazy)
    patch(Keystore, "_zero_dead", lambda self: None)


class _Unerased:
    """A flash whose one sector is never erased."""

    def __init__(self, flash, sector):
        self._flash, self._sector = flash, sector
        self.read, self.program = flash.read, flash.program

    def erase(self, sector):
        if sector != self._sector:
            self._flash.erase(sector)


def begin_with_the_downlink_key(patch):
    """Write that key first, by which a boot knows that all others are there."""

    def install(self, chains):
        old = self._sector
        other = 2 * self._first + 1 - old
        self._flash.erase(other)
        page = 0
        moved = [[] for _ in chains]
        for chain in (4, 0, 1, 2, 3):
            for step, key, _ in chains[chain]:
                page = self._copy(other, page, encode_page(b"outstation key v1", [chain, step, key]))
                moved[chain].append((step, key, page))
                page += 1
        self._flash.erase(old)
        self._sector, self._live, self._notes = other, moved, {label: [] for label in LABELS}

    patch(Keystore, "_install", install)


def drop_an_intent_in_memory(patch):
    """Leave the page with the root of a rekey that was not carried out."""
    patch(Keystore, "drop_intent", lambda self: self._notes[INTENT].clear())


def leave_a_torn_key(patch):
    """At boot zero nothing: what a cut left of an old key stays."""
    patch(Keystore, "_zero_dead", lambda self: None)


def move_the_key_before_its_last_segment(patch):
    """Give the seal key up before the 32nd segment under it is on flash."""
    commit = Journal.commit

    def hasty(self, lane, index, raw, header):
        advance = self.keystore.advance_seal
        is_last = (header.number + 1) % generation_segments == 0
        if is_last:
            advance(lane)
            self.keystore.advance_seal = lambda lane: None
        try:
            commit(self, lane, index, raw, header)
        finally:
            if is_last:
                del self.keystore.advance_seal

    patch(Journal, "commit", hasty)


def fetch_over_what_decides(patch):
    """Fetch the next release into the slot of the confirmed one."""
    patch(Adopter, "_free_slot", lambda self: max(0, self._cell.release[0]))


def remember_that_it_is_staged(patch):
    """Keep in memory alone that a release has passed its checks."""
    held = Slots.held
    staged = {}

    def remembering(self, slot):
        found = held(self, slot)
        if found is not None:
            found.digest = staged.get((id(self), slot, found.number))
        return found

    patch(Slots, "held", remembering)
    patch(
        Slots,
        "note_staged",
        lambda self, slot, number, digest: staged.update({(id(self), slot, number): digest}),
    )


def erase_at_each_boot(patch):
    """Begin with an empty slot whenever one is opened."""
    init = Slots.__init__

    def clean(self, flash):
        init(self, flash)
        for slot in range(2):
            try:
                self.void(slot)
            except FlashFault:
                continue

    patch(Slots, "__init__", clean)


def keep_one_context_over_boots(patch):
    """Begin at 0 with each boot, under the context of the boot before."""
    patch(session_module, "fresh_context", lambda boot, random_bytes: b"8 bytes!")


def make_the_context_of_the_boot_count(patch):
    """Take a fresh context with each boot, which a flash that was put back takes once more."""
    patch(session_module, "fresh_context", lambda boot, random_bytes: boot.to_bytes(8, "big"))


def doubt_and_keep_the_keys(patch):
    """Start the numbers at 0 again under the same ID Context."""

    def renew(self):
        self._next = 0
        kept = self._client.context.id_context
        self._client.context = OscoreContext(
            self._aes, self._secret, self._kid, b"", self._next_sequence, id_context=kept
        )

    patch(Session, "renew", renew)


def go_on_where_the_store_stands(patch):
    """Let a gateway's process begin with the next number that its file names, of which there may be a copy."""
    reserve = Store.reserve_sequence
    patch(
        Store,
        "reserve_sequence",
        lambda self, device, context, count, *, leaps=False: reserve(self, device, context, count),
    )


def reserve_nothing_ahead(patch):
    """Let the gateway's store name the next number and not move it."""
    reserve = Store.reserve_sequence
    patch(
        Store,
        "reserve_sequence",
        lambda self, device, context, count, **leaps: reserve(self, device, context, 0),
    )


def challenge_under_the_nonce_of_the_request(patch):
    """Answer a request whose freshness nobody knows under its own nonce."""
    unprotect = OscoreContext.unprotect_request

    def sparing(self, message, window):
        request, exchange = unprotect(self, message, window)
        exchange.can_reuse_nonce = True
        return request, exchange

    patch(OscoreContext, "unprotect_request", sparing)


CUT_FAULTS = {
    "acknowledge_before_flush": (acknowledge_before_program, "journal"),
    "move_the_key_before_its_last_segment": (move_the_key_before_its_last_segment, "journal"),
    "remove_then_rewrite": (remove_then_rewrite, "cell"),
    "store_field_by_field": (store_field_by_field, "cell"),
    "skip_the_erase_of_old_keys": (skip_the_erase_of_old_keys, "keys"),
    "leave_a_torn_key": (leave_a_torn_key, "keys"),
    "begin_with_the_downlink_key": (begin_with_the_downlink_key, "keys"),
    "drop_an_intent_in_memory": (drop_an_intent_in_memory, "keys"),
    "fetch_over_what_decides": (fetch_over_what_decides, "slots"),
    "erase_at_each_boot": (erase_at_each_boot, "slots"),
    "confirm_in_two_steps": (store_field_by_field, "slots"),
    "remember_that_it_is_staged": (remember_that_it_is_staged, "slots"),
    "keep_one_context_over_boots": (keep_one_context_over_boots, "counters"),
    "make_the_context_of_the_boot_count": (make_the_context_of_the_boot_count, "counters"),
    "go_on_where_the_store_stands": (go_on_where_the_store_stands, "counters"),
    "doubt_and_keep_the_keys": (doubt_and_keep_the_keys, "counters"),
    "reserve_nothing_ahead": (reserve_nothing_ahead, "counters"),
    "challenge_under_the_nonce_of_the_request": (challenge_under_the_nonce_of_the_request, "counters"),
}


# ---- decoders


def read_past_the_end(patch):
    """Read the head of an item without looking whether the bytes are there: IndexError."""
    honest = cbor.read_head

    def read_head(data, at):
        data[at]
        return honest(data, at)

    patch(cbor, "read_head", read_head)


def believe_a_length(patch):
    """Give as many bytes of a string as there are, however many were announced."""
    honest = cbor._text
    patch(cbor, "_text", lambda data, n, at: honest(data, min(n, len(data) - at), at))


def nest_without_an_end(patch):
    """Go down as deep as a frame says."""
    honest = cbor._array
    patch(cbor, "_array", lambda data, n, at, depth: honest(data, n, at, 1 << 30))


def look_up_any_block_size(patch):
    """Take size code 7 for a size."""

    def decode_block(value):
        n = int.from_bytes(value, "big")
        return n >> 4, bool(n & 8), blockwise._SIZES[n & 7]

    patch(blockwise, "decode_block", decode_block)


def trust_a_page(patch):
    """Take a page of the cell for whole once it begins like one."""
    patch(cell, "decode_page", lambda label, page: cbor.load_prefix(page)[0])


def let_toml_speak_for_itself(patch):
    """Let the parser's own error reach the person."""
    patch(settings, "_parse", lambda file, text: tomllib.loads(text))


def open_brackets_without_an_end(patch):
    """Go down as deep as a condition says."""
    patch(cel, "_DEPTH_MAX", 1 << 30)


def take_what_the_office_says(patch):
    """Look up an outcome for each segment that was asked about, told or not."""
    honest = outbox.parse_uplink_answer

    def parse(raw):
        answer = honest(raw)
        answer.outcomes[0]
        return answer

    patch(outbox, "parse_uplink_answer", parse)


FUZZ_FAULTS = {
    "read_past_the_end": (read_past_the_end, "cbor"),
    "believe_a_length": (believe_a_length, "cbor"),
    "nest_without_an_end": (nest_without_an_end, "cbor"),
    "look_up_any_block_size": (look_up_any_block_size, "block_option"),
    "trust_a_page": (trust_a_page, "flash_cell"),
    "let_toml_speak_for_itself": (let_toml_speak_for_itself, "office_toml"),
    "open_brackets_without_an_end": (open_brackets_without_an_end, "condition"),
    "take_what_the_office_says": (take_what_the_office_says, "office_answer"),
}


# ---- programs that a device's process runs instead of tests/fuzz/device_program.py, with a fault in the decoder "cbor"

_PROGRAM = """
import sys
from tests.fuzz import device_decoders, device_program

entry = [one for one in device_decoders.ENTRIES if one.name == "cbor"][0]
honest = entry.decode
kept = []


def decode(raw):
    {}
    return honest(raw)


entry.decode = decode
device_program.main(sys.argv[1:])
"""

# NAME -> (the program, what the command says of it)
PROGRAM_FAULTS = {
    "one_runtime_takes_more": (
        _PROGRAM.format('if sys.implementation.name == "cpython" and raw[:1] == b"\\x18": return 0'),
        "cbor: the runtimes disagree",
    ),
    "keep_what_was_read": (_PROGRAM.format("kept.append(raw + raw)"), "cbor on micropython:"),
    "raise_anything": (_PROGRAM.format("raw[9]"), "cbor raised IndexError"),
}
