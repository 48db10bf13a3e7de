"""Faults planted in the update of the agent, by name: NAME -> (plant, what catches it); plant(patch) as in agent.py."""

from agent import adopter, incumbent, starter
from agent.app import Agent
from agent.board import POWER
from agent.bodies import Bodies
from agent.cell import Cell
from agent.rooms import Room
from tests.agent import test_rooms


def _change_the_agent_without_a_restart(patch):
    install = Agent.install

    def careless(self, incumbent):
        self._board.agent = incumbent.agent
        install(self, incumbent)

    patch(Agent, "install", careless)


def _count_no_start(patch):
    class Forgetful(Cell):
        def store(self, **changes):
            """Keep nothing."""

    patch(starter, "Cell", Forgetful)


class _Fitting:
    """A digest that is every digest."""

    def __init__(self, room, at, size):
        pass

    def __eq__(self, other):
        return True

    __hash__ = None


def _believe_files(patch):
    patch(incumbent, "digest_at", _Fitting)
    patch(Bodies, "_is_whole", lambda self, index: True)


def _leave_the_room_as_it_is(patch):
    patch(Room, "clear", lambda self: None)


def _fetch_every_file(patch):
    patch(Agent, "find", lambda self, digest: None)


def _bring_an_agent_by_one_signer(patch):
    patch(adopter, "check_signers", lambda release, reasons: None)


def _count_losses_of_power(patch):
    patch(starter, "SOFTWARE", POWER)


def _start_it_for_ever(patch):
    patch(starter, "_is_given_up", lambda cell, trial, cause: False)


def _remember_every_failure(patch):
    patch(Agent, "_forget_failures", lambda self: None)


def _hold_it_against_the_next(patch):
    store = Agent._store

    def careless(self, **changes):
        changes.pop("failed", None)
        store(self, **changes)

    patch(Agent, "_store", careless)


AGENT_UPDATE_FAULTS = {
    "count_losses_of_power": (
        _count_losses_of_power,
        test_rooms.test_loss_of_power_is_no_failure_of_the_agent,
    ),
    "start_it_for_ever": (
        _start_it_for_ever,
        test_rooms.test_confirmed_agent_that_fails_again_and_again_is_given_up,
    ),
    "remember_every_failure": (
        _remember_every_failure,
        test_rooms.test_healthy_minute_forgets_what_failed_before,
    ),
    "hold_it_against_the_next": (
        _hold_it_against_the_next,
        test_rooms.test_release_that_is_confirmed_later_is_not_given_up_for_the_one_before,
    ),
    "change_the_agent_without_a_restart": (
        _change_the_agent_without_a_restart,
        test_rooms.test_another_agent_begins_with_a_restart,
    ),
    "bring_an_agent_by_one_signer": (
        _bring_an_agent_by_one_signer,
        test_rooms.test_one_signer_brings_no_agent,
    ),
    "count_no_start": (_count_no_start, test_rooms.test_agent_that_never_comes_up_is_started_twice),
    "believe_files": (_believe_files, test_rooms.test_file_of_another_agent_is_refused),
    "believe_damaged_files": (_believe_files, test_rooms.test_damaged_file_lets_the_images_agent_run),
    "leave_the_room_as_it_is": (
        _leave_the_room_as_it_is,
        test_rooms.test_files_of_a_release_that_was_given_up_do_not_pass_for_those_of_the_next,
    ),
    "fetch_every_file": (_fetch_every_file, test_rooms.test_only_files_that_differ_are_asked_for),
}
