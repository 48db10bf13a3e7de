"""The BLE link moves datagrams over connections that come and go, and never lets one connection's bytes run into another's."""

import asyncio
from errno import ENOMEM

import pytest

from agent.links.ble import BleLink, BleStream
from protocol.gatt import advertisement
from protocol.slipmux import encode_frame

CONNECT, DISCONNECT, WRITE, MTU = 1, 2, 3, 21
DOWN, UP = 7, 9


class Stack:
    """A Bluetooth stack as a test drives it. log: (what, details) that the link asked for; room: notifications it takes, None: all."""

    def __init__(self):
        self.log = []
        self.pieces = []
        self.room = None
        self.value = b""
        self.handler = None
        self.number = 0
        self.is_strange = False

    def active(self, is_on):
        self.log.append(("active", is_on))

    def config(self, **settings):
        if self.is_strange and "addr_mode" in settings:
            raise OSError(22)
        self.log.append(("config", settings))

    def irq(self, handler):
        self.handler = handler

    def gatts_register_services(self, services):
        self.log.append(("services", services))
        return ((DOWN, UP),)

    def gatts_set_buffer(self, handle, size, append):
        self.log.append(("buffer", (handle, size, append)))

    def gatts_read(self, handle):
        assert handle == DOWN
        value, self.value = self.value, b""
        return value

    def gatts_write(self, handle, value):
        assert handle == DOWN
        self.value = value

    def gatts_notify(self, connection, handle, piece):
        assert (connection, handle) == (self.number, UP)
        if self.room is not None:
            if not self.room:
                raise OSError(ENOMEM)
            self.room -= 1
        self.pieces.append(piece)

    def gap_advertise(self, interval_us, adv_data=None):
        self.log.append(("advertise", interval_us and adv_data))

    def gap_disconnect(self, connection):
        assert connection == self.number
        self.log.append(("disconnect", connection))

    # ---- the central's side

    def connect(self, mtu=None, opens=True):
        self.number += 1
        self.handler(CONNECT, (self.number, 1, b"central"))
        if mtu is not None:
            self.handler(MTU, (self.number, mtu))
        if opens:
            self.write(b"\xc0")

    def write(self, piece):
        self.value += piece
        self.handler(WRITE, (self.number, DOWN))

    def disconnect(self):
        self.handler(DISCONNECT, (self.number, 1, b"central"))

    def asked(self, what):
        return [details for name, details in self.log if name == what]


class Desk:
    """A link over a stack, and a clock that the test moves."""

    def __init__(self, is_strange=False):
        self.now_ms = 1_073_741_000
        self.stack = Stack()
        self.stack.is_strange = is_strange
        self.link = BleLink(BleStream(self.stack, str, lambda: self.now_ms & 0x3FFFFFFF, self._difference))

    def _difference(self, new, old):
        return (new - old + (1 << 29)) % (1 << 30) - (1 << 29)

    def receive(self):
        return asyncio.run(self.link.recv(0))

    def pass_ms(self, ms):
        self.now_ms += ms
        return self.receive()


@pytest.fixture
def desk():
    return Desk()


def test_service_is_there_with_a_buffer_that_appends(desk):
    """Two characteristics, one to write with and without response, one that notifies; the longest frame finds room."""
    ((service,),) = desk.stack.asked("services")
    (handle, size, appends), *_ = desk.stack.asked("buffer")

    assert [flags for _, flags in service[1]] == [0x0C, 0x10]
    assert (handle, appends) == (DOWN, True)
    assert size >= len(encode_frame(b"\xc0" * 1152))


def test_radio_with_one_address_for_ever_is_used_as_it_is():
    """A stack that knows no random address says so, and serves all the same."""
    desk = Desk(is_strange=True)
    desk.link.send(b"x")
    desk.stack.connect()
    desk.receive()

    assert [encode_frame(b"x")] == desk.stack.pieces


@pytest.mark.parametrize("mtu", [None, 23, 24, 60, 185, 247, 512, 517])
def test_frame_leaves_in_pieces_that_fit_the_connection(desk, mtu):
    """Whatever the two ends agreed to, the pieces are as long as may be, and together the frame."""
    datagram = bytes(range(256)) * 4
    desk.stack.connect(mtu)
    desk.receive()
    desk.link.send(datagram)
    room = min((mtu or 23) - 3, 509)

    assert encode_frame(datagram) == b"".join(desk.stack.pieces)
    assert {room} == {len(piece) for piece in desk.stack.pieces[:-1]}


def test_nothing_is_said_before_the_central_has_written(desk):
    """Who has connected may not listen yet; what would be said to him waits."""
    desk.link.send(b"early")
    desk.stack.connect(opens=False)
    desk.receive()
    assert [] == desk.stack.pieces

    desk.stack.write(b"\xc0")
    desk.receive()

    assert [encode_frame(b"early")] == desk.stack.pieces


def test_stack_without_room_gets_the_rest_later(desk):
    """Nothing is skipped, repeated or overtaken where pieces have to wait."""
    desk.stack.connect()
    desk.stack.room = 3
    desk.link.send(b"z" * 300)
    desk.link.send(b"z" * 300)
    for _ in range(20):
        desk.stack.room = 1
        desk.receive()

    assert encode_frame(b"z" * 300) == b"".join(desk.stack.pieces)


def test_repetition_does_not_begin_a_frame_anew_that_is_on_its_way(desk):
    """On a link slower than the repetitions a frame still arrives; another one that gives way to it is counted as lost."""
    desk.stack.connect()
    desk.stack.room = 1
    desk.link.send(b"a" * 100)
    desk.link.send(b"a" * 100)
    assert desk.link.lost == 0
    desk.link.send(b"b" * 100)
    desk.stack.room = None
    desk.receive()

    assert encode_frame(b"a" * 100) == b"".join(desk.stack.pieces)
    assert desk.link.lost == 1


def test_answers_arrive_in_any_pieces(desk):
    """Pieces of one byte, and several frames in one."""
    desk.stack.connect()
    for byte in encode_frame(b"one"):
        desk.stack.write(bytes([byte]))
    desk.stack.write(encode_frame(b"two") + encode_frame(b"three"))

    assert [b"one", b"two", b"three", None] == [desk.receive() for _ in range(4)]


def test_half_of_a_frame_is_never_joined_with_what_a_later_connection_brings(desk):
    """A connection ends between any two pieces, looked at in between or not: no datagram comes of two halves."""
    frame = encode_frame(b"half and half")
    for at in range(2, len(frame)):
        for looks in (True, False):
            desk.stack.connect()
            desk.stack.write(frame[:at])
            if looks:
                assert desk.receive() is None
            desk.stack.disconnect()
            desk.stack.connect(opens=False)
            desk.stack.write(frame[at:])
            assert desk.receive() is None
            desk.stack.write(encode_frame(b"next"))
            assert desk.receive() == b"next"
            desk.stack.disconnect()


def test_bytes_read_while_the_connection_ends_are_nobodys(desk):
    """The handler may run between any two steps of the loop."""
    desk.stack.connect()
    desk.stack.write(encode_frame(b"old")[:4])
    read = desk.stack.gatts_read

    def interrupted(handle):
        piece = read(handle)
        desk.stack.disconnect()
        desk.stack.connect(opens=False)
        return piece

    desk.stack.gatts_read = interrupted
    assert desk.receive() is None
    desk.stack.gatts_read = read
    desk.stack.write(encode_frame(b"old")[4:])

    assert desk.receive() is None


def test_unanswered_frame_is_said_again_whole_when_a_connection_opens(desk):
    """What was on its way, or sent, when a connection ended goes to the next one from its beginning, once."""
    desk.stack.connect()
    desk.stack.room = 2
    desk.link.send(b"q" * 100)
    desk.stack.disconnect()
    desk.stack.pieces.clear()
    desk.stack.room = None
    desk.stack.connect(247)
    for _ in range(5):
        desk.receive()

    assert [encode_frame(b"q" * 100)] == desk.stack.pieces


def test_answered_frame_is_not_said_again(desk):
    """A connection that opens later brings nothing that was dealt with."""
    desk.stack.connect(247)
    desk.link.send(b"question")
    desk.stack.write(encode_frame(b"answer"))
    assert desk.receive() == b"answer"
    desk.stack.disconnect()
    desk.stack.pieces.clear()
    desk.stack.connect(247)
    desk.receive()

    assert [] == desk.stack.pieces


def test_device_advertises_only_while_it_has_something_to_say(desk):
    """Nothing at first and nothing after an answer; from a datagram on until somebody connects; anew when he leaves without an answer."""
    desk.receive()
    assert [] == desk.stack.asked("advertise")
    desk.link.send(b"question")
    desk.pass_ms(1000)
    assert [advertisement()] == desk.stack.asked("advertise")
    desk.stack.connect()
    desk.stack.disconnect()
    desk.pass_ms(1000)
    assert [advertisement()] * 2 == desk.stack.asked("advertise")
    desk.stack.connect()
    desk.stack.write(encode_frame(b"answer"))
    desk.receive()
    desk.stack.disconnect()
    desk.pass_ms(1000)

    assert [advertisement()] * 2 == desk.stack.asked("advertise")


def test_stack_that_cannot_advertise_yet_is_asked_again(desk):
    """A refusal is no end of it."""
    advertise = desk.stack.gap_advertise

    def refuse(*_args, **_options):
        raise OSError(16)

    desk.stack.gap_advertise = refuse
    desk.link.send(b"question")
    desk.stack.gap_advertise = advertise
    desk.receive()

    assert [advertisement()] == desk.stack.asked("advertise")


def test_stack_that_stopped_by_itself_is_told_to_advertise_again(desk):
    """A connection that failed before it was one ends an advertisement without a word: half a minute is the longest silence."""
    desk.link.send(b"question")
    for _ in range(9):
        desk.pass_ms(10_000)

    assert [advertisement()] * 4 == desk.stack.asked("advertise")


def test_central_that_says_nothing_is_sent_away(desk):
    """After half a minute, so that nobody keeps a device from its gateway by being there."""
    desk.link.send(b"question")
    desk.stack.connect(opens=False)
    desk.receive()
    desk.pass_ms(29_000)
    assert [] == desk.stack.asked("disconnect")
    desk.pass_ms(2_000)

    assert [1] == desk.stack.asked("disconnect")


def test_central_that_never_answers_is_sent_away(desk):
    """After a minute and a half of something said and nothing heard; one that answers stays for ever, however long the silence between."""
    desk.stack.connect()
    desk.pass_ms(3_600_000)
    for _ in range(40):
        desk.link.send(b"question")
        desk.pass_ms(5_000)
        desk.stack.write(encode_frame(b"answer"))
        assert desk.receive() == b"answer"
    assert [] == desk.stack.asked("disconnect")
    for _ in range(10):
        desk.link.send(b"question")
        desk.stack.write(b"noise\xc0")
        desk.pass_ms(10_000)

    assert [1] == desk.stack.asked("disconnect")


def test_closed_link_has_forgotten_what_came_and_what_had_not_left(desk):
    """A new session begins with nothing: no advertisement, no old question, no old answer."""
    desk.link.send(b"question")
    desk.link.close()
    desk.stack.connect()
    desk.receive()

    assert [] == desk.stack.pieces
    assert None is desk.stack.asked("advertise")[-1]


def test_memory_is_bounded_whatever_is_written(desk):
    """Frames that nobody asked for are given up, oldest first."""
    desk.stack.connect()
    desk.stack.write(b"".join(encode_frame(bytes([n])) for n in range(10)))

    assert desk.receive() == b"\x06"
    assert desk.link.lost == 6
