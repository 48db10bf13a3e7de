"""Boards without keys that announce themselves here (`POST /n`): heard, brought to the office, and given what it admits them with.

The gateway cannot tell a true announcement from a forged one; the office can. So it keeps a few strangers, chosen by chance when there are
more, and those that the office said it knows, whom no stranger pushes out. What a board gets is sealed for it and of no use to anybody
else. All of it is in memory: after a restart boards announce themselves again.

Source: SPEC.md section 15.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, NamedTuple

from gateway.errors import OfficeError
from gateway.health import Health
from gateway.links.rate import TOO_MANY_REQUESTS, Rates
from protocol.admission import parse_announcement
from protocol.announcements import ANSWER_BYTES_MAX, PATH, encode_announcements, parse_admissions
from protocol.blockwise import decode_block, encode_block
from protocol.coap import (
    ACK,
    BAD_OPTION,
    BAD_REQUEST,
    BLOCK2,
    CHANGED,
    CONTENT,
    METHOD_NOT_ALLOWED,
    POST,
    URI_HOST,
    URI_PATH,
    URI_PORT,
    Message,
    option,
)
from protocol.errors import ProtocolError
from protocol.limits import admission_block_bytes, announcements_max

_log = logging.getLogger("gateway.links.newcomers")

# Announcements that the office has not said a word about; and boards that it knows, a day's work of fitting out a site.
STRANGERS_MAX, KNOWN_MAX = 16, 64
# Between two questions to the office while boards are here: a person's yes travels no slower.
ASK_S = 5.0
# A board that was not heard for so long is gone; it announces itself at least every five minutes.
GONE_S = 600.0
# The blocks of the longest admission, of one address; and of all addresses together.
PEER_AT_ONCE, PEER_INTERVAL_S = 192, 0.25
ALL_AT_ONCE, ALL_INTERVAL_S = 256, 0.02
_PATH = [b"n"]
_KNOWN_OPTIONS = (URI_HOST, URI_PORT, URI_PATH, BLOCK2)


class _Known(NamedTuple):
    """A board that the office knows. raw: its true announcement; sealed: its admission, None: a person was not asked yet, or has not said yes."""

    raw: bytes
    sealed: bytes | None
    heard_s: float


Ask = Callable[[str, str, int, bytes], Awaitable[bytes]]


class Newcomers:
    """ask: of the office, as uplink.Office.ask. is_known(device): whether it is
    served here; ask_links(): lets the office tell its link. clock: monotonic(), sleep(). chance: which stranger makes room."""

    def __init__(
        self,
        ask: Ask,
        health: Health,
        *,
        is_known: Callable[[bytes], bool],
        ask_links: Callable[[], None],
        clock: Any,
        chance: random.Random,
    ):
        self._ask = ask
        self._is_known = is_known
        self._ask_links = ask_links
        self._health = health
        self._clock = clock
        self._chance = chance
        self._strangers: dict[bytes, bytes] = {}
        self._known: dict[bytes, _Known] = {}
        self._rates = Rates(
            clock, peer=(PEER_AT_ONCE, PEER_INTERVAL_S), everybody=(ALL_AT_ONCE, ALL_INTERVAL_S)
        )
        self._is_heard = asyncio.Event()

    def __len__(self) -> int:
        """Return how many announcements and boards are remembered."""
        return len(self._strangers) + len(self._known)

    def is_meant(self, request: Message) -> bool:
        """Return whether this is an announcement."""
        return [value for number, value in request.options if number == URI_PATH] == _PATH

    def answer(self, request: Message, host: Hashable) -> Message | None:
        """Return the answer to an announcement; host: whose it is. None: no answer, too many announce themselves."""
        allowed = self._rates.may(host)
        if not allowed:
            return None if allowed is None else Message(ACK, TOO_MANY_REQUESTS, 0)
        if request.code != POST:
            return Message(ACK, METHOD_NOT_ALLOWED, 0)
        if any(number % 2 and number not in _KNOWN_OPTIONS for number, _ in request.options):
            return Message(ACK, BAD_OPTION, 0)
        try:
            asked = decode_block(option(request.options, BLOCK2) or b"")[0]
            board = parse_announcement(request.payload).fields.board
        except ProtocolError:
            return Message(ACK, BAD_REQUEST, 0)
        self._health.count("announcements")
        self._hear(board, request.payload)
        known = self._known.get(board)
        if known is None or known.sealed is None:
            return Message(ACK, CHANGED, 0)
        return _block(known.sealed, asked)

    async def run(self) -> None:
        """Bring to the office what announces itself, for ever; ends by being cancelled."""
        while True:
            await self._is_heard.wait()
            self._forget_the_gone()
            if not len(self):
                self._is_heard.clear()
                continue
            try:
                await self.step()
            except (OfficeError, ProtocolError) as error:
                _log.warning("boards that announce themselves wait: %s", error)
            await self._clock.sleep(ASK_S)

    async def step(self) -> None:
        """Ask the office once. Raises OfficeError or ProtocolError: what is known stays."""
        sent = self._chosen()
        raw = await self._ask("POST", PATH, ANSWER_BYTES_MAX, encode_announcements(list(sent.values())))
        said = {entry[0]: entry[1:] for entry in parse_admissions(raw)}
        for board, announcement in sent.items():
            # Who is no board of the office is forgotten: a true one announces itself again.
            self._strangers.pop(announcement, None)
            before = self._known.pop(board, None)
            if board in said and len(self._known) < KNOWN_MAX:
                heard_s = before.heard_s if before else self._clock.monotonic()
                self._known[board] = _Known(announcement, self._admitted(board, said[board]), heard_s)

    def _admitted(self, board: bytes, given: tuple[bytes, ...]) -> bytes | None:
        """Return the admission to be handed on, once the gateway knows the device that will come of it; None: none, or not yet."""
        if not given:
            return None
        if self._is_known(board):
            return given[0]
        # It would ask in vain for up to a minute, and for as long as the office cannot be reached.
        self._ask_links()
        return None

    def _hear(self, board: bytes, raw: bytes) -> None:
        known = self._known.get(board)
        if known is not None:
            self._known[board] = known._replace(heard_s=self._clock.monotonic())
        else:
            if raw not in self._strangers and len(self._strangers) >= STRANGERS_MAX:
                del self._strangers[self._chance.choice(list(self._strangers))]
            self._strangers[raw] = board
        self._is_heard.set()

    def _chosen(self) -> dict[bytes, bytes]:
        """Return one announcement of each of so many boards as the office takes at once; half of the places are strangers' at least."""
        strangers = list(self._strangers.items())
        self._chance.shuffle(strangers)
        known = list(self._known.items())
        self._chance.shuffle(known)
        chosen = {board: one.raw for board, one in known[: announcements_max // 2]}
        for raw, board in strangers:
            if len(chosen) < announcements_max:
                chosen.setdefault(board, raw)
        return chosen

    def _forget_the_gone(self) -> None:
        oldest = self._clock.monotonic() - GONE_S
        self._known = {board: one for board, one in self._known.items() if one.heard_s > oldest}


def _block(sealed: bytes, number: int) -> Message:
    start = number * admission_block_bytes
    if start >= len(sealed):
        return Message(ACK, BAD_REQUEST, 0)
    piece = sealed[start : start + admission_block_bytes]
    is_more = start + admission_block_bytes < len(sealed)
    return Message(
        ACK, CONTENT, 0, b"", [(BLOCK2, encode_block(number, is_more, admission_block_bytes))], piece
    )
