"""Somebody who hears all links of a site, jams some, and stands in the middle of others; he has no key.

Downgrade: he jams UDP, so that the device goes over to its serial line, where he takes the protection off its requests, cuts their ID Context
off as an older version has none, and answers in the gateway's place that protection is not wanted or not known, or that all is well. The
device may say nothing without protection, and the gateway take nothing of that kind.

Replay: what the device said over each of UDP, the serial line and BLE is played to the gateway over the two others. All of it must be refused
with a code alone, and change nothing.
"""

import asyncio
import contextlib
import socket

from protocol import coap
from protocol.diagnostic import DiagnosticError
from protocol.errors import ProtocolError
from protocol.oscore import decode_option, encode_option
from tests.drills import radio_gateway, strangers
from tests.drills.books import count
from tests.drills.field import Make, lay_out, plant
from tests.drills.judgement import judge_events, judge_verify
from tests.drills.wiretap import Wiretap
from tests.site.harness import stop_services, until, waiting
from tests.support.serial_lines import Plug
from tools.drills.plan import CI
from tools.drills.row import Row, Sign
from tools.ports import free_port
from tools.site_proof import prove_site

BAUD = 115_200
UDP, SERIAL, BLE = "udp", "serial", "ble"
# Requests of the device over each link, and how many of those are played on a link on which many may be.
SIZES = {CI: (8, 8), "soak": (400, 400)}
# A stranger's turn over BLE ends after three refusals, and comes again later and later.
PLAYED_ON_BLE = 3
PATIENCE_S = 60.0


class Field:
    """The site and the attacker. heard: link -> what the gateway got of the device there; said: all that the device said over UDP;
    met: (what he did, the gateway's answer to it or None) of a downgrade; played: (heard on, played on) -> (answers, how many were played).
    """

    def __init__(self, site):
        self.site = site
        self.is_jammed = False
        self.said = []
        self.heard = {UDP: [], SERIAL: [], BLE: []}
        self.met = []
        self.played = {}
        ends = [Plug(site.folder.resolve() / name) for name in ("ttyS1", "ttyUSB0")]
        self.wire = Wiretap(*ends)
        self.radio_port = free_port(socket.SOCK_STREAM)
        site.link.keep = self._keep
        _put_on_wire(site, *ends)

    def _keep(self, upward, datagram):
        if upward:
            self.said.append(datagram)
            if not self.is_jammed:
                self.heard[UDP].append(datagram)
        return not self.is_jammed

    def segments(self):
        """Return how many segments of the device the office holds."""
        return count(self.site.office_folder / "office.db", "segments", self.site.device_ids[0], is_live=True)

    def ask_udp(self):
        """Return a socket of the attacker's own at the gateway."""
        return strangers.open_socket(self.site.gateway_port)


def _put_on_wire(site, device_end, gateway_end):
    config = site.gateway_folder / "gateway.toml"
    config.write_text(
        f'{config.read_text()}\n[ble]\n[[serial]]\nport = "{gateway_end.path}"\nbaud = {BAUD}\n'
    )
    config = site.devices[0].folder / "device.toml"
    text = config.read_text()
    more = f'[link]\nserial = "{device_end.path}"\nbaud = {BAUD}\norder = ["udp", "serial"]\n'
    config.write_text(text.replace("[link]\n", more, 1))


async def run(folder, size, seed, say, *, prepare=lambda site: None, drain_ms=40_000):
    """Return two rows: downgrade and replay. prepare(site): may change how its processes start."""
    site = await lay_out(folder, [Make("pump", per_s=8, seal_s=0.25, drain_ms=drain_ms)])
    field = Field(site)
    downgrade = Row(
        "downgrade between links", "UDP is jammed, and protection taken off on the serial line", seed, size
    )
    replay = Row("replay over another link", "what was said on one link is played on the others", seed, size)
    plant(site.gateway, "tests.drills.radio_gateway")
    prepare(site)
    carrying = asyncio.create_task(field.wire.run())
    try:
        await _story(field, SIZES[size], say)
    except (AssertionError, DiagnosticError, OSError) as error:
        replay.faults.append(f"story: {type(error).__name__}: {error}")
    finally:
        carrying.cancel()
        await site.close()
    _judge_downgrade(downgrade, field)
    _judge_replay(replay, field)
    return [downgrade, replay]


async def _story(field, amounts, say):
    site, (requests, plays) = field.site, amounts
    await asyncio.gather(
        site.office.start(), site.gateway.start({radio_gateway.VARIABLE: str(field.radio_port)})
    )
    await site.devices[0].start()
    await until(lambda: len(field.heard[UDP]) >= requests, "the device says nothing over UDP")
    say("UDP is jammed, and the serial line is in the wrong hands")
    field.is_jammed = True
    attack = Downgrade(field)
    field.wire.between = attack
    await until(lambda: attack.is_over, "the device does not meet every attack on its serial line")
    await _carry_honestly(field, requests)
    say("what was said on each link is played on the others")
    await until(lambda: not waiting(site), "the gateway's outbox is not empty")
    await _play_all(field, plays)
    field.wire.between, field.wire.is_held, field.is_jammed = None, False, False
    before = field.segments()
    await until(lambda: field.segments() > before + 2, "the device is not served any more")
    await site.devices[0].stop(2, PATIENCE_S)
    await until(lambda: not waiting(site), "the gateway's outbox is not empty")
    await stop_services(site)


# downgrade


class Downgrade:
    """What is done to one request of the device after the other. A refusal without protection lets it try again later."""

    ANSWERS = (coap.UNAUTHORIZED, coap.BAD_OPTION, coap.NOT_FOUND, coap.CHANGED)

    def __init__(self, field):
        self._field = field
        self._left = [self._strip, self._age, *(self._answering(code) for code in self.ANSWERS)]
        self._last = b""
        self._done = None

    @property
    def is_over(self):
        """Say whether everything was done to a request."""
        return not self._left

    def __call__(self, datagram):
        if datagram[:8] != self._last:
            # Another request: the next thing is done to it, and to its repetitions.
            self._last = datagram[:8]
            self._done = self._left.pop(0) if self._left else None
        if self._done is None or not _is_protected(datagram):
            self._field.wire.up(datagram)
        else:
            self._done(datagram)

    def _strip(self, datagram):
        """The same request, and nothing says that it is protected."""
        message = coap.decode(datagram)
        message.options = coap.path_options("s")
        self._say_over_udp("protection taken off", message)

    def _age(self, datagram):
        """Without the ID Context: an older version had none."""
        message = coap.decode(datagram)
        piv, kid, _ = decode_option(coap.option(message.options, coap.OSCORE))
        message.options = [(coap.OSCORE, encode_option(piv, kid, None))]
        self._say_over_udp("ID Context taken off", message)

    def _say_over_udp(self, what, message):
        """Ask the gateway, and give the device what it says."""
        with self._field.ask_udp() as at:
            at.setblocking(True)
            at.settimeout(2.0)
            at.send(coap.encode(message))
            with contextlib.suppress(TimeoutError):
                answer = at.recv(2048)
                self._field.met.append((what, coap.decode(answer)))
                self._field.wire.down(answer)

    def _answering(self, code):
        def answer(datagram):
            message = coap.decode(datagram)
            said = coap.Message(coap.ACK, code, message.message_id, message.token, [], b"")
            self._field.met.append((f"answered {coap.code_text(code)}", None))
            self._field.wire.down(coap.encode(said))

        return answer


def _judge_downgrade(row, field):
    said = field.said + field.wire.said
    row.done = {"datagrams of the device": len(said), "attacks": len({what for what, _ in field.met})}
    bare = [datagram for datagram in said if not _is_protected(datagram)]
    row.require(not bare, "protected", f"the device said {len(bare)} datagrams without protection")
    answers = [(what, answer) for what, answer in field.met if answer is not None]
    row.require(
        row.done["attacks"] == 6, "seen", f"attacks that a request met: {sorted({w for w, _ in field.met})}"
    )
    taken = [f"{what}: {coap.code_text(one.code)}" for what, one in answers if one.code < coap.BAD_REQUEST]
    row.require(not taken, "refused", f"the gateway takes it: {taken[:3]}")
    row.signs = [
        Sign(f"{what}: {coap.code_text(one.code)}", "gateway") for what, one in dict(answers).items()
    ]


def _is_protected(datagram):
    """Say whether a datagram shows nothing but a protected request, or that one was heard."""
    try:
        message = coap.decode(datagram)
    except ProtocolError:
        return False
    return message.code == coap.EMPTY or [number for number, _ in message.options] == [coap.OSCORE]


# replay


async def _carry_honestly(field, requests):
    """Let the device speak over the serial line as it is, and then over BLE, by the attacker's own radio: he is a carrier like others."""
    wire = field.wire
    wire.between = lambda datagram: (field.heard[SERIAL].append(datagram), wire.up(datagram))
    await until(lambda: len(field.heard[SERIAL]) >= requests, "the device says nothing over its serial line")
    reader, writer = await _connect(field.radio_port)
    waiting_to_go = asyncio.Queue()
    wire.between = waiting_to_go.put_nowait
    try:
        while len(field.heard[BLE]) < PLAYED_ON_BLE:
            datagram = await asyncio.wait_for(waiting_to_go.get(), PATIENCE_S)
            field.heard[BLE].append(datagram)
            radio_gateway.write_datagram(writer, datagram)
            wire.down(await radio_gateway.read_datagram(reader))
    finally:
        wire.is_held = True
        writer.close()


async def _connect(port):
    """Return the attacker's radio; it is there once the gateway has looked around."""
    for _ in range(100):
        with contextlib.suppress(ConnectionRefusedError):
            return await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.1)
    raise AssertionError("the gateway's radio does not come up")


async def _play_all(field, plays):
    """Play what was heard on each link on the two others, while the device is silent."""
    before = field.segments()
    for heard in field.heard:
        for link, play in ((UDP, _play_udp), (SERIAL, _play_serial), (BLE, _play_ble)):
            # What came over both is the same message there: it is answered with the same bytes, not carried out.
            on_it = set(field.heard[link])
            samples = [one for one in field.heard[heard] if one not in on_it and not _is_empty(one)]
            if link != heard:
                samples = samples[: PLAYED_ON_BLE if link == BLE else plays]
                field.played[heard, link] = (await play(field, samples), len(samples))
    field.grown = field.segments() - before


def _is_empty(datagram):
    return len(datagram) <= 4


async def _play_udp(field, samples):
    answers = []
    loop = asyncio.get_running_loop()
    with field.ask_udp() as at:
        for datagram in samples:
            await loop.sock_sendall(at, datagram)
            with contextlib.suppress(TimeoutError):
                answers.append(await asyncio.wait_for(loop.sock_recv(at, 2048), 5.0))
    return answers


async def _play_serial(field, samples):
    wire = field.wire
    wire.answers.clear()
    for at, datagram in enumerate(samples):
        wire.up(datagram)
        with contextlib.suppress(AssertionError):
            await until(lambda at=at: len(wire.answers) > at, "no answer", 5.0)
    return list(wire.answers)


async def _play_ble(field, samples):
    reader, writer = await _connect(field.radio_port)
    answers = []
    for datagram in samples:
        radio_gateway.write_datagram(writer, datagram)
        answers.append(await radio_gateway.read_datagram(reader))
    writer.close()
    return [answer for answer in answers if answer]


def _judge_replay(row, field):
    row.done = {f"{heard} on {link}": asked for (heard, link), (_, asked) in field.played.items()}
    for (heard, link), (answers, asked) in field.played.items():
        where = f"{heard} on {link}"
        row.require(0 < len(answers) >= asked, "seen", f"{where}: {len(answers)} answers to {asked} plays")
        wrong = [coap.decode(one) for one in answers if not _is_refusal(coap.decode(one))]
        told = [coap.code_text(one.code) for one in wrong]
        row.require(not wrong, "refused", f"{where}: answered {told[:4]}")
        if answers and not wrong:
            row.signs.append(Sign(f"{len(answers)} of {where} refused", "gateway"))
    row.require(len(field.played) == 6, "seen", f"played {sorted(field.played)}")
    grown = getattr(field, "grown", 0)
    row.require(grown == 0, "doubled", f"the office got {grown} segments from what was played")
    proof = prove_site(field.site)
    judge_events(row, proof)
    row.figures["events_recorded"] = proof.figures["events_recorded"]
    judge_verify(row, field.site)


def _is_refusal(answer):
    """Say whether an answer is a code of refusal alone."""
    is_bare = not answer.payload and coap.option(answer.options, coap.OSCORE) is None
    return answer.code == coap.UNAUTHORIZED and is_bare
