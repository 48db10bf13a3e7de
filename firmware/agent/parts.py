"""Builds the parts of the agent from its settings and its board, each with what it needs of the others.

Nothing runs here yet and nothing is recorded: app.py boots and runs what is built. What a part asks of the agent and tells it goes
through host.py; here are only the few ways of the parts to link, cell and clock that mark what is being recorded, and the
counters in which the parts say how they stand.

Source: SPEC.md sections 4.4, 5 and 12.6.
"""

import hashlib

from agent.actuators import Actuators
from agent.adopter import Adopter
from agent.bulk import Bulk
from agent.cell import Cell
from agent.checkpointer import Checkpointer
from agent.clock import Clock
from agent.commander import Commander
from agent.exchange import Exchange, ExchangeSettings
from agent.flash import Window
from agent.incumbent import Incumbent, choose_at_boot
from agent.journal import Journal
from agent.keystore import Keystore
from agent.layout import CELL_SECTOR, KEY_SECTOR, RING_SECTOR, SLOTS_SECTORS
from agent.recorder import Decider, Recorder
from agent.rekeyer import Rekeyer
from agent.relinker import Relinker
from agent.resources import BATTERY, FLASH, LINK
from agent.roots import Roots
from agent.sampler import Sampler
from agent.schema import read_schema
from agent.session import Session
from agent.slots import Slots
from agent.steward import Steward
from agent.telemetry import Telemetry
from agent.watchdog import Watchdog
from protocol.aead import ctr


class Parts:
    """The parts of one boot of one device. config: Config; board: Board. What asks and tells, Host adds."""

    def __init__(self, config, board):
        self._config = config
        self._board = board
        self._is_stopping = False
        self._has_sampled = False
        # False only while nothing but waiting and link code runs. Whoever is interrupted while it is True (Ctrl-C) may have
        # left flash and memory apart, and starts over from flash.
        self.is_recording = True
        self._clock = Clock(board.ticks_ms, board.ticks_diff, config.clock_scale)
        self._channels = read_schema(board.schema)
        self._schema_digest = hashlib.sha256(board.schema).digest()
        self._choose_rules()
        self._open_flash()
        self._recorder = Recorder(self._journal, self._clock, board.note)
        self._build_exchange()
        self._build_sampling()
        self._build_way_down()
        self._build_economy()

    @property
    def boot(self) -> int:
        """How often this device has started."""
        return self._clock.boot

    @property
    def engine(self):
        """The engine that decides."""
        return self.incumbent.engine

    def _choose_rules(self) -> None:
        board = self._board
        self._cell = Cell(board.flash, CELL_SECTOR)
        self._cell.load()
        self._slots = Slots(board.flash)
        before = self._cell.release[:2]
        self.incumbent, changes = choose_at_boot(
            self._cell, self._slots, board.reset_cause, self.take, board.rooms, board.is_counted
        )
        self._cell.store(boot=self._cell.boot + 1, **changes)
        self._clock.boot = self._cell.boot
        if self.incumbent.agent != board.agent and self._cell.release[:2] != before:
            # A trial or slot was found to be over in this boot, and another agent goes with what decides now.
            board.restart()

    def take(self, body) -> Incumbent:
        """Return rules that could decide, None: those that the device was provisioned with. Raises ProtocolError."""
        body = self._board.bundle if body is None else body
        return Incumbent(body, self._schema_digest, len(self._channels))

    def _open_flash(self) -> None:
        board = self._board
        self._keystore = Keystore(board.flash, KEY_SECTOR)
        self._keystore.open()
        config = self._config
        self._relinker = Relinker(config.device, (config.kid, config.secret), self._keystore, self)
        self._journal = Journal(
            Window(board.flash, board.flash.sectors - SLOTS_SECTORS),
            self._cell,
            self._keystore,
            config.device,
            config.classes,
            lambda key, iv, text: ctr(board.aes(key), iv, text),
            point=board.point,
            first_sector=RING_SECTOR,
        )

    def _build_session(self) -> None:
        config = self._config
        board = self._board
        kid, secret = self._relinker.link()
        self._session = Session(
            board.link,
            self._cell.boot,
            board.aes,
            secret,
            kid,
            board.ticks_ms,
            board.random_bytes,
            config.ack_timeout_ms,
        )

    def _build_exchange(self) -> None:
        config = self._config
        board = self._board
        self._build_session()
        self._exchange = Exchange(
            self._request,
            self._journal,
            config.device,
            self._keystore.downlink(),
            self._clock,
            board.random_bytes,
            ExchangeSettings(config.heartbeat_ms, config.ack_timeout_ms),
            self._report,
            self,
            board.point,
            Bulk(self._clock, config.bulk_window),
        )

    def _build_sampling(self) -> None:
        board = self._board
        self.actuators = Actuators(self.incumbent.safe_positions(), board.move)
        self._sampler = Sampler(board.sensor, self._channels, self._config.sample_ms)
        self._decider = Decider(
            self._recorder,
            self._journal,
            self._clock,
            self.incumbent,
            self.actuators,
            self._clock.is_trusted,
            self._exchange.is_online,
            board.point,
        )
        self._watchdog = Watchdog(board.feed, board.starve)

    def _build_way_down(self) -> None:
        config = self._config
        rooms = self._board.rooms
        self._adopter = Adopter(self._cell, self._store, self._slots, self, config.adopt, rooms)
        rekeyer = Rekeyer(config.device, self._keystore, self._journal, self)
        downlink = self._keystore.downlink()
        self._roots = Roots(config.roots, self._keystore, self)
        self._commander = Commander(
            config.device, downlink, self._cell, self._store, self, rekeyer, self._roots, self._relinker
        )
        self._exchange.errands = (self._commander, self._adopter)
        self._checkpointer = Checkpointer(
            self._recorder,
            self._journal,
            self._clock,
            self.actuators,
            self._decider,
            self._commander,
            self._schema_digest,
            self._board.agent_digest,
        )
        self._checkpointer.incumbent = self.incumbent

    def _build_economy(self) -> None:
        config = self._config
        self._telemetry = Telemetry(
            self._channels, self.health, self._moved, self._clock.real_ms, config.inputs_ms
        )
        self._steward = Steward(
            self._board,
            self._recorder,
            self._journal,
            self._clock,
            self._exchange,
            self._telemetry,
            self._hold_releases,
            self._checkpointer.write_when_whole,
            config,
        )

    def _moved(self) -> int:
        return self._steward.moved()

    def _hold_releases(self, is_held: bool) -> None:
        if not self._is_stopping:
            self._exchange.errands = (self._commander,) if is_held else (self._commander, self._adopter)

    async def _request(self, code: int, path: str, payload: bytes, options):
        # Before each: a backlog after an outage is thousands of requests without a pause.
        self._watchdog.check_in("exchange", self._clock.real_ms())
        self._session.use(*self._relinker.link())
        self.is_recording = False
        try:
            response = await self._session.request(code, path, payload, options)
        except Exception:
            # Not `finally`: an interrupt must leave the mark as it found it.
            self.is_recording = True
            self._relinker.failed()
            raise
        self.is_recording = True
        self._relinker.answered()
        return response

    def _store(self, **changes) -> None:
        was_recording = self.is_recording
        self.is_recording = True
        self._cell.store(**changes)
        self.is_recording = was_recording

    async def _pause(self, real_ms: int) -> None:
        self.is_recording = False
        await self._board.sleep_ms(real_ms)
        self.is_recording = True

    def _report(self) -> tuple:
        return (self.incumbent.bundle.version, self.incumbent.digest), self._telemetry.said()

    def health(self) -> dict:
        """Return the counters of SPEC.md section 5.1."""
        flash = self._board.flash
        counters = {
            0: self._board.free_heap(),
            1: flash.erases,
            2: flash.programmed,
            3: self._session.sent_again(),
            4: self._exchange.failed + self._commander.refused,
            5: self._recorder.thinned,
            6: self._sampler.not_good,
            7: self._exchange.waiting(),
            8: self._journal.torn_pages,
            13: self._exchange.spaced_ms,
        }
        self._add_later(counters)
        return counters

    def _add_later(self, counters: dict) -> None:
        steward = self._steward
        levels = steward.levels
        for key, value in (
            (9, self._board.reset_cause),
            (10, steward.heap_lowest),
            (11, levels.lowest[FLASH]),
            (12, levels.packed()),
            (16, steward.moved()),
            (17, self._sampler.driver_faults()),
            (18, self._board.link.lost),
            (19, self._exchange.answer_ms),
            (20, steward.day_bytes),
            (21, self._relinker.number()),
        ):
            if value:
                counters[key] = value
        for key, resource in ((14, BATTERY), (15, LINK)):
            if steward.left[resource] is not None:
                counters[key] = steward.left[resource]
