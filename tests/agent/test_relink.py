"""A device that takes another link by a command: without a moment in which nobody serves it, and with no event lost."""

import hashlib

import pytest

from agent.keystore import Keystore
from protocol.adoption import CONFIRMED
from protocol.adoption import REFUSED as REFUSED_STEP
from protocol.agent_index import AgentIndex, encode_agent_index
from protocol.command import DONE, OUT_OF_RANGE, RELINK, UNKNOWN
from protocol.errors import TARGET
from protocol.event import COMMAND
from protocol.keys import CRITICAL, relinked
from protocol.manifest import AGENT, RULES
from tests.agent import cuts_down
from tests.agent.desk import DEVICE, DOWNLINK, KID, MPY, SECRET, KillPoint
from tests.agent.release_bench import make_command, make_release, replacement, root_order
from tests.agent.test_app import _is_complete
from tests.agent.test_rekey import give
from tests.agent.way_down import (
    BODY,
    COMMAND_POINTS,
    LINK_POINTS,
    NUMBER,
    RELINK_DEMAND,
    adoptions,
    commands,
    make_desk,
    relinking,
    rotating,
    steps,
)

FILE = b"what is compiled" * 60


def index_of(*names):
    """Return the index of an agent with these modules, and its files."""
    files = [(f"agent/{name}.mpy", hashlib.sha256(FILE).digest(), len(FILE)) for name in sorted(names)]
    return encode_agent_index(AgentIndex(MPY & 255, files)), [FILE] * len(files)


def _desk(**settings):
    desk = make_desk(**settings)
    desk.gateway.wanted = None
    return desk


def _keystore(desk):
    keystore = Keystore(desk.flash_again(), 2)
    keystore.open()
    return keystore


def test_device_takes_another_link_says_so_and_asks_over_it_alone():
    """The command's event over the link of before, then a heartbeat that names the command, over the next one."""
    desk = _desk()
    kid, secret = relinking(desk.gateway)
    desk.run(3)
    gateway = desk.gateway

    assert commands(desk) == [(1, RELINK_DEMAND, DONE, None)]
    assert gateway.kids == [KID, kid]
    assert 1 in [beat.health.get(21) for beat in gateway.heartbeats]
    assert _keystore(desk).link() == (1, kid, secret)
    assert _is_complete(desk)


def test_link_of_before_may_end_as_soon_as_the_other_was_heard():
    """A restart asks over the link in use, never over that of the settings again."""
    desk = _desk()
    kid, secret = relinking(desk.gateway)
    desk.run(2)
    desk.gateway.links = {kid: secret}
    refused = desk.gateway.unprotected
    desk.run(2)

    assert desk.gateway.unprotected == refused
    assert desk.gateway.kids == [KID, kid]
    assert _is_complete(desk)


def test_gateway_that_does_not_serve_the_next_link_yet_keeps_its_device():
    """It goes back to the link of before after three requests, loses nothing, and tries again until somebody serves the next one."""
    desk = _desk()
    kid, secret = relinking(desk.gateway)
    del desk.gateway.links[kid]
    desk.run(6)
    assert commands(desk) == [(1, RELINK_DEMAND, DONE, None)]
    assert desk.gateway.kids == [KID]
    assert desk.gateway.unprotected
    assert _is_complete(desk)
    desk.gateway.links[kid] = secret
    desk.run(4)

    assert desk.gateway.kids == [KID, kid]
    assert _is_complete(desk)


def test_next_link_is_tried_again_while_the_link_of_before_answers():
    """After ten minutes of answers, without a restart: by then the gateway has asked the office."""
    desk = _desk(clock_scale=1, heartbeat_ms=5000, exchange_idle_ms=1000)
    kid, secret = relinking(desk.gateway)
    del desk.gateway.links[kid]
    desk.after(300, lambda: desk.gateway.links.update({kid: secret}))
    desk.run(800)

    assert desk.gateway.kids == [KID, kid]
    assert _keystore(desk).link() == (1, kid, secret)
    assert _is_complete(desk)


def test_restart_between_command_and_first_answer_goes_on_with_both_links():
    """The next link lies on flash before the command counts; the one of before still answers."""
    desk = _desk()
    kid, secret = relinking(desk.gateway)
    del desk.gateway.links[kid]
    desk.run(1)
    assert _keystore(desk).next_link() == (1, kid, secret)
    assert _keystore(desk).link() is None
    desk.run(2)
    desk.gateway.links[kid] = secret
    desk.run(2)

    assert desk.gateway.kids[-1] == kid
    assert [number for number, *_ in commands(desk)] == [1]


def test_going_back_and_forth_between_links_uses_no_nonce_twice():
    """Each turn begins a fresh ID Context."""
    desk = _desk()
    kid, secret = relinking(desk.gateway)
    del desk.gateway.links[kid]
    desk.run(3)
    desk.gateway.links = {kid: secret}
    desk.run(3)
    sequences = desk.gateway.sequences

    assert desk.gateway.kids == [KID, kid]
    assert len(set(sequences)) == len(sequences)


def test_link_is_given_again_and_again():
    """Each in the place of the one before; one page is left of it, and no secret of before."""
    desk = _desk()
    relinking(desk.gateway)
    desk.run(2)
    first = relinked(DOWNLINK, DEVICE, 1, RELINK_DEMAND)
    kid, secret = relinking(desk.gateway, 2)
    desk.run(2)

    assert first[1] not in bytes(desk.flash.image)
    assert _keystore(desk).link() == (2, kid, secret)
    desk.gateway.links = {kid: secret}
    desk.run(1)
    assert desk.gateway.kids[-1] == kid


def test_link_stays_when_all_keys_become_others():
    """The link page moves with the keys, and the next link follows from the downlink key of then."""
    desk = _desk()
    kid, secret = relinking(desk.gateway)
    desk.run(2)
    give(desk, 2)
    desk.run(2)
    assert _keystore(desk).link() == (1, kid, secret)
    third = relinking(desk.gateway, 3, [RELINK, 1, 2], desk.gateway.keys.downlink)
    desk.run(2)

    assert [verdict for _, _, verdict, _ in commands(desk)] == [DONE] * 3
    assert _keystore(desk).link() == (3, *third)


@pytest.mark.parametrize("point", (*COMMAND_POINTS, *LINK_POINTS))
def test_end_at_any_point_of_a_relink_leaves_a_link_that_is_served(point):
    """Whatever is interrupted, one event, and the next link in use at the end."""
    desk = _desk()
    kid, secret = relinking(desk.gateway)
    desk.points[point] = 1
    assert isinstance(desk.run(3), KillPoint)
    desk.run(3)

    assert [(number, verdict) for number, _, verdict, _ in commands(desk)] == [(1, DONE)]
    assert _keystore(desk).link() == (1, kid, secret)
    assert _is_complete(desk)


def test_next_link_whose_command_left_no_event_is_dropped():
    """It comes again, and the link is the same: its command says which."""
    desk = _desk()
    kid, secret = relinking(desk.gateway)
    keystore = _keystore(desk)
    keystore.intend_link(1, b"\x77", bytes(16))
    desk.flash = keystore._flash
    desk.run(2)

    assert [number for number, *_ in commands(desk)] == [1]
    assert _keystore(desk).link() == (1, kid, secret)


# ---- agents that would forget a link


def _updating(desk, number, *names):
    index, files = index_of(*names)
    desk.gateway.releases[number] = make_release(
        number, [BODY, index], ("release", "recovery"), kinds=[RULES, AGENT]
    )
    desk.gateway.files[number] = files
    desk.gateway.wanted = number


def test_release_with_an_agent_that_would_forget_the_link_is_refused():
    """It would ask over the link of the settings, which nobody serves any more: `target`. One that knows links is adopted."""
    desk = _desk(agents=True)
    kid, secret = relinking(desk.gateway)
    desk.run(2)
    desk.gateway.links = {kid: secret}
    _updating(desk, NUMBER, "app", "keystore")
    desk.run(2)
    assert steps(desk) == [(REFUSED_STEP, NUMBER, TARGET)]
    assert desk.agent.running_agent is None
    _updating(desk, NUMBER + 1, "app", "keystore", "relinker")
    desk.run(4)

    assert (CONFIRMED, NUMBER + 1) in [(step, number) for step, number, *_ in adoptions(desk)]
    assert desk.gateway.kids == [KID, kid]
    assert desk.cell().version_floor == NUMBER + 1


def test_relink_is_refused_where_the_active_agent_would_forget_it():
    """Verdict 4, one event, and the link of before stays: nothing was lost for it."""
    desk = _desk(agents=True)
    _updating(desk, NUMBER, "app", "keystore")
    desk.run(3)
    assert desk.cell().version_floor == NUMBER
    relinking(desk.gateway)
    desk.run(2)

    assert commands(desk) == [(1, RELINK_DEMAND, UNKNOWN, None)]
    assert desk.gateway.kids == [KID]
    assert _keystore(desk).next_link() is None


def check_answer_over_the_link_of_before_proves_nothing():
    """The command is ended while a request over the link of before is under way: its answer says nothing of the next one."""
    desk = _desk()
    desk.run(1)
    relinker, keystore = desk.agent._relinker, desk.agent._keystore
    before = relinker.link()
    relinker.intend(1, RELINK_DEMAND)
    relinker.begin()
    relinker.answered()
    assert keystore.next_link() is not None and keystore.link() is None

    following = relinker.link()
    assert following != before
    relinker.answered()
    assert (keystore.next_link(), keystore.link()[1:]) == (None, following)


def test_answer_over_the_link_of_before_proves_nothing_of_the_next():
    """A gateway that does not serve the next link keeps its device: only an answer over that one ends the one of before."""
    check_answer_over_the_link_of_before_proves_nothing()


def check_root_refused_where_the_active_agent_would_forget_it():
    """Order a device to take another root while an agent is active that knows no such pages."""
    desk = _desk(agents=True)
    _updating(desk, NUMBER, "app", "keystore")
    desk.run(3)
    desk.gateway.wanted = None
    rotating(desk, replacement("release", "next"), 1)
    desk.run(2)

    assert commands(desk) == [(1, root_order(replacement("release", "next")), UNKNOWN, None)]
    assert _keystore(desk).roots() == []


def test_root_is_refused_where_the_active_agent_would_forget_it():
    """It would take releases of the root that was replaced, and none of the one that replaces it: verdict 4, and nothing has changed."""
    check_root_refused_where_the_active_agent_would_forget_it()


def test_agent_that_would_forget_a_root_is_refused():
    """A root page is held: no release brings an agent that knows no such pages."""
    desk = _desk(agents=True)
    desk.gateway.wanted = None
    rotating(desk, replacement("release", "next"), 1)
    desk.run(2)
    assert len(_keystore(desk).roots()) == 1
    _updating(desk, NUMBER, "app", "keystore")
    desk.run(3)

    assert desk.cell().version_floor < NUMBER


def test_relink_is_refused_where_the_image_would_forget_it():
    """An image of before says nothing of links to the agent that a release brought."""
    desk = _desk(agents=True)
    _updating(desk, NUMBER, "app", "keystore", "relinker")
    desk.run(3)
    choose = desk._choose_agent

    def of_an_image_of_before(board):
        choose(board)
        board.image_keeps_notes = False

    desk._choose_agent = of_an_image_of_before
    relinking(desk.gateway)
    desk.run(2)

    assert commands(desk) == [(1, RELINK_DEMAND, UNKNOWN, None)]
    assert desk.gateway.kids == [KID]


def test_relink_is_refused_during_a_trial_and_taken_after_it():
    """While it is open which agent runs, verdict 5."""
    desk = _desk()
    desk.settings["trial"] = {"min_ms": 60000, "limit_ms": 100000}
    desk.gateway.wanted = NUMBER
    desk.run(2)
    assert desk.cell().release[1] != -1
    relinking(desk.gateway)
    desk.run(1)

    assert commands(desk) == [(1, RELINK_DEMAND, OUT_OF_RANGE, None)]
    assert desk.gateway.kids == [KID]


def test_agent_of_before_refuses_a_relink_visibly_and_loses_nothing():
    """It knows no demand of kind 6: one event says `unknown`, and every event is there."""
    desk = _desk()
    relinking(desk.gateway)
    desk.gateway.commands[1] = make_command(1, [7, *RELINK_DEMAND[1:]])
    desk.run(2)

    assert commands(desk) == [(1, [7, *RELINK_DEMAND[1:]], UNKNOWN, None)]
    assert _is_complete(desk)


@pytest.mark.parametrize("name", ["relinking", "relinking_again"])
def test_story_of_a_relink_ends_as_it_should_without_a_cut(name):
    """What the sweeps over cuts begin with."""
    story, check = cuts_down.STORIES[name]
    desk, seconds = story()
    desk.run(seconds)
    desk.run(1)

    check(desk)
    assert [event[2] for _, event in desk.gateway.events(CRITICAL)].count(COMMAND) == len(commands(desk))
    assert SECRET not in desk.gateway.links.values()
