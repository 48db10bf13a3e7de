"""A board without keys: it announces itself until an office admits it, and then makes itself the device that it is told to be.

All it has is its claim: an identity and a one-time secret. Only an admission that opens under the secret is believed; whoever else answers
is asked as little as anybody. The settings are put in place last, in one step: a cut before leaves a board that announces itself again
and is given the same, a cut after it a device.

Source: SPEC.md section 15.
"""

import json
import os
from binascii import hexlify, unhexlify

from agent.coap_client import CoapClient, LinkError
from agent.keystore import Keystore
from protocol._const import const
from protocol.admission import open_admission, seal_announcement
from protocol.aead import AesCcm
from protocol.blockwise import decode_block, encode_block
from protocol.coap import BLOCK2, CHANGED, CONTENT, POST, option
from protocol.errors import MALFORMED, ProtocolError
from protocol.limits import admission_block_bytes, admission_bytes_max

SETTINGS = "device.json"
CLAIM = "claim.json"
_DRAFT = "device.json.new"
PATH = "n"
# Between two announcements: while a person is waited for, and the longest while nobody answers.
_WAIT_MS = const(10000)
_WAIT_MS_MAX = const(300000)
# RFC 8516: too many ask there; soon it is our turn.
_TOO_MANY_REQUESTS = const(0x9D)
_BUSY_MS = const(1000)
_BUSY_MAX = const(8)
# Settings that an office may give, and no others: the rest is what the board itself is.
_SETTINGS = (
    "kind",
    "cohort",
    "class",
    "sample_ms",
    "heartbeat_ms",
    "routine_seal_ms",
    "period_s",
    "inputs_ms",
    "link_day_bytes",
    "bulk_window",
    "clock_scale",
)


class _Unprotected:
    """A context of no protection: the secret is in what is carried."""

    def protect_request(self, message):
        """Return the message as it is."""
        return message, None


class _PlainClient(CoapClient):
    """Asks without OSCORE, and so believes no answer by itself."""

    def __init__(self, link, ticks_ms, random_bytes, ack_timeout_ms: int):
        super().__init__(link, _Unprotected(), ticks_ms, random_bytes, ack_timeout_ms=ack_timeout_ms)
        self._note_answer = None

    def _examine_unprotected(self, message):
        return message


class Newcomer:
    """board: identity, 8 bytes. secret: of its claim, 16 bytes. hardware: its name. The rest as agent.board.Board has it.

    Counts, all rising: announcements; waits (answers that a person is waited for); refused (what opened under no secret of ours).
    """

    def __init__(
        self,
        board: bytes,
        secret: bytes,
        hardware: str,
        link,
        aes,
        ticks_ms,
        random_bytes,
        sleep_ms,
        ack_timeout_ms: int = 2000,
        wait_ms: int = _WAIT_MS,
    ):
        self._board = board
        self._secret = secret
        self._announcement = seal_announcement(board, hardware, secret)
        self._client = _PlainClient(link, ticks_ms, random_bytes, ack_timeout_ms)
        self._hold = getattr(link, "hold", _nothing)
        self._doubt = getattr(link, "doubt", _nothing)
        self._aes = aes
        self._sleep_ms = sleep_ms
        self._random_bytes = random_bytes
        self._wait_ms = wait_ms
        self.announcements = self.waits = self.refused = 0

    async def run(self):
        """Announce this board until it is admitted; return the Admission."""
        wait_ms = self._wait_ms
        while True:
            waits = self.waits
            try:
                admission = await self._announce()
            except LinkError:
                admission = None
            except ProtocolError:
                # Nobody who has our secret said that: the next who answers may have.
                self.refused += 1
                self._doubt()
                admission = None
            if admission is not None:
                return admission
            wait_ms = self._wait_ms if waits != self.waits else min(2 * wait_ms, _WAIT_MS_MAX)
            # Boards that were switched on together must not keep step.
            spread = int.from_bytes(self._random_bytes(2), "big") * wait_ms // 0x20000
            await self._sleep_ms(wait_ms - spread)

    async def _announce(self):
        """Return the Admission, None where there is none yet. Raises LinkError, ProtocolError."""
        self.announcements += 1
        sealed = b""
        is_more = True
        while is_more:
            number = len(sealed) // admission_block_bytes
            answer = await self._ask(number)
            if answer.code == CHANGED and not sealed:
                self.waits += 1
                return None
            block = option(answer.options, BLOCK2)
            if answer.code != CONTENT or block is None:
                raise ProtocolError(MALFORMED, "no block of an admission")
            said, is_more, size = decode_block(block)
            if said != number or size != admission_block_bytes or not 0 < len(answer.payload) <= size:
                raise ProtocolError(MALFORMED, "another block than was asked for")
            if (is_more and len(answer.payload) < size) or len(sealed) >= admission_bytes_max:
                raise ProtocolError(MALFORMED, "blocks that make no admission")
            sealed += answer.payload
            self._hold()
        return open_admission(sealed, self._board, self._secret, lambda key: AesCcm(self._aes(key)))

    async def _ask(self, number: int):
        block = (BLOCK2, encode_block(number, False, admission_block_bytes))
        for _ in range(_BUSY_MAX):
            answer = await self._client.request(POST, PATH, self._announcement, [block])
            if answer.code != _TOO_MANY_REQUESTS:
                break
            self._hold()
            await self._sleep_ms(_BUSY_MS)
        return answer


class Folder:
    """The files of a board. path: ends with /."""

    def __init__(self, path: str):
        self._path = path

    def names(self) -> list:
        """Return the names that are there."""
        return os.listdir(self._path)

    def read(self, name: str) -> bytes:
        """Return a whole file. Raises OSError."""
        with open(self._path + name, "rb") as file:
            return file.read()

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file."""
        with open(self._path + name, "wb") as file:
            file.write(content)

    def rename(self, name: str, to: str) -> None:
        """Let a file have another name, in one step, in place of one that has it."""
        os.rename(self._path + name, self._path + to)

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.remove(self._path + name)


def read_claim(folder: Folder):
    """Return the items of claim.json on a board that waits to be admitted, None on any other. A device forgets what is left of its claim."""
    names = folder.names()
    if CLAIM not in names:
        return None
    if SETTINGS in names:
        folder.remove(CLAIM)
        return None
    try:
        return json.loads(folder.read(CLAIM))
    except ValueError:
        return None


def claim_of(items: dict) -> tuple:
    """Return (board, secret) of the items of claim.json."""
    return unhexlify(items["claim"]["board"]), unhexlify(items["claim"]["secret"])


def install(window, folder: Folder, admission, items: dict) -> dict:
    """Make a board the device of its admission; return the items of its device.json. items: of claim.json; window: of flash, as agent.flash.

    Whatever lies in the window is erased first. The one-time secret is forgotten last: until then the same admission may be given again.
    """
    for sector in range(window.sectors):
        window.erase(sector)
    Keystore(window).provision(admission.seal_keys, admission.ratchets, admission.downlink)
    folder.write("schema.cbor", admission.schema)
    folder.write("bundle.cbor", admission.bundle)
    told = device_items(admission, items)
    folder.write(_DRAFT, json.dumps(told).encode())
    folder.rename(_DRAFT, SETTINGS)
    folder.remove(CLAIM)
    return told


def device_items(admission, items: dict) -> dict:
    """Return the items of device.json: what the board is (items of claim.json), and what it was told."""
    told = {name: value for name, value in items.items() if name != "claim"}
    for name, value in admission.settings:
        if name in _SETTINGS:
            told[name] = value
    told["device"] = _hex(admission.device)
    told["roots"] = [_hex(root) for root in admission.roots]
    told["link"] = dict(items["link"])
    told["link"]["kid"] = _hex(admission.kid)
    told["link"]["secret"] = _hex(admission.secret)
    return told


def _hex(value: bytes) -> str:
    return hexlify(value).decode()


def _nothing() -> None:
    pass
