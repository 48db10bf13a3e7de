"""Broken variants of a board's way to its keys. tests/canary/test_newcomers.py shows that each is caught by its test.

FAULTS: name -> apply(patch), where patch(owner, name, value) replaces an attribute, as setattr does.
"""

import json

import agent.newcomer as newcomer
from gateway.links import newcomers as gateway
from office_ingest.govern.admissions import Admissions
from office_ingest.receive.claims import ADMITTED, Claims
from protocol.admission import _admission_key, parse_admission, parse_announcement
from tests.planted.links_told import tell_who_shows_a_token
from tests.planted.register import register

FAULTS, fault = register()
# What opens link secrets opens admissions, which hold one.
fault(tell_who_shows_a_token)


@fault
def believe_any_admission(patch):
    """The board takes what it is given without looking whether its secret sealed it."""

    def open_admission(sealed, board, secret, ccm):
        key = ccm(_admission_key(secret))
        text = key._crypt(bytes(13), sealed[:-8], sealed[-8:])[:-8]
        given = parse_admission(text)
        given.device = board
        return given

    patch(newcomer, "open_admission", open_admission)


@fault
def put_the_settings_in_place_first(patch):
    """A cut leaves a device without keys."""
    true_install = newcomer.install

    def install(window, folder, admission, items):
        told = newcomer.device_items(admission, items)
        folder.write(newcomer.SETTINGS, json.dumps(told).encode())
        return true_install(window, folder, admission, items)

    patch(newcomer, "install", install)


@fault
def keep_every_stranger(patch):
    """The gateway remembers whoever announces itself."""
    patch(gateway, "STRANGERS_MAX", 1 << 30)


@fault
def keep_the_first_strangers(patch):
    """Who is there first is kept, and no other is heard."""
    true_hear = gateway.Newcomers._hear

    def hear(self, board, raw):
        if board in self._known or len(self._strangers) < gateway.STRANGERS_MAX:
            true_hear(self, board, raw)

    patch(gateway.Newcomers, "_hear", hear)
    patch(
        gateway.Newcomers,
        "_chosen",
        lambda self: {one: raw for raw, one in list(self._strangers.items())[:1]},
    )


@fault
def keep_every_board(patch):
    """The gateway remembers every board that the office knows."""
    patch(gateway, "KNOWN_MAX", 1 << 30)


@fault
def ask_of_known_boards_first(patch):
    """Where many boards are known, no stranger comes to the office."""
    true_chosen = gateway.Newcomers._chosen

    def chosen(self):
        known = {board: one.raw for board, one in list(self._known.items())[: gateway.announcements_max]}
        return known if len(known) == gateway.announcements_max else true_chosen(self)

    patch(gateway.Newcomers, "_chosen", chosen)


@fault
def hand_on_before_the_link_is_told(patch):
    """The board gets its keys before the gateway serves it."""
    patch(gateway.Newcomers, "_admitted", lambda self, board, given: given[0] if given else None)


@fault
def answer_in_long_blocks(patch):
    """A block is longer than the shortest announcement may be answered with."""
    patch(gateway, "admission_block_bytes", 128)


@fault
def show_whoever_is_named(patch):
    """The office does not look at an announcement's tag."""

    def claim_of(self, raw):
        try:
            return self.claims.find(parse_announcement(raw).fields.board)
        except Exception:  # noqa: BLE001 -- broken on purpose
            return None

    patch(Admissions, "_claim_of", claim_of)


@fault
def tell_every_gateway(patch):
    """Whichever gateway hears a board gets its admission."""
    true_hear = Admissions.hear

    def hear(self, gateway, announced, now_ms):
        return true_hear(self, "gw-1", announced, now_ms)

    patch(Admissions, "hear", hear)


@fault
def keep_the_secret(patch):
    """A claim that ended is marked, and what it holds stays."""
    patch(Claims, "end", lambda self, board: self._change("state = ?", ("used",), board, ADMITTED))


@fault
def seal_other_keys(patch):
    """The board is sealed keys that the office forgot."""
    true_admit = Claims.admit

    def admit(self, board, site, sealed):
        self._keystore.forget(board)
        self._keystore.enrol(board, bytes(32), bytes(32), bytes(32))
        return true_admit(self, board, site, sealed)

    patch(Claims, "admit", admit)


@fault
def take_a_yes_for_the_first(patch):
    """What was decided while somebody was asked is not looked at again."""
    patch(Admissions, "_waits", lambda self, board: True)
