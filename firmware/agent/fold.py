"""The state of a device at boot: nothing but a fold of the durable events of its journal.

The newest whole checkpoint, then every decision after it (its registers, its gates) and every command (its gate, its setting, its
number), then the actions. Rule ticks go on above the highest that any durable event carries, so that a window or a hold never
sees time go back over a boot. Of another bundle than the one in force only gates count: no actuator moves sooner than its gap
because rules were changed.

Source: SPEC.md sections 4.3 and 4.4.
"""

from agent.actuators import DONE
from agent.checkpoint import PartJoiner, decode_checkpoint
from agent.clock import RULE_TICK_MS
from protocol.command import DONE as COMMAND_DONE
from protocol.command import SET_ACTUATOR, SET_SETTING
from protocol.errors import ProtocolError
from protocol.event import ACTION, BOOT, CHECKPOINT, COMMAND, DECISION
from rules.guard import ALLOWED

# positions in the fields of a decision event
_BUNDLE = 3


class Fold:
    """Takes events one after the other, oldest first, and holds what follows from them.

    engine: of the bundle in force; it ends in the state that the journal says. bundle_digest: of that bundle; what another
    bundle decided moves actuators but not this engine.

    positions: action -> position reached; pending: (order of the decision or command, action, value), allowed and not known to
    be carried out, oldest first; now_next: first rule tick above every durable one; period_start: rule tick, or None;
    order: the highest order seen, -1 for none; commands: highest number taken; settings: what commands have set.
    """

    def __init__(self, engine, bundle_digest: bytes):
        self._engine = engine
        self._bundle_digest = bundle_digest
        self._joiner = PartJoiner()
        self._bases = {}
        self.positions = {}
        self.pending = []
        self.now_next = 0
        self.period_start = None
        self.order = -1
        self.commands = 0
        self.settings = {}

    def take(self, boot: int, event: tuple) -> None:
        """Fold one durable event of a boot into the state."""
        order, tick_ms, kind, fields = event
        self.order = max(self.order, order)
        if kind == BOOT:
            self._bases[boot] = fields[1]
        elif kind == CHECKPOINT:
            self._take_part(boot, tick_ms, fields)
        elif kind == DECISION:
            self._take_decision(boot, order, tick_ms, fields)
        elif kind == ACTION:
            self._take_action(order, fields)
        elif kind == COMMAND:
            self._take_command(boot, order, tick_ms, fields)
        self.take_time(boot, tick_ms)

    def take_time(self, boot: int, tick_ms: int) -> None:
        """Note that something durable happened at a tick of a boot, whatever it was."""
        base = self._bases.get(boot)
        if base is not None:
            self._pass_now(base + tick_ms // RULE_TICK_MS)

    def _pass_now(self, now: int) -> None:
        self.now_next = max(self.now_next, now + 1)

    def _take_part(self, boot: int, tick_ms: int, fields: tuple) -> None:
        whole = self._joiner.add(fields)
        if whole is None:
            return
        point = decode_checkpoint(whole)
        self._bases[boot] = point.now - tick_ms // RULE_TICK_MS
        self._pass_now(point.now)
        self.positions = dict(point.positions)
        self.pending = list(point.pending)
        self.period_start = point.period_start
        self.commands = max(self.commands, point.commands)
        self.settings = dict(point.settings)
        if point.bundle[1] == self._bundle_digest:
            self._engine.restore(point.engine)
        else:
            self._engine.carry_gates(point.engine[2])

    def _take_decision(self, boot: int, order: int, tick_ms: int, fields: tuple) -> None:
        now = fields[_BUNDLE + 1]
        self._bases[boot] = now - tick_ms // RULE_TICK_MS
        self._pass_now(now)
        for action, value, verdict, _last in fields[-1]:
            if verdict == ALLOWED:
                self.pending.append((order, action, value))
        if fields[_BUNDLE] != self._bundle_digest:
            for act in fields[-1]:
                self._engine.apply_act(act, now)
        else:
            try:
                self._engine.apply(fields[1:_BUNDLE] + fields[_BUNDLE + 1 :])
            except ProtocolError:
                # Sealed by us, so it is our own bundle's; a rule that went with an older reader changes nothing here.
                return

    def _take_action(self, order: int, fields: tuple) -> None:
        back, action, value, result = fields
        decided = order - back
        self.pending = [act for act in self.pending if act[:2] != (decided, action)]
        if result == DONE:
            self.positions[action] = value

    def _take_command(self, boot: int, order: int, tick_ms: int, fields: tuple) -> None:
        number, demand, verdict, outcome = fields
        self.commands = max(self.commands, number)
        if verdict != COMMAND_DONE:
            return
        if demand[0] == SET_SETTING:
            self.settings[demand[1]] = demand[2]
        elif demand[0] == SET_ACTUATOR:
            self.pending.append((order, demand[1], demand[2]))
            self._engine.apply_act(
                [demand[1], demand[2]] + list(outcome), self._bases[boot] + tick_ms // RULE_TICK_MS
            )
