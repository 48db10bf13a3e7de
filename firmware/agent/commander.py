"""Carries out commands of the office: each number once, whatever the link repeats and wherever the power fails.

A command becomes an event, the event durable, then the floor in the cell rises, then it is carried out. A cut before the event leaves
nothing, and the command comes again; one behind it leaves what a boot needs to end it: the fold of the journal knows number,
setting and act. An act is a position, so that carrying it out again changes nothing.

What is not sealed by the office for this device, or was taken before, is counted and leaves no other trace: whoever can reach the link
could fill the flash otherwise.

Source: SPEC.md section 5.4.
"""

import hashlib

from agent.fetch import NotThere
from agent.small_body import SmallBody
from agent.unset import unset
from protocol._const import const
from protocol.coap import CONTENT
from protocol.command import (
    DONE,
    GUARDED,
    LATE,
    OUT_OF_RANGE,
    REKEY,
    RELINK,
    REPORT,
    ROOT,
    SET_ACTUATOR,
    SET_SETTING,
    SETTINGS,
    TIMELESS,
    UNKNOWN,
    parse_command,
    root_digest,
)
from protocol.errors import PART, REPLAY, UNKNOWN_DEVICE, ProtocolError
from protocol.keys import downlink_key
from protocol.limits import envelope_bytes_max
from rules.guard import ALLOWED, NO_GATE

# After a boot the first time token and the first sample come a little later than the first word of a command, which would end
# without trusted time, or refused by a gate that has nothing to look at.
_WAIT_MS = const(60000)


class Commander:
    """Commands of one boot. device: identity; downlink: key; cell; store(**changes): of the cell; rekeyer: agent.rekeyer. roots: agent.roots.
    relinker: agent.relinker.

    owner: the agent. It says: real_ms(), wall() -> (earliest, latest) or None, has_sampled(), command_tick(), setting(index),
    health(). It does: ask(tick_ms, action, value) -> act of the gate; append_command(tick_ms, fields) -> order or None; expect_act and carry_out(order,
    action, value); change(setting, value); seal_steps() -> whether all is durable; point(name).

    taken: highest number taken; settings: what commands have set, by number of the setting: both as a checkpoint carries them.
    refused: how many did not verify.
    """

    # Neither commands nor what they name wait for a window: agent.bulk.
    is_bulk = False

    def __init__(self, device: bytes, downlink: bytes, cell, store, owner, rekeyer, roots, relinker):
        self._device = device
        self._rekeyer = rekeyer
        self._roots = roots
        self._relinker = relinker
        self.use(downlink)
        self._cell = cell
        self._store = store
        self._owner = owner
        self.taken = 0
        self.settings = {}
        self.refused = 0
        self._newest = 0
        self._hinted_at = None
        self._is_deceived = False
        self._open = unset()
        # A command that waits for the body that it names, and what of that is here.
        self._waiting = unset()
        self._body = unset()

    def use(self, downlink: bytes) -> None:
        """Take commands under this downlink key from now on."""
        self._key = downlink_key(downlink, "command")

    def resume(self, taken: int, settings: dict) -> None:
        """Go on after a boot with what the journal knows: the floor is at least what it says, and settings are in force."""
        if taken > self._cell.command_floor:
            self._store(command_floor=taken)
        self.taken = self._cell.command_floor
        self.settings = settings
        self._rekeyer.resume(self.taken)
        self._roots.resume(self.taken)
        self._relinker.resume(self.taken)
        for setting in sorted(settings):
            # Another agent before this one may have had more of them.
            if setting < len(SETTINGS):
                self._owner.change(setting, settings[setting])

    def hint(self, number, is_to_heartbeat: bool) -> None:
        """Take which command an answer of the gateway names as the newest that waits, None: none.

        Who named one that was none is believed again only in an answer to the next heartbeat.
        """
        if is_to_heartbeat:
            self._is_deceived = False
        elif self._is_deceived or number is None:
            return
        self._newest = number or 0
        self._note_waiting()

    def _note_waiting(self) -> None:
        """Keep since when a command waits; each time that none does, the next one has a wait of its own."""
        if self._newest <= self.taken:
            self._hinted_at = None
        elif self._hinted_at is None:
            self._hinted_at = self._owner.real_ms()

    def next_request(self):
        """Return (path, options) of the command to ask for, or None."""
        if self._open is not None or self._newest <= self.taken:
            return None
        is_ready = self._owner.wall() is not None and self._owner.has_sampled()
        if not is_ready and self._owner.real_ms() - self._hinted_at < _WAIT_MS:
            return None
        if self._waiting is not None:
            return self._body.next_request()
        # Without room for its event a command stays where it is.
        return ("c/{}".format(self.taken + 1), []) if self._owner.seal_steps() else None

    def take(self, response, _elapsed_ms: int) -> None:
        """Take the answer to what next_request() asked for, None if the link failed."""
        if response is None:
            return
        if self._waiting is not None:
            self._take_block(response)
            return
        command = None
        if response.code == CONTENT:
            try:
                command = self._read(response.payload)
            except ProtocolError:
                self.refused += 1
        if command is None:
            self._disbelieve()
        elif command.demand[0] == ROOT and self._judge_time(command) is None:
            self._waiting = command
            self._body = SmallBody("c/{}/0".format(command.number), envelope_bytes_max)
        else:
            self._obey(command)

    def _disbelieve(self) -> None:
        """Ask for no command before the next heartbeat was answered."""
        self._newest, self._hinted_at, self._is_deceived = 0, None, True
        self._waiting = self._body = unset()

    def _take_block(self, response) -> None:
        """Take a block of the body that a command names; obey that command once it is whole."""
        command = self._waiting
        try:
            self._body.take(response)
            if self._body.raw is None:
                return
            if hashlib.sha256(self._body.raw).digest() != root_digest(command.demand):
                raise ProtocolError(
                    PART, "another body than the one that command {} names".format(command.number)
                )
        except NotThere:
            self._disbelieve()
            return
        except ProtocolError:
            self.refused += 1
            self._disbelieve()
            return
        self._obey(command)
        self._waiting = self._body = unset()

    def _read(self, raw: bytes):
        message = parse_command(raw)
        message.verify(self._key)
        command = message.fields
        if command.device != self._device:
            raise ProtocolError(UNKNOWN_DEVICE, "a command for another device")
        if command.number <= self.taken:
            raise ProtocolError(REPLAY, "command {} was taken before".format(command.number))
        return command

    def _obey(self, command) -> None:
        if not self._owner.seal_steps():
            # The room went while it came: it comes again, and no gate has moved for it.
            return
        self._owner.point("before_command")
        tick_ms = self._owner.command_tick()
        verdict, outcome = self._judge(command, tick_ms)
        demand = command.demand
        if verdict == DONE and demand[0] == REKEY:
            self._rekeyer.intend(command.number, demand)
        if verdict == DONE and demand[0] == ROOT:
            self._roots.intend(command.number)
        if verdict == DONE and demand[0] == RELINK:
            self._relinker.intend(command.number, demand)
        order = self._owner.append_command(tick_ms, (command.number, demand, verdict, outcome))
        assert order is not None, "no room behind a seal"
        # Before it is sealed: a checkpoint that sealing makes room for stands behind the event and must know it.
        self.taken = command.number
        self._note_waiting()
        if verdict == DONE and demand[0] == SET_SETTING:
            self.settings[demand[1]] = demand[2]
        if verdict == DONE and demand[0] == SET_ACTUATOR:
            self._owner.expect_act(order, demand[1], demand[2])
        self._open = (order, command, verdict)
        self.turn()

    def turn(self) -> None:
        """End a command whose event is durable; without room for it, it waits."""
        if self._open is None:
            self._rekeyer.turn()
            self._roots.turn(self.taken)
            return
        if not self._owner.seal_steps():
            return
        order, command, verdict = self._open
        self._open = None
        self._store(command_floor=command.number)
        self._owner.point("before_carry_out")
        if verdict == DONE and command.demand[0] == SET_ACTUATOR:
            self._owner.carry_out(order, command.demand[1], command.demand[2])
        elif verdict == DONE and command.demand[0] == SET_SETTING:
            self._owner.change(command.demand[1], command.demand[2])
        elif verdict == DONE and command.demand[0] == REKEY:
            self._rekeyer.turn()
        elif verdict == DONE and command.demand[0] == ROOT:
            self._roots.turn(self.taken)
        elif verdict == DONE and command.demand[0] == RELINK:
            self._relinker.begin()
        self._owner.point("after_command")

    def _judge(self, command, tick_ms: int) -> tuple:
        """Return (verdict, outcome) of a command. An allowed act has moved its gate."""
        untimely = self._judge_time(command)
        if untimely is not None:
            return untimely, None
        demand = command.demand
        if demand[0] == SET_ACTUATOR:
            act = self._owner.ask(tick_ms, demand[1], demand[2])
            if act[2] == NO_GATE:
                return UNKNOWN, None
            return DONE if act[2] == ALLOWED else GUARDED, act[2:]
        if demand[0] == SET_SETTING:
            return self._judge_setting(demand[1], demand[2])
        if demand[0] == REKEY:
            return DONE if self._rekeyer.can(demand) else OUT_OF_RANGE, None
        if demand[0] == RELINK:
            return self._relinker.judge(), None
        if demand[0] == ROOT:
            verdict = self._owner.note_verdict()
            if verdict:
                return verdict, None
            code = self._roots.judge(self._body.raw)
            return (OUT_OF_RANGE, code) if code else (DONE, None)
        return (DONE, self._owner.health()) if demand[0] == REPORT else (UNKNOWN, None)

    def _judge_time(self, command):
        """Return why it is not the time to carry out a command, or None."""
        now = self._owner.wall()
        if now is None:
            return TIMELESS
        return LATE if now[0] >= command.until_ms else None

    def _judge_setting(self, setting: int, value: int) -> tuple:
        if setting >= len(SETTINGS):
            return UNKNOWN, None
        _name, low, high = SETTINGS[setting]
        if not low <= value <= high:
            return OUT_OF_RANGE, None
        return DONE, self._owner.setting(setting)
