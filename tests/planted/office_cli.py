"""Faults of the office's command line, planted into the real code. Each name says what a broken command would do.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

from office_ingest.govern import command_cli, rollout, rollout_cli
from office_ingest.storage.downward import HALTED, Rollout
from protocol.diagnostic import OK


def take_silence_for_an_answer(put):
    """End well though the answer that was waited for has not come."""
    put(command_cli, "TRY_AGAIN", OK)


def take_any_answer_for_done(put):
    """End well though the device refused the command."""
    put(command_cli, "FINDING", OK)


def last_ten_minutes_always(put):
    """Pass over --for."""
    put(command_cli, "lasts_milliseconds", lambda text: 600_000)


def take_any_time(put):
    """Take any digits before a unit, however many."""
    put(command_cli, "_LASTS_DAYS_MAX", 10_000)


def say_halted_only(put):
    """Say that a rollout is halted, and go on with it."""
    put(rollout, "halt", lambda store, number, author, now_ms: Rollout(number, HALTED, author, 1, now_ms))


def hide_refusals(put):
    """End well though a device refused the release."""
    put(rollout_cli, "FINDING", OK)


def roll_out_what_expired(put):
    """Roll out a release that no device adopts any more."""
    put(rollout, "roll_out", _without_validity(rollout.roll_out))


def _without_validity(roll_out):
    def roll_out_then(store, number, author, now_ms):
        return roll_out(store, number, author, 1)

    return roll_out_then


FAULTS = {
    plant.__name__: plant
    for plant in (
        take_silence_for_an_answer,
        take_any_answer_for_done,
        last_ten_minutes_always,
        take_any_time,
        say_halted_only,
        hide_refusals,
        roll_out_what_expired,
    )
}
