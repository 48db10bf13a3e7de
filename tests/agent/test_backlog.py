"""What is sent next: critical first, then what is wanted again, then routine, lowest number first."""

from agent.backlog import Backlog
from protocol.keys import CRITICAL, ROUTINE

D = bytes(32)


def _heads(critical=None, routine=None):
    return [None if head is None else (*head, D) for head in (critical, routine)]


def _drain(backlog, heads, now_ms=0):
    sent = []
    while True:
        chosen = backlog.choose(heads, now_ms)
        if chosen is None:
            return sent
        sent.append(chosen)
        backlog.note_sent(*chosen)


def test_critical_goes_before_wanted_before_routine():
    """Everything critical leaves before anything routine; asked-for routine before new routine."""
    backlog = Backlog()
    heads = _heads((0, 1), (0, 2))
    assert _drain(backlog, _heads(None, (0, 1))) == [(ROUTINE, 0), (ROUTINE, 1)]
    backlog.want(ROUTINE, [(0, 1)])

    assert _drain(backlog, heads) == [(CRITICAL, 0), (CRITICAL, 1), (ROUTINE, 0), (ROUTINE, 2)]


def test_nothing_is_sent_twice_by_itself():
    """Once answered, a number leaves again only if the gateway wants it."""
    backlog = Backlog()
    heads = _heads((0, 3))
    _drain(backlog, heads)

    assert _drain(backlog, heads) == []
    backlog.take_custody(CRITICAL, 1)
    backlog.take_offer_answer(CRITICAL, [(1, 3)])
    assert _drain(backlog, heads) == [(CRITICAL, 1), (CRITICAL, 2)]


def test_custody_skips_what_the_gateway_has():
    """After a boot nothing that the gateway holds is sent again."""
    backlog = Backlog()
    backlog.take_custody(ROUTINE, 5)
    backlog.take_offer_answer(ROUTINE, [])

    assert _drain(backlog, _heads(None, (2, 6))) == [(ROUTINE, 5), (ROUTINE, 6)]


def test_replaced_gateway_gets_everything_that_is_still_there():
    """Custody that goes back without wants: all from there on is sent again, as far as flash holds it."""
    backlog = Backlog()
    backlog.take_custody(ROUTINE, 7)
    backlog.take_custody(ROUTINE, 0)
    backlog.take_offer_answer(ROUTINE, [])

    assert _drain(backlog, _heads(None, (4, 6))) == [(ROUTINE, 4), (ROUTINE, 5), (ROUTINE, 6)]


def test_pruned_numbers_are_never_offered():
    """A want below what is kept is dropped: the tombstone answers it."""
    backlog = Backlog()
    _drain(backlog, _heads((0, 9)))
    backlog.want(CRITICAL, [(0, 3), (8, 10)])

    assert _drain(backlog, _heads((5, 9))) == [(CRITICAL, 8), (CRITICAL, 9)]


def test_refused_routine_waits_and_leaves_critical_alone():
    """Routine is shed first."""
    backlog = Backlog()
    backlog.refuse(ROUTINE, 100)

    assert _drain(backlog, _heads((0, 0), (0, 0)), 99) == [(CRITICAL, 0)]
    assert _drain(backlog, _heads((0, 0), (0, 0)), 100) == [(ROUTINE, 0)]


def test_refused_critical_stops_both_lanes():
    """A gateway without room for critical has none for routine."""
    backlog = Backlog()
    backlog.refuse(CRITICAL, 100)

    assert _drain(backlog, _heads((0, 0), (0, 0)), 99) == []


def test_waiting_counts_what_is_not_in_custody():
    """The health counter is head less custody, never below what is kept."""
    backlog = Backlog()
    backlog.take_custody(CRITICAL, 4)

    assert backlog.waiting(CRITICAL, (0, 9, D)) == 6
    assert backlog.waiting(CRITICAL, (7, 9, D)) == 3
    assert backlog.waiting(CRITICAL, None) == 0
