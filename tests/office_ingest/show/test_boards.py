"""The page of boards: who waits, heard by whom and since when, and commands that do what they say when they are typed as they stand."""

import shlex

from office_ingest.govern.admissions import Admissions
from office_ingest.receive.claims import boards
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.sqlite import SqliteStore
from protocol.admission import seal_announcement
from tests.office_ingest.show.conftest import NOW_MS
from tools.cli import run
from tools.page_fleet import GATEWAY

_MINUTE_MS = 60_000


class Boards:
    """The office's own side of boards: its files, opened for writing."""

    def __init__(self, page):
        folder = page.fleet.config.parent
        self.store, self.keystore = (
            SqliteStore.open(folder / "office.db"),
            Keystore.open(folder / "keystore.db"),
        )
        self.admissions = Admissions(self.store, self.keystore)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.store.close()
        self.keystore.close()

    def claim(self, hardware="unix"):
        """Return (board, its announcement, its secret) of a new claim."""
        board, secret = self.admissions.make_claim(hardware, NOW_MS)
        return board, seal_announcement(board, hardware, secret), secret


def waiting(page):
    """Return board -> what the page shows of it."""
    return {bytes.fromhex(one["board"]): one for one in page.json("/boards")["waiting"]}


def type_it(page, command, *more):
    """Type a command as it stands, in the office's folder; return its exit code. more: the answer to its question."""
    program, *words = shlex.split(command)
    assert program == "outstation"
    return run([*words, "--config", str(page.fleet.config), *more])


def test_page_says_who_heard_a_board_and_since_when(own_page):
    """Every gateway with its site, the last one first; it comes to that one's site."""
    with Boards(own_page) as office:
        board, raw, _ = office.claim()
        office.admissions.hear("gateway-birch-farm", [raw], NOW_MS)
        office.admissions.hear(GATEWAY, [raw], NOW_MS + 5 * _MINUTE_MS)
        office.admissions.hear("gateway-birch-farm", [raw], NOW_MS + 7 * _MINUTE_MS)
    shown = waiting(own_page)[board]
    html = own_page.get("/boards").text

    assert ["gateway-birch-farm", GATEWAY] == [by["gateway"] for by in shown["heard_by"]]
    assert ["Birch Farm", "Alder Weir"] == [by["site"] for by in shown["heard_by"]]
    assert (NOW_MS, NOW_MS + 7 * _MINUTE_MS, "Birch Farm") == (
        shown["since_ms"],
        shown["heard_ms"],
        shown["site"],
    )
    assert board.hex() in html and "7 min" in html


def test_the_command_on_the_page_admits_the_board(own_page):
    """Typed as it stands it makes a device of the board, which waits no longer; a board of other hardware is not begun like it."""
    with Boards(own_page) as office:
        board, raw, _ = office.claim()
        other, other_raw, _ = office.claim("rpi_pico_w")
        office.admissions.hear(GATEWAY, [raw, other_raw], NOW_MS)
    shown = waiting(own_page)
    code = type_it(own_page, shown[board]["admit"], "--yes")
    after = own_page.json("/boards")
    device = own_page.json(f"/devices/{board.hex()}")

    assert 0 == code
    assert board not in waiting(own_page) and other in waiting(own_page)
    assert "admitted" in {one["state"] for one in after["others"] if one["board"] == board.hex()}
    assert ("Alder Weir", "waiting") == (device["site"], device["state"])
    assert "--schema" in shown[other]["admit"]


def test_the_command_on_the_page_refuses_the_board(own_page):
    """Typed as it stands it ends the claim for good."""
    with Boards(own_page) as office:
        board, raw, _ = office.claim()
        office.admissions.hear(GATEWAY, [raw], NOW_MS)
    ended = own_page.json("/boards")["ended"]
    code = type_it(own_page, waiting(own_page)[board]["refuse"])

    assert 0 == code
    assert board not in waiting(own_page)
    assert ended + 1 == own_page.json("/boards")["ended"]


def test_what_no_claim_sealed_is_not_shown(own_page):
    """Who has no claim of this office waits for nobody, whatever he announces and however often."""
    before = waiting(own_page)
    with Boards(own_page) as office:
        board, _, _ = office.claim()
        for forged in (bytes(16), b"x" * 16):
            office.admissions.hear(GATEWAY, [seal_announcement(board, "unix", forged)], NOW_MS)
    page = own_page.json("/boards")

    assert set(before) == set(waiting(own_page))
    assert "never heard" in {one["state"] for one in page["others"] if one["board"] == board.hex()}


def test_no_page_holds_the_secret_of_a_claim(own_page):
    """Neither as text nor as JSON: whoever reads the page can announce no board."""
    with Boards(own_page) as office:
        _, raw, secret = office.claim()
        office.admissions.hear(GATEWAY, [raw], NOW_MS)
    for path in ("/boards", "/boards?format=json", "/", "/?format=json"):
        own_page.look()
        assert secret.hex() not in own_page.get(path).text.lower()


def test_a_board_that_is_heard_is_a_change(own_page):
    """Boards wait in the keystore: a page that is left open is told though the database stays as it is."""
    own_page.look()
    with Boards(own_page) as office:
        board, raw, _ = office.claim()
        is_quiet = own_page.look()
        office.admissions.hear(GATEWAY, [raw], NOW_MS)
        has_changed = own_page.look()

        assert has_changed and is_quiet
        assert not own_page.look()
    assert board in waiting(own_page)


def test_the_first_page_says_that_boards_wait(own_page):
    """Nobody has to think of looking."""
    count = len(waiting(own_page))
    html = own_page.get("/").text

    assert count == own_page.json("/")["boards"]
    assert 2 == count
    assert 'href="/boards"' in html and "boards wait" in html


def test_keystore_without_claims_has_no_boards(tmp_path):
    """An office that never made a claim, and a keystore of a program that noted no hearings."""
    keystore = Keystore.create(tmp_path / "keystore.db")
    none = boards(keystore.connection)
    keystore.connection.executescript(
        "CREATE TABLE claims (board BLOB PRIMARY KEY, state TEXT, secret BLOB, hardware TEXT, made_ms INTEGER, gateway TEXT,"
        " heard_ms INTEGER, site TEXT, sealed BLOB); INSERT INTO claims VALUES (x'01', 'made', x'02', 'unix', 1, 'g', 5, NULL, NULL)"
    )
    [old] = boards(keystore.connection)
    keystore.close()

    assert [] == none
    assert old.waits and ("g", 5, 5) == tuple(old.hearings[0])
