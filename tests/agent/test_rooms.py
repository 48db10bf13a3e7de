"""A release brings another agent, on the desk: what is asked for, checked, counted and restarted, whatever lies in the files."""

import hashlib

from agent import starter
from agent.board import POWER, SOFTWARE, WATCHDOG
from agent.starter import choose_agent
from protocol import adoption
from protocol.agent_index import AgentIndex, encode_agent_index
from protocol.coap import ETAG, NOT_FOUND
from protocol.errors import PART, UNSIGNED
from protocol.manifest import AGENT, RULES
from tests.agent.cuts_down import FILES, INDEX, NEW_AGENT, updating
from tests.agent.desk import MPY
from tests.agent.release_bench import demo_bundle_again, make_release
from tests.agent.way_down import BODY, NUMBER, adoptions, steps

BOTH = ("release", "recovery")
KEPT = [(adoption.STAGED, NUMBER, 0), (adoption.TRIAL, NUMBER, 5), (adoption.CONFIRMED, NUMBER, 0)]


def _index_of(bodies):
    files = [(f"agent/m{at}.mpy", hashlib.sha256(body).digest(), len(body)) for at, body in enumerate(bodies)]
    return encode_agent_index(AgentIndex(MPY & 255, files))


def _updated():
    """Return a desk that runs the agent of release 7."""
    desk, seconds = updating()
    desk.run(seconds)
    assert steps(desk) == KEPT
    return desk


def _offer(desk, number, bodies):
    desk.gateway.releases[number] = make_release(
        number, [demo_bundle_again(number), _index_of(bodies)], BOTH, kinds=[RULES, AGENT]
    )
    desk.gateway.files[number] = bodies
    desk.gateway.wanted = number


def test_another_agent_begins_with_a_restart():
    """Once; and it is the one that runs from then on."""
    desk = _updated()

    assert desk.restarts == 1
    assert desk.agent.running_agent == NEW_AGENT


def test_next_release_with_the_same_agent_restarts_nothing():
    """Only its rules differ: no file is asked for, and one signature is enough."""
    desk = _updated()
    desk.gateway.files_sent.clear()
    body = demo_bundle_again(8)
    desk.gateway.releases[8] = make_release(8, [body, INDEX], kinds=[RULES, AGENT])
    desk.gateway.wanted = 8
    desk.run(1.5)

    assert desk.gateway.files_sent == []
    assert (desk.restarts, desk.agent.running_agent, desk.cell().version_floor) == (1, NEW_AGENT, 8)


def test_release_without_an_agent_goes_back_to_the_images():
    """Which is another agent than the one that runs: it takes two signers, and a restart."""
    desk = _updated()
    desk.gateway.releases[8] = make_release(8, demo_bundle_again(8))
    desk.gateway.wanted = 8
    desk.run(1.5)
    refused = [step for step in steps(desk) if step[1] == 8]
    desk.gateway.releases[9] = make_release(9, demo_bundle_again(9), BOTH)
    desk.gateway.wanted = 9
    desk.run(8)

    assert refused == [(adoption.REFUSED, 8, UNSIGNED)]
    assert (desk.restarts, desk.agent.running_agent, desk.cell().version_floor) == (2, None, 9)


def test_only_files_that_differ_are_asked_for():
    """The others are copied from the room that runs."""
    desk = _updated()
    desk.gateway.files_sent.clear()
    _offer(desk, 8, [FILES[0], b"another" * 100, FILES[2]])
    desk.run(1.5)

    assert set(desk.gateway.files_sent) == {1}
    assert desk.cell().version_floor == 8


def test_one_signer_brings_no_agent():
    """Code may do whatever it likes."""
    desk, seconds = updating()
    release = make_release(NUMBER, [demo_bundle_again(5), INDEX], kinds=[RULES, AGENT])
    desk.gateway.releases[NUMBER] = release
    desk.run(seconds)

    assert steps(desk) == [(adoption.REFUSED, NUMBER, UNSIGNED)]
    assert desk.restarts == 0


def test_file_of_another_agent_is_refused():
    """The right index, and one file of the same size in the place of another, under the right tag."""
    desk, seconds = updating()
    desk.gateway.files[NUMBER] = [FILES[0], bytes(len(FILES[1])), FILES[2]]
    tag = hashlib.sha256(FILES[1]).digest()[:8]

    def forge(path, _number, answer):
        code, options, payload = answer
        return (code, [(ETAG, tag), *options[1:]], payload) if path == f"r/{NUMBER}/1/1" else answer

    desk.gateway.meddle = forge
    desk.run(seconds)

    assert steps(desk) == [(adoption.REFUSED, NUMBER, PART)]
    assert desk.agent.running_agent is None


def test_agent_that_never_comes_up_is_started_twice():
    """Each start is counted before it runs; at the third the image's agent runs, and says why."""
    desk, seconds = updating()
    desk.broken = NEW_AGENT
    desk.run(seconds)
    ends = [(step, detail) for step, _, _, detail in adoptions(desk) if step == adoption.ROLLED_BACK]

    assert ends == [(adoption.ROLLED_BACK, adoption.RESTARTS)]
    assert desk.failed_starts == 2
    assert desk.agent.running_agent is None


def test_confirmed_agent_that_fails_again_and_again_is_given_up():
    """At the fifth failed start in a row the image's agent runs, under the same rules, and says why; the other is not started any more."""
    desk = _updated()
    desk.broken, desk.reset_cause = NEW_AGENT, SOFTWARE
    desk.run(1.5)
    failed = desk.failed_starts
    desk.run(1.5)

    assert failed == desk.failed_starts == starter.failed_max - 1
    assert desk.agent.running_agent is None
    assert adoptions(desk)[-1][:2] == (adoption.ROLLED_BACK, NUMBER)
    assert adoptions(desk)[-1][3] == adoption.RESTARTS
    assert desk.gateway.heartbeats[-1].bundle[1] == hashlib.sha256(BODY).digest()
    assert desk.cell().release[:2] != [-1, -1]


def test_loss_of_power_is_no_failure_of_the_agent():
    """However often and however soon after a start; and the count of what came before outlives it."""
    desk = _updated()
    desk.reset_cause = SOFTWARE
    desk.run(0.1)
    desk.reset_cause = POWER
    for _ in range(3 * starter.failed_max):
        desk.run(0.1)

    assert desk.agent.running_agent == NEW_AGENT
    assert desk.cell().failed == 1


def test_healthy_minute_forgets_what_failed_before():
    """So that one failure in a while never adds up; without a gateway it takes longer."""
    desk = _updated()
    # Minutes of ten milliseconds each would be all that this test does.
    desk.settings.update(sample_ms=3_600_000, exchange_idle_ms=1000, heartbeat_ms=1000)
    for _ in range(starter.failed_max + 1):
        desk.reset_cause = WATCHDOG
        desk.run(0.1)
        desk.reset_cause = POWER
        desk.run(61)
        assert desk.cell().failed == 0

    assert desk.agent.running_agent == NEW_AGENT


def test_release_that_is_confirmed_later_is_not_given_up_for_the_one_before():
    """The count begins anew with the next agent."""
    desk = _updated()
    desk.broken, desk.reset_cause = NEW_AGENT, SOFTWARE
    desk.run(1.5)
    desk.reset_cause = POWER
    _offer(desk, 8, [bytes([90 + at]) * 900 for at in range(3)])
    desk.run(3)

    assert desk.cell().version_floor == 8
    assert desk.agent.running_agent not in (None, NEW_AGENT)
    assert desk.cell().failed == 0


def test_files_of_a_release_that_was_given_up_do_not_pass_for_those_of_the_next():
    """A room is empty before another release is fetched into its slot."""
    desk, _ = updating()
    _offer(desk, NUMBER, [bytes([at]) * 6000 for at in range(3)])
    missing = (NOT_FOUND, [], b"")
    desk.gateway.meddle = lambda path, _number, answer: missing if path == f"r/{NUMBER}/1/2" else answer
    desk.run(0.9)
    begun = set(desk.gateway.files_sent)
    _offer(desk, 8, [bytes([90 + at]) * 6000 for at in range(3)])
    desk.run(8)

    # Two came whole, and fill more than a sector.
    assert begun == {0, 1, 2}
    assert desk.cell().version_floor == 8
    assert [step for step, number, _ in steps(desk) if number == 8] == [1, 2, 3]


def test_damaged_file_lets_the_images_agent_run():
    """What a slot does not hold whole is never imported."""
    desk = _updated()
    at = desk.rooms_image.index(FILES[2][:300])
    desk.rooms_image[at] ^= 1
    choice = choose_agent(desk.flash_again(), desk.rooms(), 0)

    assert choice.slot is None
