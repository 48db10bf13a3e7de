"""Faults planted in the update of the agent, by name: NAME -> (plant, what catches it); plant(patch) as in agent.py."""

from agent import adopter, incumbent, starter
from agent.app import Agent
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


AGENT_UPDATE_FAULTS = {
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
