"""Replays what a device decided, with the very files that ran on it.

Two ways, each with its coverage:
    step  every decision event, alone, from the inputs and registers that it carries;
    run   from a whole checkpoint through every sample after it, in order, so that a decision that should be there and is
          not is found too. It stops where an order is missing and at a boot, and starts again at the next whole checkpoint:
          in between nobody can know the registers. A sample that was thinned moved them, and its values are not recorded: no
          count of it could stand for it. A device writes a checkpoint where thinning ends. A checkpoint that was written to make room may fall into the middle of
          a sample's turn, before the rules saw it, so no run starts from one while a sample is open.

Whether wall time was trusted and a gateway answered are inputs of the gates that only decisions record. Without a request
no gate is asked, so samples without a decision need neither; those with one take them from it.

A command of the office passes the same gates as rules do, so a run applies what its event says of the gate. A release that begins or ends
does so with an event and a checkpoint of its own (takeover.py): the run goes on from it under the other bundle, whose registers begin
anew and whose gates are carried over. A checkpoint that names another bundle without that ends the run, and is a finding.

Events are fed in the order of the device, both lanes together, epoch by epoch: each begins anew (lives.py). Source: SPEC.md sections 4.3 and 4.4; rules/SPEC.md section 10.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from office_ingest.prove.takeover import ADOPT, TO_MAKE_ROOM, Takeover
from protocol.cbor import loads
from protocol.command import SET_ACTUATOR
from protocol.errors import RULE, ProtocolError
from protocol.event import ADOPTION, BOOT, CHECKPOINT, COMMAND, DECISION, GOOD, RULE_FAULT, SAMPLE, THINNING
from rules.bundle import Bundle
from rules.engine import Engine
from rules.guard import ONLINE, TRUSTED_TIME
from rules.replay import StepReplay

Event = tuple[int, int, int, tuple[Any, ...]]  # order, tick_ms, kind, fields
Found = Callable[[int, str], None]  # order, what

# of a checkpoint's map, SPEC.md section 4.4
_REASON, _NOW, _BUNDLE, _ENGINE = 1, 2, 3, 7
RULE_TICK_MS = 100
# of a decision's fields, wire.cddl
_DECISION_FIELDS = 12


class Decision(NamedTuple):
    """A decision event taken apart: order of its cause, bundle digest, and the tuple that rules.engine makes."""

    cause: int
    bundle: bytes
    made: tuple[Any, ...]


class Counts:
    """What was replayed, and of how much."""

    def __init__(self) -> None:
        self.decisions = 0
        self.decisions_equal = 0
        self.samples = 0
        self.samples_run = 0
        self.checkpoints = 0
        self.thinned = 0

    def add(self, other: "Counts") -> None:
        """Add another device's counts."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def coverage(self) -> float:
        """Return the part of the samples held that run replay evaluated; 1.0 if there are none."""
        return self.samples_run / self.samples if self.samples else 1.0


class _Pending:
    """A sample whose decisions are still being collected."""

    def __init__(self, event: Event, boot: int):
        self.order, self.tick_ms, _, (self.values, self.qualities) = event
        self.boot = boot
        self.decisions: list[Decision] = []
        self.faults: list[tuple[Any, Any]] = []


class _Held(NamedTuple):
    """What a whole checkpoint sets up. order: of its first part."""

    order: int
    reason: int
    bundle: bytes
    engine: Engine
    now_base: int


class DeviceReplay:
    """Replays one device. bundle_of: digest -> Bundle, or None if the office does not hold it.

    found: told of what is wrong with an event by itself. found_in_run: of what does not follow from those before it.
    """

    def __init__(
        self,
        bundle_of: Callable[[bytes], Bundle | None],
        found: Found,
        takeover: Takeover | None = None,
        found_in_run: Found | None = None,
    ):
        self.counts = Counts()
        self._bundle_of = bundle_of
        self._found = found
        self._found_in_run = found if found_in_run is None else found_in_run
        self._takeover = Takeover() if takeover is None else takeover
        self._held: _Held | None = None
        self._steps: dict[bytes, StepReplay] = {}
        self._engine: Engine | None = None
        self._engine_bundle = b""
        self._now_base: int | None = None
        self._last: tuple[int, int] | None = None  # order, boot
        self._pending: _Pending | None = None
        self._parts: list[bytes] = []
        self._parts_start = 0

    def feed(self, boot: int, event: Event, *, is_after_loss: bool = False) -> None:
        """Take the next event of the device. Raises nothing for what an event holds.

        is_after_loss: critical segments between this event and the critical one before may be missing, or cannot be read.
        """
        order, _, kind, fields = event
        if self._last is not None and self._last != (order - 1, boot):
            self._stop()
            if is_after_loss:
                self._takeover.forget()
        if self._last is None or self._last[1] != boot:
            self._now_base = None
        self._last = (order, boot)
        if kind == SAMPLE:
            self._settle(is_complete=True)
            self._give_up_held()
            self.counts.samples += 1
            self._pending = _Pending(event, boot)
        elif kind == DECISION:
            self._decision(order, fields)
        elif kind == CHECKPOINT:
            self._part(event)
        elif kind == COMMAND:
            self._command(event)
        elif kind == ADOPTION:
            self._adoption(fields)
        elif kind == BOOT:
            self._stop()
            self._now_base = fields[1] if len(fields) == 2 and isinstance(fields[1], int) else None
        elif kind == THINNING:
            self.counts.thinned += fields[1]
        elif kind == RULE_FAULT and self._pending is not None and len(fields) == 3:
            if order - fields[0] == self._pending.order:
                self._pending.faults.append((fields[1], fields[2]))

    def begin_anew(self) -> None:
        """A new epoch begins: the device may have gone back to an older state, and whatever its next checkpoint says is believed."""
        self._stop()
        self._takeover.forget()
        self._last = None

    def finish(self) -> Counts:
        """Settle what is still open and return the counts."""
        self._stop()
        return self.counts

    def _stop(self) -> None:
        self._settle(is_complete=False)
        self._engine = self._held = None
        self._takeover.drop()
        self._parts = []

    # step

    def _decision(self, order: int, fields: tuple[Any, ...]) -> None:
        self.counts.decisions += 1
        decision = read_decision(order, fields)
        if decision is None:
            self._found(order, "the decision is not of the shape that wire.cddl gives it")
            return
        self._step(order, decision)
        if self._pending is not None and self._pending.order == decision.cause:
            self._pending.decisions.append(decision)
        elif self._engine is not None:
            self._found_in_run(
                order, f"the decision names event {decision.cause} as its sample, and that is none before it"
            )

    def _step(self, order: int, decision: Decision) -> None:
        if decision.bundle not in self._steps:
            bundle = self._bundle_of(decision.bundle)
            if bundle is None:
                self._found(
                    order, f"the office does not hold bundle {decision.bundle.hex()[:16]} of this decision"
                )
                return
            self._steps[decision.bundle] = StepReplay(bundle)
        differences = self._steps[decision.bundle].differences(decision.made)
        if differences:
            self._found(order, "step replay decides otherwise: " + describe(differences))
        else:
            self.counts.decisions_equal += 1

    # run

    def _settle(self, *, is_complete: bool) -> None:
        """Evaluate the pending sample. is_complete: every event between it and the next is held."""
        pending, self._pending = self._pending, None
        engine, now_base = self._engine, self._now_base
        if pending is None or engine is None:
            return
        if now_base is None:
            self._engine = None
            return
        recorded = [decision.made for decision in pending.decisions]
        flags = recorded[0][6] if recorded else 0
        made = _evaluate(engine, pending, now_base + pending.tick_ms // RULE_TICK_MS, flags)
        if made is None:
            self._found_in_run(
                pending.order, "run replay cannot evaluate this sample: its time or channels do not fit"
            )
            self._engine = None
            return
        faults = [(rule, code) for rule, _now, code in engine.faults]
        is_equal = (
            _plain(made) == _plain(recorded) and faults == pending.faults and self._same_bundle(pending)
        )
        if is_equal:
            self.counts.samples_run += 1
        elif is_complete or not _is_begun(made, recorded) or not _is_begun(faults, pending.faults):
            self._found_in_run(pending.order, "run replay decides otherwise: " + _compare(made, recorded))
            self._engine = None

    def _same_bundle(self, pending: _Pending) -> bool:
        return all(decision.bundle == self._engine_bundle for decision in pending.decisions)

    def _command(self, event: Event) -> None:
        """Move the gate that a command passed; what came before it was decided without it."""
        order, tick_ms, _, (_number, demand, _verdict, outcome) = event
        if demand[0] != SET_ACTUATOR or not isinstance(outcome, list):
            return
        self._settle(is_complete=True)
        if self._engine is None or self._now_base is None:
            return
        try:
            self._engine.apply_act([demand[1], demand[2], *outcome], self._now_base + tick_ms // RULE_TICK_MS)
        except ProtocolError as error:
            self._found_in_run(order, f"the command cannot be taken up: {error}")
            self._engine = None

    def _part(self, event: Event) -> None:
        order, tick_ms, _, fields = event
        if len(fields) != 3 or not isinstance(fields[2], bytes):
            self._found(order, "a checkpoint part is not [index, of, bytes]")
            return
        index, of, part = fields
        if index == 0:
            self._parts, self._parts_start = [], order
        if index != len(self._parts) or order != self._parts_start + index:
            self._parts = []
            return
        self._parts.append(part)
        if len(self._parts) == of:
            self._restore(b"".join(self._parts), tick_ms)
            self._parts = []

    def _restore(self, data: bytes, tick_ms: int) -> None:
        order = self._parts_start
        try:
            items = loads(data)
            reason, (version, digest), state = items[_REASON], items[_BUNDLE], items[_ENGINE]
            if reason == TO_MAKE_ROOM and self._pending is not None:
                return
            bundle = self._bundle_of(digest)
            if bundle is None:
                raise ProtocolError(RULE, f"the office does not hold its bundle {digest.hex()[:16]}")
            engine = Engine(bundle)
            engine.restore(state)
            held = _Held(order, reason, digest, engine, items[_NOW] - tick_ms // RULE_TICK_MS)
        except (ProtocolError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            self._found(order, f"the checkpoint cannot be taken up: {error}")
            self._stop()
            return
        self._settle(is_complete=True)
        wrong = self._takeover.take(reason, version, digest)
        if wrong:
            self._found_in_run(order, wrong)
            self._stop()
        elif self._takeover.is_held:
            self._engine, self._held = None, held
        else:
            self._check_state(held, bundle)
            self._take_up(held)

    def _check_state(self, held: _Held, bundle: Bundle) -> None:
        """Find a checkpoint whose state is not what the run so far comes to; of a bundle that takes over: its first values, and the gates."""
        if self._engine is None:
            return
        expected = self._engine
        if held.reason == ADOPT or held.bundle != self._engine_bundle:
            expected = Engine(bundle)
            expected.carry_gates(self._engine.state()[2])
        if _plain(expected.state()) != _plain(held.engine.state()):
            self._found_in_run(held.order, "the checkpoint's state is not the one that run replay comes to")

    def _take_up(self, held: _Held) -> None:
        self._engine, self._engine_bundle, self._now_base = held.engine, held.bundle, held.now_base
        self._held = None
        self.counts.checkpoints += 1

    def _adoption(self, fields: tuple[Any, ...]) -> None:
        """Take what an adoption event says of who decides; a boot's checkpoint may have waited for it."""
        self._takeover.tell(*fields)
        if self._held is not None and not self._takeover.is_held:
            self._take_up(self._held)

    def _give_up_held(self) -> None:
        wrong = self._takeover.sampled()
        if wrong and self._held is not None:
            self._found_in_run(self._held.order, wrong)
        self._held = None


def read_decision(order: int, fields: tuple[Any, ...]) -> Decision | None:
    """Return a decision event taken apart, or None if it is no decision. Source: wire.cddl."""
    if len(fields) != _DECISION_FIELDS:
        return None
    back, rule, mode, bundle, *rest = fields
    if not isinstance(back, int) or not isinstance(bundle, bytes):
        return None
    return Decision(order - back, bundle, (rule, mode, *rest))


def describe(differences: list[tuple[str, Any, Any]]) -> str:
    """Return differences as one line: field, what was recorded, what replay gives."""
    return "; ".join(f"{field} is {recorded}, not {replayed}" for field, recorded, replayed in differences)


def _evaluate(engine: Engine, pending: _Pending, now: int, flags: int) -> list[Any] | None:
    good_mask = sum(1 << at for at, quality in enumerate(pending.qualities) if quality == GOOD)
    values = [0 if value is None else value for value in pending.values]
    trusted_time, online = bool(flags & TRUSTED_TIME), bool(flags & ONLINE)
    try:
        return list(engine.sample(now, values, good_mask, trusted_time=trusted_time, online=online))
    except ValueError:
        return None


def _is_begun(made: list[Any], recorded: list[Any]) -> bool:
    """Say whether what is recorded is how what was made begins: the rest may lie in what is missing."""
    return _plain(made[: len(recorded)]) == _plain(recorded)


def _compare(made: list[Any], recorded: list[Any]) -> str:
    if len(made) > len(recorded):
        return f"{len(made)} decisions where {len(recorded)} are recorded; the first missing is of rule {made[len(recorded)][0]}"
    if len(made) < len(recorded):
        return f"{len(recorded)} decisions are recorded where it makes {len(made)}"
    for one, other in zip(made, recorded, strict=True):
        if _plain(one) != _plain(other):
            return f"rule {other[0]} recorded {_plain(other)}, replay gives {_plain(one)}"
    return "another fault of a rule, or another bundle than the checkpoint's"


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
