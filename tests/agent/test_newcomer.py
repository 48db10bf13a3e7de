"""A board without keys: whom it believes, and what a power cut while it becomes a device leaves behind."""

import asyncio
import json

import pytest

from agent.config import Config
from agent.flash import PowerCut, RamFlash
from agent.keystore import KeyFault, Keystore
from agent.newcomer import CLAIM, SETTINGS, Newcomer, install, read_claim
from protocol import coap
from protocol.admission import Admission, parse_announcement, seal_admission
from protocol.aes_host import Aes128, Ccm
from protocol.blockwise import decode_block, encode_block
from protocol.limits import admission_block_bytes
from tests.agent.desk import BUNDLE, DOWNLINK, RATCHETS, SCHEMA, SEAL_KEYS

BOARD = bytes(range(8))
CLAIM_SECRET = bytes(range(16))
SECTORS = 44
TRIES_MAX = 40


def admission(board=BOARD, **changes):
    fields = {
        "device": board,
        "seal_keys": SEAL_KEYS,
        "ratchets": RATCHETS,
        "downlink": DOWNLINK,
        "kid": b"\x01",
        "secret": b"l" * 16,
        "roots": [bytes(60)],
        "schema": SCHEMA,
        "bundle": BUNDLE,
        "settings": [
            ["kind", "pump"],
            ["sample_ms", 1000],
            ["flash_sectors", 7],
            ["class", ["office", "site"]],
        ],
    }
    return Admission(**{**fields, **changes})


def sealed(secret=CLAIM_SECRET, **changes):
    return seal_admission(admission(**changes), secret, Ccm)


def items():
    return {
        "claim": {"board": BOARD.hex(), "secret": CLAIM_SECRET.hex()},
        "hardware": "unix",
        "flash_sectors": 8,
        "link": {"host": "", "port": 5683},
    }


class Gate:
    """A link to whoever answers: answers(request, how many came before) -> Message, None for silence."""

    def __init__(self, *answerers):
        self._answerers = list(answerers)
        self._queue = []
        self.requests = []
        self.doubts = self.holds = 0
        self.sent_bytes = self.received_bytes = self.lost = 0

    def send(self, datagram):
        request = coap.decode(datagram)
        answer = self._answerers[0](request, len(self.requests))
        self.requests.append(request)
        if answer is not None:
            answer.message_id, answer.token = request.message_id, request.token
            self._queue.append(coap.encode(answer))

    async def recv(self, timeout_ms):
        await asyncio.sleep(0)
        return self._queue.pop(0) if self._queue else None

    def hold(self):
        self.holds += 1

    def doubt(self):
        """The next who answered, as a link that searches does."""
        self.doubts += 1
        if len(self._answerers) > 1:
            self._answerers.pop(0)


def waits(request, _count):
    return coap.Message(coap.ACK, coap.CHANGED, 0)


def gives(content):
    def answer(request, _count):
        number = decode_block(coap.option(request.options, coap.BLOCK2))[0]
        start = number * admission_block_bytes
        piece = content[start : start + admission_block_bytes]
        block = encode_block(number, start + admission_block_bytes < len(content), admission_block_bytes)
        return coap.Message(coap.ACK, coap.CONTENT, 0, b"", [(coap.BLOCK2, block)], piece)

    return answer


def newcomer(gate, ticks=None):
    slept = []

    async def sleep_ms(n):
        slept.append(n)
        assert len(slept) < TRIES_MAX, "it was never admitted"

    clock = iter(range(0, 1 << 30, 50))
    made = Newcomer(
        BOARD, CLAIM_SECRET, "unix", gate, Aes128, lambda: next(clock), lambda n: bytes(n), sleep_ms, 100, 10
    )
    made.slept = slept
    return made


def run(*answerers):
    gate = Gate(*answerers)
    one = newcomer(gate)
    return asyncio.run(one.run()), one, gate


def check_board_takes_the_admission_of_its_secret():
    given, one, gate = run(gives(sealed()))

    assert given.items() == admission().items()
    said = parse_announcement(gate.requests[0].payload).fields
    assert (said.board, said.hardware) == (BOARD, "unix")
    # The same bytes each time: nothing of the secret is learned from many.
    assert len({request.payload for request in gate.requests}) == 1


def test_board_takes_the_admission_of_its_secret():
    """Block by block, under one announcement."""
    check_board_takes_the_admission_of_its_secret()


def test_board_waits_for_a_person_as_long_as_it_takes():
    """It asks again at a steady pace while somebody says that it waits."""

    def later(request, count):
        return waits(request, count) if count < 20 else gives(sealed())(request, count)

    given, one, _ = run(later)

    assert given.device == BOARD
    assert one.waits == 20
    assert all(5 <= pause <= 10 for pause in one.slept)


def _forged():
    content = bytearray(sealed())
    content[200] ^= 1
    return bytes(content)


FALSE = {
    "of another secret": gives(sealed(bytes(16))),
    "changed": gives(_forged()),
    "of another board": gives(sealed(board=bytes(8))),
    "random": gives(bytes(300)),
    "cut off": gives(sealed()[:256]),
    "endless": lambda request, _: gives(bytes(1 << 16))(request, _),
    "an error": lambda request, _: coap.Message(coap.ACK, coap.UNAUTHORIZED, 0),
    "a success without anything": lambda request, _: coap.Message(coap.ACK, coap.CONTENT, 0),
    "another block": lambda request, _: coap.Message(
        coap.ACK, coap.CONTENT, 0, b"", [(coap.BLOCK2, encode_block(3, True, 64))], bytes(64)
    ),
    "blocks of another size": lambda request, _: coap.Message(
        coap.ACK, coap.CONTENT, 0, b"", [(coap.BLOCK2, encode_block(0, True, 16))], bytes(16)
    ),
    "empty blocks": lambda request, _: coap.Message(
        coap.ACK, coap.CONTENT, 0, b"", [(coap.BLOCK2, encode_block(0, True, 64))]
    ),
}


def check_false_admission_is_not_taken(kind):
    given, one, gate = run(FALSE[kind], gives(sealed()))

    assert given.items() == admission().items()
    assert one.refused == gate.doubts == 1
    # What is not whole is not asked for without end.
    assert len(gate.requests) < 200


@pytest.mark.parametrize("kind", sorted(FALSE))
def test_false_admission_is_not_taken(kind):
    """Whatever opens under no secret of ours leaves the board as it was, and it goes on to who answers next."""
    check_false_admission_is_not_taken(kind)


def test_board_that_asks_too_much_waits_and_goes_on_where_it_was():
    """Who is told that too many ask loses no block for it."""
    content = sealed()

    def busy(request, count):
        return coap.Message(coap.ACK, 0x9D, 0) if count % 3 == 2 else gives(content)(request, count)

    given, one, gate = run(busy)

    assert given.device == BOARD
    assert one.refused == 0
    assert len(gate.requests) <= 2 * (len(content) // admission_block_bytes + 1)


def test_silence_makes_the_board_ask_less_often():
    """Where nobody is, the pause grows up to five minutes."""

    def late(request, count):
        return None if count < 60 else gives(sealed())(request, count)

    given, one, _ = run(late)

    assert given.device == BOARD
    assert one.slept == sorted(one.slept)
    assert one.slept[-1] > 8 * one.slept[0]


class Disk:
    """The files of a board, in memory; each operation that changes them is one at which the power may be cut."""

    def __init__(self, files):
        self.files = dict(files)
        self.left = None

    def names(self):
        return list(self.files)

    def read(self, name):
        return self.files[name]

    def write(self, name, content):
        self._cut(lambda: self.files.__setitem__(name, content[: len(content) // 2]))
        self.files[name] = content

    def rename(self, name, to):
        self._cut(lambda: None)
        self.files[to] = self.files.pop(name)

    def remove(self, name):
        self._cut(lambda: None)
        del self.files[name]

    def _cut(self, torn):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                torn()
                raise PowerCut("in a file")


def _power_up(flash, disk):
    """Return the items of a device, or None where the board is still one without keys. Anything else fails."""
    claim = read_claim(disk)
    if claim is not None:
        assert SETTINGS not in disk.files
        assert claim == items()
        return None
    told = json.loads(disk.files[SETTINGS])
    assert CLAIM not in disk.files
    assert Config(told).device == BOARD
    keys = Keystore(flash)
    try:
        keys.open()
    except KeyFault as fault:
        raise AssertionError("a device without keys") from fault
    assert [keys.seal_key(lane) for lane in (0, 1)] == [(0, SEAL_KEYS[0]), (0, SEAL_KEYS[1])]
    assert (disk.files["schema.cbor"], disk.files["bundle.cbor"]) == (SCHEMA, BUNDLE)
    return told


def _install(cut_flash=None, cut_disk=None, mode="torn"):
    flash = RamFlash(SECTORS)
    # What an earlier life left on the flash must not survive in the device.
    flash.program(4096 * 5, b"old journal".ljust(256, b"."))
    disk = Disk({CLAIM: json.dumps(items()).encode()})
    disk.left = cut_disk
    if cut_flash is not None:
        flash.cut_after(cut_flash, mode)
    try:
        install(flash, disk, admission(), items())
    except PowerCut:
        cut = True
    else:
        cut = False
    disk.left = None
    return RamFlash(SECTORS, bytearray(flash.image)), disk, cut


def check_power_cut_leaves_a_board_or_a_device():
    seen = set()
    for where in ("cut_flash", "cut_disk"):
        for mode in ("clean", "torn", "noise"):
            at = 0
            while True:
                flash, disk, cut = _install(**{where: at}, mode=mode)
                told = _power_up(flash, disk)
                seen.add(told is None)
                if told is None:
                    # It announces itself again, and is given the same.
                    install(flash, disk, admission(), items())
                    assert _power_up(flash, disk) is not None
                if not cut:
                    break
                at += 1
            assert at >= 5
    assert seen == {True, False}


def test_power_cut_at_any_operation_leaves_a_board_or_a_device():
    """At each operation of flash and files, in each manner: without keys and able to try again, or whole."""
    check_power_cut_leaves_a_board_or_a_device()


def test_settings_that_an_office_may_not_give_are_passed_over():
    """What the board itself is, the size of its flash above all, no office changes."""
    flash, disk, _ = _install()
    told = json.loads(disk.files[SETTINGS])

    assert told["flash_sectors"] == 8
    assert (told["kind"], told["sample_ms"]) == ("pump", 1000)
    assert told["link"] == {"host": "", "port": 5683, "kid": "01", "secret": (b"l" * 16).hex()}
    assert "claim" not in told
    assert flash.read(4096 * 5, 11) != b"old journal"


def test_reset_of_a_stranger_does_not_end_the_announcing():
    """Nothing that comes unprotected does."""
    gate = Gate(gives(sealed()))
    true_send = gate.send

    def send(datagram):
        if not gate.requests:
            gate.requests.append(coap.decode(datagram))
            gate._queue.append(coap.encode(coap.Message(coap.RST, coap.EMPTY, gate.requests[0].message_id)))
        else:
            true_send(datagram)

    gate.send = send

    assert asyncio.run(newcomer(gate).run()).device == BOARD
