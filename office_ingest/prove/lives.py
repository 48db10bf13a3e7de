"""Tells where what is held of one device is of two lives: its flash was put back from an older image, or it was cloned.

Such a device goes on from the state of its image, uses orders again, and counts boots from there. Until a receipt tells it so it goes on
in the same epoch, so that one lane may hold the life before and the other the life after. From its next epoch on all is of the new one.

Within an epoch, by order, boots never fall, and neither do the ticks of samples and of what is decided about them, within a boot. What
breaks that is of another life, whose first event lies somewhere before: where, is known only afterwards. So what a run finds is kept
until its epoch ends, and dropped from where two lives may be mixed: a run over both says nothing of either. What a decision says by
itself stands, and so does what was found before.

Source: SPEC.md sections 4.1 and 5.2.
"""

import heapq
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from office_ingest.prove.report import Report
from protocol.event import DECISION, RULE_FAULT, SAMPLE
from protocol.keys import CRITICAL

# These have the tick of their sample, and samples are taken one after the other.
_IN_TURN = (SAMPLE, DECISION, RULE_FAULT)
_WHY = "the flash was restored or cloned"


class _Boot:
    """A boot within an epoch. first: order of its first event, or of the sample before, whose turn may not have ended; tick_ms: newest in turn."""

    def __init__(self, first: int):
        self.first = first
        self.tick_ms = -1


class _Kept(NamedTuple):
    """A finding that waits for the end of its epoch."""

    order: int
    where: str
    what: str
    of_run: bool


def by_epoch(lanes: list[Iterator[Any]]) -> Iterator[Any]:
    """Give the events (epoch, order) of lanes that rise by epoch: one epoch after the other, within each by order over all lanes."""
    groups = [groupby(lane, key=lambda opened: opened.epoch) for lane in lanes]
    heads = [next(group, None) for group in groups]
    while any(head is not None for head in heads):
        epoch = min(head[0] for head in heads if head is not None)
        now = [at for at, head in enumerate(heads) if head is not None and head[0] == epoch]
        yield from heapq.merge(*(heads[at][1] for at in now), key=lambda opened: opened.order)  # type: ignore[index]
        for at in now:
            heads[at] = next(groups[at], None)


def mark_losses(events: Iterator[Any]) -> Iterator[Any]:
    """Give the events of by_epoch again, is_after_loss true where critical segments may be missing since the critical event before.

    Routine segments can lie within the orders of critical ones that are missing: only the next critical event tells. Behind the last
    of an epoch nothing does.
    """
    routine: list[Any] = []
    for opened in events:
        if routine and routine[0].epoch != opened.epoch:
            yield from _marked(routine, True)
            routine = []
        if opened.lane != CRITICAL:
            routine.append(opened)
            continue
        yield from _marked(routine, opened.is_after_loss)
        routine = []
        yield opened
    yield from _marked(routine, True)


def _marked(events: list[Any], is_after_loss: bool) -> Iterator[Any]:
    # Nearly all are marked so already, and a copy costs more than the look.
    for one in events:
        yield one if one.is_after_loss == is_after_loss else one._replace(is_after_loss=is_after_loss)


class Lives:
    """Follows the events of one device as by_epoch gives them, and hands its findings on, epoch by epoch."""

    def __init__(self, device: bytes, report: Report):
        self._device = device
        self._report = report
        self._epoch: int | None = None
        self._ceiling = -1  # Highest order of the epochs before.
        self._highest = -1
        self._begin()

    def _begin(self) -> None:
        self._order = -1
        self._boot = -1
        self._boots: dict[int, _Boot] = {}
        self._sample: int | None = None
        self._mixed_from: int | None = None
        self._noticed = ""
        self._kept: list[_Kept] = []

    def begins(self, epoch: int) -> bool:
        """Say whether another epoch than the one so far begins with an event of this one."""
        return epoch != self._epoch

    def take(self, opened: Any) -> None:
        """Take the next event."""
        if self.begins(opened.epoch):
            self.finish()
            self._epoch = opened.epoch
            if opened.order <= self._ceiling:
                what = f"order {opened.order} is used again, or goes back below {self._ceiling}, where a new epoch begins: {_WHY}"
                self._report.find("events", opened.place, what)
        self._compare(opened)
        self._note(opened)

    def found(self, order: int, where: str, what: str, *, of_run: bool) -> None:
        """Keep a finding about a decision. of_run: it rests on more than that one event."""
        self._kept.append(_Kept(order, where, what, of_run))

    def finish(self) -> None:
        """The epoch ends: hand on what was found in it."""
        start = self._mixed_from
        if start is not None:
            what = f"an order, or a boot, from order {start} on is used again, or goes back, within epoch {self._epoch}: {_WHY}"
            self._report.find("events", self._noticed, what)
        for kept in self._kept:
            if start is None or not kept.of_run or kept.order < start:
                self._report.find("decisions", kept.where, kept.what)
        self._ceiling = self._highest
        self._begin()

    def _compare(self, opened: Any) -> None:
        order, boot, kind = opened.order, opened.boot, opened.event[2]
        if order <= self._order:
            self._mix(opened, order)
        if boot < self._boot:
            self._mix(opened, min(one.first for at, one in self._boots.items() if at > boot))
        if kind in _IN_TURN and boot in self._boots and opened.event[1] < self._boots[boot].tick_ms:
            self._mix(opened, self._boots[boot].first)

    def _mix(self, opened: Any, start: int) -> None:
        if self._mixed_from is None:
            self._noticed = opened.place
            self._mixed_from = start
        first = start if self._sample is None else min(start, self._sample)
        self._mixed_from = min(self._mixed_from, first)

    def _note(self, opened: Any) -> None:
        order, boot, kind = opened.order, opened.boot, opened.event[2]
        if boot not in self._boots:
            self._boots[boot] = _Boot(order if self._sample is None else self._sample)
        if kind in _IN_TURN:
            self._boots[boot].tick_ms = max(self._boots[boot].tick_ms, opened.event[1])
        if kind == SAMPLE:
            self._sample = order
        self._order = max(self._order, order)
        self._highest = max(self._highest, order)
        self._boot = max(self._boot, boot)
