"""Cut the power at every flash operation of an adoption or a command, on the whole agent, and sometimes once more in the recovery.

A story is a desk and how long it runs. Its undisturbed run says how many flash operations there are; then one run for each of them
and each way to be cut. After a cut the device starts again and runs to the end: every promise is then asked of the whole.
"""

import hashlib
from copy import deepcopy
from functools import lru_cache
from itertools import pairwise

from agent.board import SOFTWARE
from agent.cell import Cell
from agent.flash import PowerCut, RamFlash
from agent.incumbent import read_slot
from agent.keystore import Keystore
from agent.slots import Slots
from agent.starter import failed_max
from protocol import adoption
from protocol.agent_index import AgentIndex, encode_agent_index
from protocol.event import ACTION, COMMAND, DECISION, EPOCH_START
from protocol.keys import CRITICAL, downlink_key, rekey_root, rekeyed, relinked
from protocol.manifest import AGENT, RULES
from tests.agent.desk import BUNDLE, DEVICE, DOWNLINK, KID, MPY, RATCHETS, SEAL_KEYS
from tests.agent.release_bench import (
    demo_bundle_again,
    faulting_bundle,
    make_command,
    make_release,
    replacement,
    root,
)
from tests.agent.test_app import _check_evidence_of, _is_complete
from tests.agent.way_down import BODY, NUMBER, RELINK_DEMAND, adoptions, make_desk
from tests.agent.way_down import relinking as give_link
from tests.agent.way_down import rotating as order_root

# Files as they travel: what is in them matters to who imports them, not here.
FILES = [bytes([at]) * (700 + 300 * at) for at in range(1, 4)]
INDEX = encode_agent_index(
    AgentIndex(
        MPY & 255,
        [(f"agent/m{at}.mpy", hashlib.sha256(body).digest(), len(body)) for at, body in enumerate(FILES)],
    )
)
NEW_AGENT = hashlib.sha256(INDEX).digest()
FAULTY = faulting_bundle(5, after=1)
SECOND = demo_bundle_again(6)
_SECONDS_AFTER = 2.5
REKEY_DEMAND = [4, 1024, 64, 7, 9]


def adopting(release=None):
    """A device that knows the time, about to fetch, stage, switch and confirm a good release."""
    desk = make_desk(release or make_release(NUMBER, BODY), heartbeat_ms=100, exchange_idle_ms=10)
    desk.settings["trial"] = {"min_ms": 100, "min_samples": 2}
    return desk, 1.2


def rolling_back():
    """The same with rules that fault at their second sample."""
    return adopting(make_release(NUMBER, FAULTY))


def replacing():
    """A device with a confirmed release, about to adopt the next one into the other slot, which holds an older one."""
    desk, seconds = _adopted_twice()
    return _copy(desk), seconds


def _copy(desk):
    # Ciphers have a key and nothing that changes, and they cannot be copied.
    ciphers = [
        sealing._aes
        for context, *_ in desk.gateway.contexts.values()
        for sealing in (context._sealer, context._opener)
    ]
    return deepcopy(desk, {id(cipher): cipher for cipher in ciphers})


@lru_cache(1)
def _adopted_twice():
    """The state before each cut of `replacing`, lived through once."""
    desk, seconds = adopting()
    desk.run(seconds)
    for number in (8, 9):
        desk.gateway.releases[number] = make_release(number, SECOND if number == 9 else demo_bundle_again(5))
    desk.gateway.wanted = 8
    desk.run(seconds)
    desk.gateway.wanted = 9
    desk.agent = None
    return desk, seconds


def updating(rules=BODY):
    """A device about to fetch another agent, restart with it, and confirm it."""
    release = make_release(NUMBER, [rules, INDEX], ("release", "recovery"), kinds=[RULES, AGENT])
    desk, _ = adopting(release)
    desk.settings["agents"] = True
    desk.gateway.files[NUMBER] = FILES
    return desk, 1.4


def updating_in_vain():
    """The same with rules that fault in the trial: the agent before runs again, after another restart."""
    return updating(FAULTY)


def failing():
    """A device whose confirmed agent from now on never comes up."""
    desk = _copy(_updated_once())
    desk.broken, desk.reset_cause = NEW_AGENT, SOFTWARE
    return desk, 3.5


@lru_cache(1)
def _updated_once():
    desk, seconds = updating()
    desk.run(seconds)
    assert desk.cell().version_floor == NUMBER
    desk.agent = None
    return desk


def commanding():
    """Two commands: an actuator and a setting."""
    desk = make_desk(heartbeat_ms=100, exchange_idle_ms=10)
    desk.gateway.wanted = None
    desk.gateway.commands = {1: make_command(1, [0, 2, 1]), 2: make_command(2, [1, 2, 5000])}
    return desk, 0.6


def rekeying():
    """A device about to be given other keys, with a command behind that only the new downlink key opens."""
    desk = make_desk(heartbeat_ms=100, exchange_idle_ms=10)
    desk.gateway.wanted = None
    desk.gateway.commands = {1: make_command(1, REKEY_DEMAND)}
    desk.gateway.keys.expect(1, REKEY_DEMAND)
    root = rekey_root(DOWNLINK, DEVICE, 1, REKEY_DEMAND)
    key = downlink_key(rekeyed(root)[4], "command")
    desk.gateway.commands[2] = make_command(2, [1, 2, 5000], key=key)
    return desk, 0.6


def rotating():
    """A device about to be given another release root."""
    desk = make_desk(heartbeat_ms=100, exchange_idle_ms=10)
    desk.gateway.wanted = None
    order_root(desk, replacement("release", "next"))
    return desk, 0.6


@lru_cache(1)
def _rotated_once():
    desk, seconds = rotating()
    desk.run(seconds)
    desk.agent = None
    return desk


def rotating_again():
    """The same for the root that stands in the place of the first."""
    desk = _copy(_rotated_once())
    order_root(desk, replacement("next", "later"), 2)
    return desk, 0.6


def relinking():
    """A device about to be given another link, by an office that ends the one of before as soon as it hears of the other."""
    desk = make_desk(heartbeat_ms=100, exchange_idle_ms=10)
    desk.gateway.wanted = None
    give_link(desk.gateway)
    end_old_link(desk, 1)
    return desk, 0.6


def end_old_link(desk, number):
    """Let the gateway serve one link alone once a heartbeat says that it is in use."""
    take = desk.gateway._take_heartbeat

    def taking(payload):
        take(payload)
        if desk.gateway.heartbeats[-1].health.get(21) == number:
            newest = list(desk.gateway.links)[-1]
            desk.gateway.links = {newest: desk.gateway.links[newest]}

    desk.gateway._take_heartbeat = taking


@lru_cache(1)
def _relinked_once():
    desk, seconds = relinking()
    desk.run(seconds)
    del desk.gateway._take_heartbeat
    desk.agent = None
    return desk


def relinking_again():
    """The same for a device whose link in use was given by a command."""
    desk = _copy(_relinked_once())
    give_link(desk.gateway, 2)
    end_old_link(desk, 2)
    return desk, 0.6


class Watch:
    """What may never go back, looked at after every run."""

    def __init__(self, desk):
        self.floor = 0
        self.look(desk)

    def look(self, desk):
        """Check the cell on flash: floors only rise, and whatever decides is whole, the old or the new."""
        flash = RamFlash(desk.flash.sectors, desk.flash.image)
        cell = Cell(flash, 0)
        cell.load()
        floor = (cell.version_floor, cell.command_floor)
        assert self.floor == 0 or all(a <= b for a, b in zip(self.floor, floor, strict=True)), (
            f"a floor went back from {self.floor} to {floor}"
        )
        self.floor = floor
        rooms = desk.rooms() if desk.settings.get("agents") else None
        for slot in cell.release[:2]:
            assert slot == -1 or read_slot(Slots(flash), slot, rooms) is not None, (
                f"slot {slot} decides and is not whole"
            )


def sweep(story, check, mode, step=1, depth=1, first=0):
    """Cut each step-th operation of a story; return the number of cuts. depth 2: cut the next boot too."""
    cuts = 0
    for operation in range(first, 10_000, step):
        desk, seconds = story()
        watch = Watch(desk)
        if not isinstance(desk.run(seconds, cut=(operation, mode, operation + 1)), PowerCut):
            return cuts
        cuts += 1
        watch.look(desk)
        if depth == 2:
            again = desk.run(seconds, cut=((operation * 7 + 3) % 29, mode, operation + 2))
            cuts += isinstance(again, PowerCut)
            watch.look(desk)
        assert desk.run(_SECONDS_AFTER) is None
        watch.look(desk)
        try:
            check(desk)
            _check_whole(desk)
        except AssertionError as error:
            raise AssertionError(f"cut at operation {operation}, {mode}: {error}") from error
    raise AssertionError("the story does not end")


def _check_whole(desk):
    """Nothing of the journal is lost, and each decision is of one whole bundle, the one in force."""
    assert _is_complete(desk)
    _check_evidence_of(desk, [BUNDLE, BODY, FAULTY, SECOND, demo_bundle_again(5)])
    orders = [event[0] for _, event in desk.gateway.events()]
    assert len(orders) == len(set(orders))
    turns = _deciding(desk)
    assert all(earlier != later for earlier, later in pairwise(turns))


def _deciding(desk):
    found = []
    for _, event in desk.gateway.events(CRITICAL):
        if event[2] == DECISION and found[-1:] != [event[3][3]]:
            found.append(event[3][3])
    return found


def check_adopted(desk, number=NUMBER, body=BODY, before=BUNDLE):
    """Staged, on trial, confirmed: each event at least once and in this order, and the new rules decide.

    Or, where cuts started one trial three times, rolled back for that reason, and the ones before decide.
    """
    found = [(step, detail) for step, of, _, detail in adoptions(desk) if of == number]
    seen = [step for step, _ in found]
    is_kept = (adoption.ROLLED_BACK, adoption.RESTARTS) not in found
    for step in (adoption.STAGED, adoption.TRIAL, adoption.CONFIRMED if is_kept else adoption.ROLLED_BACK):
        assert step in seen, f"step {step} is missing in {found}"
    assert seen == sorted(seen), found
    assert is_kept or adoption.CONFIRMED not in seen, found
    assert len(seen) <= 6, found
    decides = desk.gateway.heartbeats[-1].bundle[1]
    assert decides == hashlib.sha256(body if is_kept else before).digest()
    assert (desk.cell().version_floor == number) == is_kept
    assert desk.cell().release[1] == -1


def check_rolled_back(desk):
    """The old rules decide again, the number is noted, the floor is where it was."""
    found = [step for step, _, _, _ in adoptions(desk)]
    for step in (adoption.STAGED, adoption.TRIAL, adoption.ROLLED_BACK):
        assert step in found, f"step {step} is missing in {found}"
    assert adoption.CONFIRMED not in found
    assert desk.gateway.heartbeats[-1].bundle[1] == hashlib.sha256(BUNDLE).digest()
    assert (desk.cell().version_floor, desk.cell().rejected) == (0, NUMBER)


def check_updated(desk):
    """The new rules run under the new agent, or, where cuts used up the trial's starts, the old under the image's."""
    check_adopted(desk)
    is_kept = desk.cell().version_floor == NUMBER
    assert desk.agent.running_agent == (NEW_AGENT if is_kept else None)


def check_updated_in_vain(desk):
    """The old rules run under the image's agent."""
    check_rolled_back(desk)
    assert desk.agent.running_agent is None


def check_given_up(desk):
    """The image's agent runs under the rules of the release, and the office is told."""
    told = [(step, number, detail) for step, number, _, detail in adoptions(desk)]
    assert (adoption.ROLLED_BACK, NUMBER, adoption.RESTARTS) in told
    assert desk.agent.running_agent is None
    assert desk.gateway.heartbeats[-1].bundle[1] == hashlib.sha256(BODY).digest()
    assert (desk.cell().version_floor, desk.cell().failed) == (NUMBER, failed_max)


def check_replaced(desk):
    """The next release decides, or the confirmed one before it."""
    check_adopted(desk, 9, SECOND, demo_bundle_again(5))
    assert desk.cell().version_floor in (8, 9)


def check_commanded(desk):
    """Each command answered by one event, in effect, with one action for the act; the floor is the higher number."""
    events = [event for _, event in desk.gateway.events(CRITICAL)]
    answers = [(event[3][0], event[3][2]) for event in events if event[2] == COMMAND]
    assert answers == [(1, 0), (2, 0)], answers
    order = next(event[0] for event in events if event[2] == COMMAND)
    acts = [event[3] for event in events if event[2] == ACTION and event[0] - event[3][0] == order]
    assert [(act[1], act[2]) for act in acts] == [(2, 1)], acts
    assert (2, 1) in desk.moves
    assert desk.agent.setting(2) == 5000
    assert desk.cell().command_floor == 2


def check_rekeyed(desk):
    """One event, the new keys in force and proved, the old ones and the intent gone from flash, the next command taken."""
    events = [event for _, event in desk.gateway.events(CRITICAL)]
    answers = [(event[3][0], event[3][2]) for event in events if event[2] == COMMAND]
    assert answers == [(1, 0), (2, 0)], answers
    reasons = [event[3][0] for event in events if event[2] == EPOCH_START]
    assert reasons[0] == 0 and set(reasons[1:]) == {2}, reasons
    assert desk.gateway.keys.settled == 1
    keystore = Keystore(RamFlash(desk.flash.sectors, desk.flash.image), 2)
    keystore.open()
    assert keystore.intent() is None
    assert keystore.downlink() == desk.gateway.keys.downlink
    image = bytes(desk.flash.image)
    gone = [DOWNLINK, *SEAL_KEYS, *RATCHETS, rekey_root(DOWNLINK, DEVICE, 1, REKEY_DEMAND)]
    assert not [key for key in gone if key in image], "a key of before is still on flash"
    assert desk.agent.setting(2) == 5000


def check_rotated(desk, count=1, name="next"):
    """Each order answered by one event, one root in force in the place of the old one, no intent left."""
    events = [event for _, event in desk.gateway.events(CRITICAL)]
    answers = [(event[3][0], event[3][2]) for event in events if event[2] == COMMAND]
    assert answers == [(number, 0) for number in range(1, count + 1)], answers
    assert desk.agent._roots.held() == [root(name), root("recovery")]
    keystore = Keystore(RamFlash(desk.flash.sectors, desk.flash.image), 2)
    keystore.open()
    assert [(page[0], page[3]) for page in keystore.roots()] == [(count, 0)]


def check_rotated_again(desk):
    """Twice."""
    check_rotated(desk, 2, "later")


def check_relinked(desk, count=1):
    """Each command answered by one event, its link the one in use and the only one; no nonce of a link was used twice."""
    events = [event for _, event in desk.gateway.events(CRITICAL)]
    answers = [(event[3][0], event[3][2]) for event in events if event[2] == COMMAND]
    assert answers == [(number, 0) for number in range(1, count + 1)], answers
    assert KID not in desk.gateway.links and len(desk.gateway.links) == 1
    keystore = Keystore(desk.flash_again(), 2)
    keystore.open()
    kid, secret = next(iter(desk.gateway.links.items()))
    assert (keystore.link(), keystore.next_link()) == ((count, kid, secret), None)
    assert desk.gateway.kids[-1] == kid
    assert len(set(desk.gateway.sequences)) == len(desk.gateway.sequences)


def check_relinked_again(desk):
    """Twice, and the link of the first command is gone from flash."""
    check_relinked(desk, 2)
    assert relinked(DOWNLINK, DEVICE, 1, RELINK_DEMAND)[1] not in bytes(desk.flash.image)


STORIES = {
    "relinking": (relinking, check_relinked),
    "relinking_again": (relinking_again, check_relinked_again),
    "rotating": (rotating, check_rotated),
    "rotating_again": (rotating_again, check_rotated_again),
    "rekeying": (rekeying, check_rekeyed),
    "adopting": (adopting, check_adopted),
    "rolling_back": (rolling_back, check_rolled_back),
    "replacing": (replacing, check_replaced),
    "commanding": (commanding, check_commanded),
    "updating": (updating, check_updated),
    "updating_in_vain": (updating_in_vain, check_updated_in_vain),
    "failing": (failing, check_given_up),
}
