"""Boards at the office: whose announcement is believed, what a person's yes makes, and when a one-time secret ends."""

import sqlite3

import pytest

from office_ingest.errors import StoreUnavailable
from office_ingest.govern.admissions import Admissions, Terms
from office_ingest.receive.claims import ADMITTED, MADE, REFUSED, USED
from protocol import keys
from protocol.admission import open_admission, seal_announcement
from protocol.aes_host import Ccm
from tests.agent.desk import BUNDLE, SCHEMA

NOW = 1_700_000_000_000


@pytest.fixture
def admissions(desk):
    return Admissions(desk.store, desk.keystore)


def terms(name="pump 1"):
    return Terms(name, "site-1", "pump", "first", SCHEMA, BUNDLE, [bytes(60)], [["sample_ms", 1000]])


def announced(admissions, hardware="unix"):
    """Return (claim, announcement) of a new board."""
    board, secret = admissions.make_claim(hardware, NOW)
    return admissions.claims.find(board), seal_announcement(board, hardware, secret)


def admitted(admissions):
    """Return (claim as it was, announcement, what the office says) of a board that was admitted."""
    claim, raw = announced(admissions)
    admissions.hear("gw-1", [raw], NOW)
    admissions.admit(admissions.claims.find(claim.board), terms(), NOW)
    return claim, raw, admissions.hear("gw-1", [raw], NOW)


def check_board_gets_the_keys_that_the_office_keeps(desk, admissions):
    claim, _, said = admitted(admissions)
    [(board, sealed)] = said
    given = open_admission(sealed, claim.board, claim.secret, Ccm)

    assert board == claim.board == given.device
    assert desk.keystore.links() == [(board, given.kid, given.secret)]
    for lane in keys.LANES:
        assert desk.keystore.seal_key(board, lane, 0) == given.seal_keys[lane]
    assert desk.keystore.downlink(board) == given.downlink
    for view_class, ratchet in zip((keys.SITE, keys.OFFICE), given.ratchets, strict=True):
        assert desk.keystore.view_key(board, view_class, 0) == keys.view_key(ratchet)
    assert desk.rows("devices", "id, name, site") == [(board, "pump 1", "site-1")]
    assert (given.schema, given.bundle, given.roots) == (SCHEMA, BUNDLE, [bytes(60)])
    assert given.settings == [["kind", "pump"], ["cohort", "first"], ["sample_ms", 1000]]


def test_board_gets_the_keys_that_the_office_keeps(desk, admissions):
    """What is sealed for the board is what the office will verify it by."""
    check_board_gets_the_keys_that_the_office_keeps(desk, admissions)


def check_forged_announcement_is_nobodys(desk, admissions):
    claim, raw = announced(admissions)
    forged = [
        seal_announcement(claim.board, "unix", bytes(16)),
        seal_announcement(bytes(8), "unix", claim.secret),
        seal_announcement(claim.board, "esp32_generic", claim.secret),
        raw[:-1] + bytes([raw[-1] ^ 1]),
        b"\x80",
        b"",
    ]

    assert admissions.hear("gw-1", forged, NOW) == []
    assert admissions.claims.find(claim.board).heard_ms is None
    assert admissions.hear("gw-1", [raw], NOW) == [(claim.board,)]
    assert admissions.claims.find(claim.board).heard_ms == NOW


def test_forged_announcement_is_nobodys(desk, admissions):
    """Another secret, board or hardware, a changed bit, garbage: no person ever sees it."""
    check_forged_announcement_is_nobodys(desk, admissions)


def test_announcement_that_is_played_again_changes_nothing(desk, admissions):
    """Of a board that waits, is admitted, became a device, or was refused: nothing but what it is."""
    claim, raw, said = admitted(admissions)
    before = admissions.claims.find(claim.board)
    assert admissions.hear("gw-1", [raw] * 16, NOW + 1) == said * 16
    assert admissions.claims.find(claim.board) == before
    admissions.arrived(claim.board)
    assert admissions.hear("gw-1", [raw], NOW + 2) == []
    assert admissions.claims.find(claim.board).state == USED
    assert len(desk.rows("devices")) == 1


def check_admission_stays_at_its_site(desk, admissions):
    desk.registry.add_gateway("gw-2", name="gw-2", site="site-1", token="t" * 20, now_ms=1)
    desk.registry.add_gateway("gw-3", name="gw-3", site="site-2", token="u" * 20, now_ms=1)
    claim, raw, said = admitted(admissions)

    assert admissions.hear("gw-2", [raw], NOW) == said
    assert admissions.hear("gw-3", [raw], NOW) == [(claim.board,)]
    assert admissions.hear("nobody", [raw], NOW) == [(claim.board,)]


def test_admission_stays_at_its_site(desk, admissions):
    """Any gateway of the site can hand it on; another that hears the board learns that it is known, and no more."""
    check_admission_stays_at_its_site(desk, admissions)


def check_secret_ends_when_the_device_is_heard(desk, admissions):
    claim, _, said = admitted(admissions)
    [(board, sealed)] = said
    admissions.arrived(bytes(8))
    assert admissions.claims.find(board).state == ADMITTED
    admissions.arrived(board)
    held = (desk.folder / "keystore.db").read_bytes()

    assert admissions.claims.find(board)[1:3] == (USED, None)
    assert [secret for secret in (claim.secret, sealed[:32]) if secret in held] == []


def test_secret_ends_when_the_device_is_heard(desk, admissions):
    """Used once: then neither secret nor admission is in any byte of the file."""
    check_secret_ends_when_the_device_is_heard(desk, admissions)


def test_board_that_was_refused_is_nobodys(desk, admissions):
    """Its secret is erased; neither announcement nor a later yes makes anything of it."""
    claim, raw = announced(admissions)
    admissions.hear("gw-1", [raw], NOW)
    assert admissions.claims.refuse(claim.board)

    assert admissions.hear("gw-1", [raw], NOW) == []
    assert admissions.claims.find(claim.board)[1:3] == (REFUSED, None)
    assert claim.secret not in (desk.folder / "keystore.db").read_bytes()
    assert not admissions.claims.admit(claim.board, "site-1", b"s" * 20)
    assert not admissions.claims.refuse(claim.board)


def test_yes_is_said_once(desk, admissions):
    """What was sealed under a secret stays the one thing that ever is."""
    claim, raw, said = admitted(admissions)

    assert not admissions.claims.admit(claim.board, "site-1", b"s" * 20)
    assert not admissions.claims.refuse(claim.board)
    assert admissions.hear("gw-1", [raw], NOW) == said


def check_decided_meanwhile(desk, admissions):
    claim, raw = announced(admissions)
    admissions.hear("gw-1", [raw], NOW)
    asked = admissions.claims.find(claim.board)
    first = admissions.admit(asked, terms(), NOW)
    key, links = desk.keystore.seal_key(claim.board, 0, 0), desk.keystore.links()
    second = admissions.admit(asked, terms("another"), NOW + 1)

    assert (True, False) == (first, second)
    assert (key, links) == (desk.keystore.seal_key(claim.board, 0, 0), desk.keystore.links())
    assert ["pump 1"] == [name for (name,) in desk.rows("devices", "name")]


def test_yes_to_what_was_decided_while_the_question_was_open_changes_nothing(desk, admissions):
    """Two people were asked, or one at two screens: the keys that the board was given first stay those that the office keeps."""
    check_decided_meanwhile(desk, admissions)


def test_yes_to_a_board_that_was_refused_while_the_question_was_open_makes_no_device(desk, admissions):
    """Its no came first."""
    claim, raw = announced(admissions)
    admissions.hear("gw-1", [raw], NOW)
    asked = admissions.claims.find(claim.board)
    admissions.claims.refuse(claim.board)

    assert not admissions.admit(asked, terms(), NOW)
    assert [] == desk.rows("devices") == desk.keystore.devices()


@pytest.mark.parametrize("cut", ["enrol", "add_link"])
def test_yes_leaves_keys_and_admission_together_or_neither(desk, admissions, monkeypatch, cut):
    """What is cut off in the keystore leaves nothing there."""
    claim, raw = announced(admissions)
    admissions.hear("gw-1", [raw], NOW)
    real = getattr(desk.keystore, cut)

    def fail(*words, **named):
        real(*words, **named)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(desk.keystore, cut, fail)
    with pytest.raises(StoreUnavailable):
        admissions.admit(admissions.claims.find(claim.board), terms(), NOW)

    assert [] == desk.keystore.devices() == desk.keystore.links()


@pytest.mark.parametrize("at", ["enrol", "add_link", "_register", "admit"])
def test_yes_that_was_cut_off_is_said_again(desk, admissions, monkeypatch, at):
    """Between any two of its steps: the board waits still, and the next yes makes it a device with keys that fit."""
    claim, raw = announced(admissions)
    admissions.hear("gw-1", [raw], NOW)
    owner = {
        "enrol": desk.keystore,
        "add_link": desk.keystore,
        "_register": admissions,
        "admit": admissions.claims,
    }[at]

    def cut(*_words, **_named):
        raise StoreUnavailable("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(owner, at, cut)
        with pytest.raises(StoreUnavailable):
            admissions.admit(admissions.claims.find(claim.board), terms(), NOW)
    assert admissions.claims.find(claim.board).state == MADE
    admissions.admit(admissions.claims.find(claim.board), terms(), NOW)
    [(board, sealed)] = admissions.hear("gw-1", [raw], NOW)
    given = open_admission(sealed, board, claim.secret, Ccm)

    assert desk.keystore.seal_key(board, 0, 0) == given.seal_keys[0]
    assert len(desk.rows("devices")) == 1


def test_hearing_of_a_board_is_written_once_a_minute(desk, admissions):
    """Who announces itself again and again wears no disk out."""
    claim, raw = announced(admissions)
    for seconds in range(0, 180, 5):
        admissions.hear("gw-1", [raw], NOW + 1000 * seconds)

    assert admissions.claims.find(claim.board).heard_ms == NOW + 120_000
