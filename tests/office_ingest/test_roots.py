"""The office replaces a release root on devices: ordered, fetched, taken, told; and a root that a device may need is not retired.

The device is the real agent over flash in memory, with the keys that the office made; the gateway between is the test's.
"""

import pytest

from office_ingest.govern.release import ReleaseRefused
from office_ingest.govern.rollout import Rollouts
from office_ingest.govern.roots import (
    HOLDS,
    ORDERED,
    REPLACED,
    SILENT,
    _stands,
    holders,
    make_replacement,
    newcomer_roots,
    replace_root,
    retire_root,
    successor_body,
)
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key, make_successor
from office_ingest.storage.downward import Downward
from office_ingest.watch.roots import BEHIND, RootWatch
from office_ingest.watch.roots import REFUSED as REFUSED_FINDING
from protocol.attestation import ROOTS, claims_of
from protocol.command import OUT_OF_RANGE, parse_command, root_digest
from protocol.diagnostic import DiagnosticError
from protocol.envelope import key_id, parse_envelope
from protocol.lms import leaf_of
from tests.agent.desk import DEVICE
from tests.office_ingest.govern.release_bench import NOW_MS, SMALL
from tests.office_ingest.test_rekey import DAY_MS, Pair


class Roots:
    """A pair whose office has two roots, one of them with a successor that can sign."""

    def __init__(self, folder, names=("release", "recovery")):
        self.pair = Pair(folder)
        self.store, self.keystore = self.pair.office.store, self.pair.office.keystore
        self.shelf = Shelf(self.store)
        self.folders = [folder / name for name in names]
        for at in self.folders:
            public, _, envelope = make_key(at, now_ms=NOW_MS, **SMALL)
            self.shelf.add_root(public, envelope, NOW_MS)
        self.release, self.recovery = (*self.shelf.roots(), None)[:2]
        self.provision()

    def provision(self):
        """Give the device the roots that a new one is given now."""
        self.pair.device.settings["roots"] = [public.hex() for public in newcomer_roots(self.shelf)]

    def succeed(self):
        """Go on with the successor of the first root, and return it."""
        folder = self.folders[0] / "successor"
        _, envelope = make_successor(folder, now_ms=NOW_MS, **SMALL)
        with OpenSigner(folder) as signer:
            self.shelf.add_root(signer.public, envelope, NOW_MS)
        return self.shelf.roots()[-1]

    def replace(self, body=None):
        """Order the device to take the first root's successor, or another body."""
        done = replace_root(
            self.store,
            self.keystore,
            self.release,
            successor_body(self.release) if body is None else body,
            author="test",
            now_ms=self.pair.now_ms(),
            lasts_ms=30 * DAY_MS,
        )
        self.hand_down()
        return done

    def hand_down(self):
        """Give what waits to the gateway, with what it names, as the office's routes do."""
        for raw in Downward(self.store).waiting_commands(DEVICE, self.pair.now_ms(), 16):
            fields = parse_command(raw).fields
            self.pair.gateway.commands[fields.number] = raw
            body = Rollouts(self.store).part_for("gateway-1", root_digest(fields.demand))
            self.pair.gateway.replacements[fields.number] = body

    def run(self, seconds=2):
        """Let the device run, and bring what it sealed."""
        self.pair.device.run(seconds)
        self.pair.bring()

    def state(self, root=None):
        """Return how the device stands towards a root, the first one by default."""
        (found,) = holders(self.store, (root or self.release).key_id, self.pair.now_ms())
        return found.state

    def kinds(self):
        """Return the kinds of the open findings about roots."""
        return [kind for kind in (BEHIND, REFUSED_FINDING) if self.store.open_places(DEVICE, kind)]


@pytest.fixture
def roots(tmp_path):
    """An office, its roots, and a device that holds them."""
    made = Roots(tmp_path)
    yield made
    made.pair.office.close()


def check_replaced_and_retired(roots):
    new = roots.succeed()
    roots.run()
    assert roots.state() == HOLDS
    done = roots.replace()
    assert (done.given, roots.state()) == (["pump"], ORDERED)
    with pytest.raises(ReleaseRefused, match="1 devices may need"):
        retire_root(roots.store, roots.release, "test", roots.pair.now_ms())
    roots.run()

    assert roots.state() == REPLACED
    assert [root.public for root in roots.shelf.trusted()] == [roots.recovery.public, new.public]
    retire_root(roots.store, roots.release, "test", roots.pair.now_ms())
    assert roots.shelf.retired() == {roots.release.key_id}


def test_root_is_replaced_on_the_device_and_only_then_retired(roots):
    """The office says who holds it, orders it once, hears it in a sealed event, and refuses to retire before."""
    check_replaced_and_retired(roots)


def check_one_key(roots):
    new = roots.succeed()
    roots.provision()
    assert newcomer_roots(roots.shelf) == [roots.release.public]
    roots.run()
    roots.replace()
    roots.run()

    assert (roots.state(), roots.kinds()) == (REPLACED, [])
    assert newcomer_roots(roots.shelf) == [new.public]


def test_device_that_is_made_between_successor_and_replacement_takes_the_replacement(tmp_path):
    """Where one key signs: it is given what devices in the field hold, and follows as they do."""
    made = Roots(tmp_path, ["release"])
    check_one_key(made)
    made.pair.office.close()


def test_device_that_was_given_root_and_successor_takes_a_third_root_that_the_successor_signs(tmp_path):
    """As offices of before made them: the way out that the page names."""
    made = Roots(tmp_path, ["release"])
    new = made.succeed()
    made.pair.device.settings["roots"] = [root.public.hex() for root in (made.release, new)]
    public, _, envelope = make_key(tmp_path / "third", now_ms=NOW_MS, **SMALL)
    made.shelf.add_root(public, envelope, NOW_MS)
    with OpenSigner(made.folders[0] / "successor") as signer:
        body = make_replacement(made.shelf, signer, made.release, made.shelf.roots()[-1], NOW_MS)
    made.run()
    made.replace(body)
    made.run()

    assert made.state() == REPLACED
    made.pair.office.close()


def check_no_fifth_root(roots, folder):
    for number in range(2):
        public, _, envelope = make_key(folder / f"more-{number}", now_ms=NOW_MS, **SMALL)
        roots.shelf.add_root(public, envelope, NOW_MS)
    assert 4 == len(newcomer_roots(roots.shelf))
    # A successor that nobody published makes no fifth; another key does.
    roots.succeed()
    assert 4 == len(newcomer_roots(roots.shelf))
    public, _, envelope = make_key(folder / "fifth", now_ms=NOW_MS, **SMALL)
    roots.shelf.add_root(public, envelope, NOW_MS)
    said = None
    try:
        newcomer_roots(roots.shelf)
    except DiagnosticError as error:
        (said,) = error.diagnostics

    assert said is not None
    assert ("provision-roots", "5 roots sign releases here") == (said.code, said.message.partition(" (")[0])


def test_no_device_is_given_a_fifth_root(roots, tmp_path):
    """None is left out in silence: whoever provisions replaces one first."""
    check_no_fifth_root(roots, tmp_path)


def test_list_of_as_many_roots_as_a_device_can_name_says_nothing_of_others():
    """The eldest may be left out of it: whoever is not named is ordered like one that says nothing, and its root is not retired for that."""
    named = [bytes([at]) * 8 for at in range(1, 5)]

    assert _stands(bytes(8), named, [], 0)[0] == SILENT
    assert _stands(bytes(8), named[:3], [], 0)[0] == REPLACED
    assert _stands(named[0], named, [], 0)[0] == HOLDS


def test_order_is_given_once_and_again_to_whom_it_was_lost_on(roots):
    """While it waits, or once it was carried out, nobody is ordered again."""
    roots.succeed()
    roots.run()
    assert roots.replace().given == ["pump"]
    assert roots.replace().had == ["pump"]
    roots.run()

    assert roots.replace().had == ["pump"]
    assert len(Downward(roots.store).commands(DEVICE)) == 1


def check_recovered(roots):
    folder = roots.folders[0].parent / "anew"
    public, _, envelope = make_key(folder, now_ms=NOW_MS, **SMALL)
    roots.shelf.add_root(public, envelope, NOW_MS)
    roots.run()
    with OpenSigner(roots.folders[1]) as signer:
        before = signer.remaining()
        body = make_replacement(roots.shelf, signer, roots.release, roots.shelf.roots()[-1], NOW_MS)
        assert signer.remaining() == before - 1
    roots.replace(body)
    assert roots.shelf.published(roots.recovery.key_id) == leaf_of(parse_envelope(body).signature)
    roots.run()

    assert roots.state() == REPLACED
    assert roots.pair.device.agent._roots.held() == [public, roots.recovery.public]


def test_recovery_root_replaces_a_root_that_is_lost_with_its_successor(roots):
    """One leaf of it, counted as published; the device holds the new one beside it."""
    check_recovered(roots)


def test_successor_that_nobody_went_on_with_is_published_to_nobody(roots):
    """Devices would hold a key of which nobody knows whether it is there."""
    with pytest.raises(ReleaseRefused, match="succeed"):
        roots.replace()

    assert roots.shelf.replacements() == []


@pytest.mark.parametrize("what", ["truncated", "of another root", "another purpose"])
def test_replacement_that_a_device_would_refuse_is_not_published(roots, what):
    """Neither a row nor a command."""
    roots.succeed()
    good = successor_body(roots.release)
    with OpenSigner(roots.folders[1]) as signer:
        false = signer.envelope(b"outstation release v1", parse_envelope(good).payload, published=-1)
    body = {"truncated": good[:-1], "of another root": roots.recovery.successor, "another purpose": false}[
        what
    ]
    with pytest.raises(ReleaseRefused):
        roots.replace(body)

    assert (roots.shelf.replacements(), Downward(roots.store).commands(DEVICE)) == ([], [])


def check_withheld(roots):
    roots.succeed()
    roots.run()
    roots.replace()
    roots.pair.gateway.replacements.clear()
    assert roots.kinds() == []
    watch = RootWatch(roots.store, patience=3)
    for kinds in ([], [], [BEHIND]):
        watch.heartbeat(DEVICE, NOW_MS)
        assert roots.kinds() == kinds
    roots.run()
    assert (roots.state(), roots.kinds()) == (ORDERED, [BEHIND])
    roots.hand_down()
    roots.run()

    assert (roots.state(), roots.kinds()) == (REPLACED, [])


def test_gateway_that_withholds_a_replacement_is_found(roots):
    """Heartbeats come and the order is not answered; the finding ends with the answer."""
    check_withheld(roots)


def test_refusal_is_a_finding_that_says_why_and_keeps_the_root(roots):
    """A device that was restored to before, or another, holds what it held; nobody may retire that."""
    roots.succeed()
    roots.run()
    body = successor_body(roots.release)
    roots.pair.device.settings["roots"] = [roots.recovery.public.hex()]
    roots.replace()
    roots.run()
    (row,) = Downward(roots.store).commands(DEVICE)

    assert row.verdict == OUT_OF_RANGE
    assert roots.kinds() == [REFUSED_FINDING]
    assert body == roots.shelf.replacements()[0].body


def test_device_that_says_nothing_of_roots_is_taken_to_need_every_one(roots):
    """An agent of before, or one that never spoke."""
    assert roots.state() == SILENT


def test_claims_of_another_form_say_nothing_of_roots():
    """Only identifiers count."""
    claims = claims_of("unix", 0, 1, bytes(32), None, bytes(32), 1, [key_id(bytes(60))])

    assert claims[ROOTS] == key_id(bytes(60))
    assert ROOTS not in claims_of("unix", 0, 1, bytes(32), None, bytes(32), 1, [])


def test_retired_root_signs_nothing_any_more(roots):
    """And none that is not replaced is retired."""
    with pytest.raises(ReleaseRefused, match="replaced by none"):
        retire_root(roots.store, roots.recovery, "test", NOW_MS)
