"""Gateways remember which leaves signed: a key and a database that were put back together use none of them again."""

import asyncio
import shutil

import pytest

from gateway.health import Health
from gateway.witness import Witness
from office_ingest.govern.release import Request, build_release, sign_release
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import KeyRolledBack, KeyUsedUp, OpenSigner, make_key, make_successor
from office_ingest.govern.witness import (
    HEARD_MS,
    LEAF_TWICE,
    ROOT_RESTORED,
    Unwitnessed,
    Witnesses,
    require_witness,
)
from office_ingest.prove.verify import verify_database
from office_ingest.storage.witness import WitnessStore
from protocol.envelope import RELEASE, encode_envelope, parse_envelope
from protocol.lms import leaf_of
from protocol.manifest import DEVICES
from protocol.witness import (
    PATH,
    encode_witness,
    encode_witness_answer,
    mark_of,
    parse_witness,
    parse_witness_answer,
)
from tests.gateway.site import TestClock, new_store
from tests.office_ingest.govern.release_bench import NOW_MS, SCHEMA, SMALL, bundle
from tests.office_ingest.test_api import CBOR, calling
from tests.support.office_desk import OfficeDesk

MARGIN = 4


class Memory:
    """One gateway's memory, over a real store. name: as the office knows it; carried: envelopes of releases that it has."""

    def __init__(self, folder, name):
        self.folder, self.name, self.carried = folder / name, name, []
        self.folder.mkdir()

    def speak(self, office):
        """Tell an office, in one exchange, and end."""

        async def ask(method, path, bytes_max, body):
            assert (method, path) == ("POST", PATH)
            told, asked = office.witnesses.take(self.name, *parse_witness(body), office.desk.wall_ms())
            answer = encode_witness_answer(told, asked)
            assert len(answer) <= bytes_max
            return answer

        async def exchange():
            store = new_store(self.folder, clock=TestClock())
            witness = Witness(store, Health(), ask, lambda: self.carried, clock=TestClock(), interval_s=60)
            try:
                await witness.load()
                await witness.step()
            finally:
                await store.close()

        asyncio.run(exchange())


class Restored:
    """An office with a key, two gateways that remember, and one backup of database and key together."""

    def __init__(self, folder):
        self.folder = folder
        self.office, self.key, self.backup = folder / "office", folder / "office" / "key", folder / "backup"
        self.office.mkdir()
        self.open(OfficeDesk(self.office))
        self.desk.registry.add_schema(SCHEMA)
        self.desk.registry.add_gateway("gw-2", name="gw-2", site="site-1", token="t" * 16, now_ms=1)
        public, _, envelope = make_key(self.key, now_ms=NOW_MS, **SMALL)
        self.shelf.add_root(public, envelope, NOW_MS)
        self.root = self.shelf.roots()[0].key_id
        self.first, self.second = Memory(folder, "gw-1"), Memory(folder, "gw-2")

    def open(self, desk):
        self.desk, self.shelf = desk, Shelf(desk.store)
        self.witnesses = Witnesses(desk.store)

    def sign(self, days=30):
        """Build and sign a release; return the envelope. days: makes it another one."""
        request = Request((DEVICES, []), ["unix"], bundle(), b"source", "A. Author", days=days)
        request = request._replace(target=(1, "a cohort"))
        number = build_release(self.shelf, request, NOW_MS).number
        with OpenSigner(self.key) as signer:
            return sign_release(self.shelf, number, signer, NOW_MS).signatures[-1].raw

    def take_backup(self):
        self.desk.close()
        shutil.copytree(self.office, self.backup)
        self.open(OfficeDesk(self.office, is_there=True))

    def put_back(self):
        """Put database, key and all back to the backup, together."""
        self.desk.close()
        shutil.rmtree(self.office)
        shutil.copytree(self.backup, self.office)
        self.open(OfficeDesk(self.office, is_there=True))

    def published(self):
        return self.shelf.published(self.root)

    def kinds(self):
        return [kind for kind, _ in self.desk.findings() if kind in (ROOT_RESTORED, LEAF_TWICE)]


@pytest.fixture
def restored(tmp_path):
    """An office with a key and two gateways, nothing signed."""
    made = Restored(tmp_path)
    yield made
    made.desk.close()


def refusal(error, call):
    """Return the words with which a call is refused, "" if it is not."""
    try:
        call()
    except error as refused:
        return str(refused)
    return ""


def leaf(raw):
    """Return which leaf signed an envelope."""
    return leaf_of(parse_envelope(raw).signature)


def check_both_put_back_are_found(restored):
    restored.sign()
    restored.take_backup()
    used = restored.sign(days=31)
    restored.first.speak(restored)
    restored.put_back()
    assert restored.published() < leaf(used)
    restored.first.speak(restored)

    assert restored.published() == leaf(used)
    assert restored.kinds() == [ROOT_RESTORED]
    said = refusal(KeyRolledBack, lambda: restored.sign(days=32))
    assert f"leaf {leaf(used)} was published already" in said


def test_key_and_database_of_one_backup_sign_with_no_leaf_that_a_gateway_saw(restored):
    """Neither of the two knows; the gateway does, shows it, and nothing signs at or below it."""
    check_both_put_back_are_found(restored)


def check_every_gateway_is_told(restored):
    used = restored.sign()
    restored.take_backup()
    used = restored.sign(days=31)
    # Which needed no release there: every gateway is told of every leaf.
    restored.second.speak(restored)
    restored.put_back()
    restored.second.speak(restored)
    restored.first.speak(restored)
    assert leaf(used) == restored.published()
    # And the first knows from the office what the second showed.
    restored.put_back()
    restored.first.speak(restored)

    assert leaf(used) == restored.published()


def test_every_gateway_knows_every_leaf(restored):
    """Of a release that no device of its site is to have too, and what another gateway showed."""
    check_every_gateway_is_told(restored)


def check_carried_counts(restored):
    restored.take_backup()
    used = restored.sign()
    restored.first.carried = [used]
    restored.put_back()
    restored.first.speak(restored)

    assert leaf(used) == restored.published()


def test_release_that_a_gateway_carries_is_seen(restored):
    """Though the office was put back before it told anybody which leaf signed."""
    check_carried_counts(restored)


def check_skipped_leaf_was_never_used(restored):
    restored.take_backup()
    seen = restored.sign()
    restored.first.speak(restored)
    unseen = restored.sign(days=31)
    restored.put_back()
    restored.first.speak(restored)
    with OpenSigner(restored.key) as signer:
        after = signer.skip(restored.published(), MARGIN)
    next_used = leaf(restored.sign(days=32))

    assert next_used == after == leaf(seen) + 1 + MARGIN
    assert next_used > leaf(unseen)


def test_key_that_was_put_back_goes_on_above_all_that_was_seen(restored):
    """And above what nobody told of, by a margin; the finding ends, and the next backup has it right."""
    check_skipped_leaf_was_never_used(restored)
    restored.first.speak(restored)

    assert [] == restored.kinds()


def test_skip_leaves_alone_what_is_right_and_ends_where_no_leaf_is_left(restored):
    """A count above all that was seen is no restored one; beyond the last leaf there is only the successor."""
    used = restored.sign()
    with OpenSigner(restored.key) as signer:
        assert leaf(used) + 1 == signer.skip(restored.published(), MARGIN)
        with pytest.raises(KeyUsedUp):
            signer.skip(leaf(used) + 1, 1 << 10)
    assert leaf(used) + 1 == leaf(restored.sign(days=31))


def check_leaf_twice_is_told(restored):
    restored.sign()
    restored.take_backup()
    used = restored.sign(days=31)
    restored.first.speak(restored)
    restored.put_back()
    again = restored.sign(days=32)
    assert leaf(used) == leaf(again)
    restored.first.speak(restored)
    found = verify_database(restored.desk.store.connection, None).findings

    assert restored.kinds() == [LEAF_TWICE]
    assert ["witnessed"] == [one.table for one in found if "signed something else too" in one.what]


def test_leaf_that_signed_twice_all_the_same_is_told_by_the_gateway_that_saw_the_first(restored):
    """Where somebody signed before any gateway was heard: a finding, and the auditor's walk names it."""
    check_leaf_twice_is_told(restored)


def _forged(restored, leaf_number):
    """Return an envelope by this root's name and a leaf that never signed: nobody can make one that verifies."""
    true = parse_envelope(restored.shelf.roots()[0].successor)
    signature = true.signature[:4] + leaf_number.to_bytes(4, "big") + true.signature[8:]
    return encode_envelope(restored.root, true.payload, signature)


def check_nobodys_word_counts(restored):
    restored.sign()
    before = restored.published()
    forged = _forged(restored, 20)
    told, asked = restored.witnesses.take("gw-1", [(restored.root, 20, mark_of(forged))], [], NOW_MS)
    assert asked == [restored.root]
    restored.witnesses.take("gw-1", [(restored.root, 20, mark_of(forged))], [forged], NOW_MS)

    assert (restored.published(), restored.kinds()) == (before, [])
    assert WitnessStore(restored.desk.store).heard() == {}


def test_leaf_that_no_root_signed_with_is_nobodys(restored):
    """A gateway in the wrong hands can neither use leaves up nor stand for one that is heard."""
    check_nobodys_word_counts(restored)


def test_root_that_the_office_does_not_know_is_passed_over(restored, tmp_path):
    """Nothing is signed with it here; its witness is heard all the same."""
    public, _, envelope = make_key(tmp_path / "other", now_ms=NOW_MS, **SMALL)
    other = parse_envelope(envelope).key_id
    _, asked = restored.witnesses.take("gw-1", [(other, 7, bytes(8))], [envelope], NOW_MS)

    assert ([], []) == (asked, restored.desk.rows("witnessed"))
    assert ["gw-1"] == list(WitnessStore(restored.desk.store).heard())


def check_unheard_office_does_not_sign(restored):
    now_ms = restored.desk.now_ms
    require_witness(restored.desk.store, now_ms, alone=False)
    restored.first.speak(restored)
    require_witness(restored.desk.store, now_ms + HEARD_MS, alone=False)
    # The second: the clock was put back with everything else.
    said = [
        refusal(Unwitnessed, lambda at=at: require_witness(restored.desk.store, now_ms + at, alone=False))
        for at in (HEARD_MS + 61_000, -HEARD_MS - 60_000)
    ]

    assert "gateway gw-1 did 6 minutes ago" in said[0]
    assert said[1] != ""
    require_witness(restored.desk.store, now_ms + 2 * HEARD_MS, alone=True)


def test_office_that_heard_no_gateway_lately_signs_by_a_persons_word_alone(restored):
    """As one does that was put back and where nobody spoke yet; an office without gateways is as it was."""
    check_unheard_office_does_not_sign(restored)


def test_revoked_gateway_bears_no_witness(restored):
    """Its word is none: with no other one, the office is as one without gateways."""
    restored.first.speak(restored)
    restored.desk.registry.note_revoked("gw-1", NOW_MS)

    require_witness(restored.desk.store, restored.desk.now_ms + 2 * HEARD_MS, alone=False)


def check_successor_signs_for_one_successor(restored):
    folder = restored.key / "successor"
    shutil.copytree(folder, restored.folder / "copied")
    with OpenSigner(folder) as signer:
        public, known = signer.public, signer.key_id
    _, envelope = make_successor(folder, now_ms=NOW_MS, **SMALL)
    restored.shelf.add_root(public, envelope, NOW_MS)
    shutil.rmtree(folder)
    shutil.copytree(restored.folder / "copied", folder)
    published = restored.shelf.published(known)
    said = refusal(KeyRolledBack, lambda: make_successor(folder, now_ms=NOW_MS, published=published, **SMALL))

    assert "leaf 0 was published already" in said
    assert not (folder / "successor").exists()


def test_successor_that_was_put_back_signs_for_no_second_successor(restored):
    """What was gone on with once has used its first leaf, whatever its folder says."""
    check_successor_signs_for_one_successor(restored)


def check_torn_row_is_told_again(restored):
    used = restored.sign()
    restored.first.speak(restored)

    async def tear():
        store = new_store(restored.first.folder, clock=TestClock())
        await store.commits.submit(lambda connection: connection.execute("UPDATE witness SET leaf = 30"))
        await store.close()

    asyncio.run(tear())
    before_ms = restored.desk.now_ms
    restored.first.speak(restored)

    assert (leaf(used), []) == (restored.published(), restored.kinds())
    assert WitnessStore(restored.desk.store).heard()["gw-1"] > before_ms


def test_what_a_disk_changed_at_a_gateway_is_told_anew(restored):
    """A row without its mark is as good as none."""
    check_torn_row_is_told_again(restored)


def test_envelope_for_another_purpose_by_the_same_root_counts(restored):
    """Leaves sign releases and successions alike."""
    raw = restored.shelf.roots()[0].successor

    assert [raw] == restored.witnesses.take("gw-1", [], [], NOW_MS)[0]
    with pytest.raises(Exception, match="does not fit"):
        parse_envelope(raw).verify(restored.shelf.roots()[0].public, RELEASE)


def test_route_hears_a_gateway_and_refuses_what_is_no_witness(restored):
    """By the gateway's own identity, bounded, and in CBOR."""
    used = restored.sign()
    with calling(restored.desk, witness=lambda *said: restored.witnesses.take(*said, NOW_MS)) as call:
        answer = call("POST", PATH, encode_witness([], []))
        stranger = {"Content-Type": "application/cbor", "Authorization": "Bearer nobody's token"}
        refused = [
            call("POST", PATH, body, headers).status_code
            for body, headers in (
                (b"\x80", CBOR),
                (bytes(200_000), CBOR),
                (encode_witness([], []), stranger),
            )
        ]

    assert (200, "application/cbor") == (answer.status_code, answer.headers["content-type"])
    assert ([used], []) == parse_witness_answer(answer.content)
    assert [400, 413, 401] == refused
