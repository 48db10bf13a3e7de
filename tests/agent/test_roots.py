"""A device that takes another release root by the office's order: whole, power-safe, and from nobody else."""

import pytest

from agent.flash import SECTOR_BYTES, RamFlash
from agent.keystore import Keystore
from protocol.adoption import REFUSED as REFUSED_STEP
from protocol.adoption import STAGED
from protocol.attestation import roots_of
from protocol.command import DONE, LATE, OUT_OF_RANGE, REKEY
from protocol.envelope import key_id
from protocol.errors import ROLLBACK, SEAL, SIGNER
from protocol.event import ATTESTATION
from protocol.keys import CRITICAL
from tests.agent import cuts_down
from tests.agent.desk import KillPoint
from tests.agent.release_bench import (
    adopt_bundle,
    make_command,
    make_release,
    replacement,
    root,
    root_order,
    sign,
)
from tests.agent.test_rekey import give
from tests.agent.way_down import (
    BODY,
    COMMAND_POINTS,
    NUMBER,
    ROOT_POINTS,
    adoptions,
    commands,
    make_desk,
    rotating,
    steps,
)


def _desk(raw=None, number=1, **settings):
    desk = make_desk(**settings)
    desk.gateway.wanted = None
    rotating(desk, replacement("release", "next") if raw is None else raw, number)
    return desk


def held(desk):
    """Return the roots that the device has in force, by name."""
    names = {root(name): name for name in ("release", "recovery", "next", "later", "stranger")}
    return [names[public] for public in desk.agent._roots.held()]


def attested(desk):
    """Return the roots of every attestation that arrived, oldest first."""
    events = [event for _, event in desk.gateway.events(CRITICAL)]
    return [roots_of(event[3][0]) for event in events if event[2] == ATTESTATION]


def ids(*names):
    """Return the identifiers of roots."""
    return [key_id(root(name)) for name in names]


def _keystore(desk):
    keystore = Keystore(RamFlash(desk.flash.sectors, desk.flash.image), 2)
    keystore.open()
    return keystore


def test_device_takes_a_successor_says_so_and_keeps_it_over_a_restart():
    """One event of the command, one attestation behind it, and the root of before is held no more."""
    desk = _desk()
    desk.run(2)

    assert [(number, verdict, outcome) for number, _, verdict, outcome in commands(desk)] == [(1, DONE, None)]
    assert held(desk) == ["next", "recovery"]
    assert attested(desk) == [ids("release", "recovery"), ids("next", "recovery")]
    desk.run(1)
    assert held(desk) == ["next", "recovery"]
    assert attested(desk)[-1] == ids("next", "recovery")
    assert len(_keystore(desk).roots()) == 1


def test_release_under_the_new_root_is_adopted_and_one_under_the_old_alone_is_refused():
    """`signer` for who only has the key of before; the release that both signed is good."""
    desk = _desk()
    desk.run(2)
    desk.gateway.releases[NUMBER] = make_release(NUMBER, BODY)
    desk.gateway.wanted = NUMBER
    desk.run(2)
    assert steps(desk) == [(0, NUMBER, SIGNER)]
    desk.gateway.releases[8] = make_release(8, BODY, signers=("release", "next"))
    desk.gateway.wanted = 8
    desk.run(3)

    assert [step for step, number, *_ in adoptions(desk) if number == 8] == [1, 2, 3]
    assert desk.cell().version_floor == 8


def test_release_that_both_roots_signed_is_adopted_before_the_change_too():
    """A fleet is never all on one side at once."""
    desk = make_desk(make_release(NUMBER, BODY, signers=("release", "next")))
    desk.run(3)

    assert desk.cell().version_floor == NUMBER


def test_recovery_root_stands_in_for_a_lost_key_and_its_lost_successor():
    """What the recovery root signed replaces the other one; two roots are held as before."""
    desk = _desk(replacement("release", "later", by="recovery"))
    desk.run(2)

    assert held(desk) == ["later", "recovery"]


def test_root_is_replaced_again_and_again():
    """Each by the one before; one page a provisioned root is all that is left of it."""
    desk = _desk()
    desk.run(2)
    rotating(desk, replacement("next", "later"), 2)
    desk.run(2)

    assert held(desk) == ["later", "recovery"]
    assert [page[0] for page in _keystore(desk).roots()] == [2]


def test_root_stays_replaced_when_all_keys_become_others():
    """The root page moves with the keys into the other sector: with a rekey, and with every move after it."""
    desk = _desk()
    desk.run(2)
    give(desk, 2)
    desk.run(2)
    give(desk, 3, [REKEY, 5000, 128, 1, 2])
    desk.run(2)

    assert [verdict for _, _, verdict, _ in commands(desk)] == [DONE] * 3
    assert held(desk) == ["next", "recovery"]
    assert [page[:2] for page in _keystore(desk).roots()] == [(1, key_id(root("release")))]


@pytest.mark.parametrize("seed", range(8))
def test_half_erased_sector_of_before_takes_no_root_with_it(seed):
    """A move was cut while it erased what it had copied, and of that only the root page went: the copy counts."""
    flash = RamFlash(4)
    keystore = Keystore(flash, 0)
    keystore.provision(
        (bytes([1]) * 32, bytes([2]) * 32), (bytes([3]) * 32, bytes([4]) * 32), bytes([5]) * 32
    )
    keystore.write_root(1, bytes(8), root("next"), 0)
    for lane in (0, 1):
        for _ in range(seed):
            keystore.advance_seal(lane)
    source = keystore._sector
    before = bytes(flash.image[source * SECTOR_BYTES : (source + 1) * SECTOR_BYTES])
    keystore._move()
    flash.image[source * SECTOR_BYTES : (source + 1) * SECTOR_BYTES] = before
    page = next(page for page in range(16) if root("next") in before[page * 256 : page * 256 + 256])
    at = source * SECTOR_BYTES + page * 256
    flash.image[at : at + 256] = b"\xff" * 256
    again = Keystore(RamFlash(4, flash.image), 0)
    again.open()

    assert again.roots() == [(1, bytes(8), root("next"), 0)]


def _forged():
    """A gateway's own: the names of the office's, signed with a key of its own under the old root's identifier."""
    good = replacement("release", "stranger")
    mine = replacement("release", "stranger", by="stranger")
    return good[: len(good) - 64] + mine[len(mine) - 64 :]


REFUSED = {
    "forged successor": (_forged, SEAL),
    "successor of an unknown root": (lambda: replacement("stranger", "next", by="stranger"), SIGNER),
    "wrong predecessor": (lambda: replacement("later", "next", by="release"), ROLLBACK),
    "signature for another purpose": (lambda: sign("release", bytes(32)), SEAL),
    "a root that is held already": (lambda: replacement("release", "recovery"), SIGNER),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_replacement_that_is_not_to_be_is_refused_by_name(name):
    """Even where the office itself ordered it: the event says which check failed, and the roots stay."""
    make, code = REFUSED[name]
    desk = _desk(make())
    desk.run(2)

    assert [(verdict, outcome) for _, _, verdict, outcome in commands(desk)] == [(OUT_OF_RANGE, code)]
    assert held(desk) == ["release", "recovery"]
    assert _keystore(desk).roots() == []


def test_older_set_that_is_played_again_is_refused():
    """What once replaced a root does so no more, by the command of then and by one of today."""
    desk = _desk()
    desk.run(2)
    old, first = desk.gateway.commands[1], desk.gateway.replacements[1]
    rotating(desk, replacement("next", "later"), 2)
    desk.run(2)
    desk.gateway.commands = {1: old, 3: make_command(3, root_order(first))}
    desk.gateway.replacements[3] = first
    desk.run(2)

    assert [(number, verdict) for number, _, verdict, _ in commands(desk)] == [
        (1, DONE),
        (2, DONE),
        (3, OUT_OF_RANGE),
    ]
    assert commands(desk)[-1][3] in (ROLLBACK, SIGNER)
    assert held(desk) == ["later", "recovery"]


@pytest.mark.parametrize("name", ["another body", "truncated", "no end", "nothing"])
def test_body_that_a_gateway_gives_instead_changes_nothing(name):
    """No event, no page; the right one, when it comes, is taken."""
    desk = _desk()
    good = desk.gateway.replacements[1]
    false = {
        "another body": replacement("release", "stranger"),
        "truncated": good[:-1],
        "no end": good + bytes(6000),
    }
    desk.gateway.replacements = {1: false[name]} if name in false else {}
    desk.run(2)
    assert commands(desk) == []
    assert held(desk) == ["release", "recovery"]
    assert _keystore(desk).roots() == []
    desk.gateway.replacements = {1: good}
    desk.run(2)

    assert held(desk) == ["next", "recovery"]


def test_gateway_that_orders_it_itself_is_not_heard():
    """A good successor without the office's seal is none: a copied key alone changes nobody's roots."""
    desk = _desk()
    desk.gateway.commands[1] = make_command(1, root_order(desk.gateway.replacements[1]), key=bytes(32))
    desk.run(2)

    assert commands(desk) == []
    assert held(desk) == ["release", "recovery"]


def test_order_that_came_too_late_is_answered_without_its_body():
    """Nothing is fetched, and what waits behind it has its turn."""
    desk = make_desk()
    desk.gateway.wanted = None
    desk.gateway.commands[1] = make_command(1, root_order(replacement("release", "next")), until_ms=1)
    desk.run(2)

    assert [verdict for _, _, verdict, _ in commands(desk)] == [LATE]
    assert held(desk) == ["release", "recovery"]


def test_release_that_waits_for_its_moment_is_checked_again_after_the_change():
    """It was staged under a root that is held no more, and the rules that decide do not let it take over yet: it never does."""
    desk = make_desk(make_release(NUMBER, adopt_bundle(5, False)))
    desk.bundle = adopt_bundle(4, False)
    desk.run(2)
    assert steps(desk) == [(STAGED, NUMBER, 0)]
    rotating(desk, replacement("release", "next"))
    desk.run(3)

    assert held(desk) == ["next", "recovery"]
    assert (REFUSED_STEP, NUMBER, SIGNER) in steps(desk)
    assert desk.cell().release[1] == -1


def test_signature_is_verified_once(monkeypatch):
    """Hundreds of hashes a time are a second of a small board."""
    from protocol import envelope

    times = []
    verify = envelope.verify
    monkeypatch.setattr(envelope, "verify", lambda *what: times.append(1) or verify(*what))
    desk = _desk()
    desk.run(2)
    desk.run(1)

    assert held(desk) == ["next", "recovery"]
    assert len(times) == 1


@pytest.mark.parametrize("point", [*COMMAND_POINTS, *ROOT_POINTS])
def test_end_at_any_point_of_a_replacement_is_gone_on_with_at_the_next_boot(point):
    """One event, one root in the place of the old one."""
    desk = _desk()
    desk.points[point] = 1
    assert isinstance(desk.run(2), KillPoint)
    assert desk.run(3) is None

    assert [(number, verdict) for number, _, verdict, _ in commands(desk)] == [(1, DONE)]
    assert held(desk) == ["next", "recovery"]
    assert [page[3] for page in _keystore(desk).roots()] == [0]
    assert attested(desk)[-1] == ids("next", "recovery")


@pytest.mark.parametrize("mode", ["clean", "torn", "noise"])
@pytest.mark.parametrize("name", ["rotating", "rotating_again"])
def test_cut_at_any_operation_of_a_replacement_leaves_the_old_root_or_the_new(name, mode):
    """Never none and never both: one event, and at the end the new root, whatever operation was cut and how."""
    story, check = cuts_down.STORIES[name]
    cuts = cuts_down.sweep(story, check, mode)

    assert cuts > 8
