"""A page that somebody leaves open: it changes by itself, says when it no longer can, and catches up alone."""

import hashlib
import time
from contextlib import closing

from playwright.sync_api import expect

from office_ingest.govern.admissions import Admissions
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.sqlite import SqliteStore
from protocol.admission import seal_announcement
from tests.ui.test_accessibility import violations
from tools.demo_rules import demo_bundle
from tools.page_browser import LOSE_CONNECTIONS, QUICK_RECONNECTS, heap_bytes
from tools.page_fleet import GATEWAY, SCHEMA, beat

_STALE_WITHIN_MS = 15_000


def _wall_ms():
    return time.time_ns() // 1_000_000


def _next_rules():
    body = demo_bundle(version=2, schema=hashlib.sha256(SCHEMA).digest()[:8])
    return 2, hashlib.sha256(body).digest()


def _live(page):
    page.locator("#age.live:not(.stale)").wait_for()


def test_a_change_is_seen_without_a_reload(own_office, tab):
    """A device reports another bundle: its row and the count of what runs where change under the reader's eyes."""
    page = tab()
    page.goto(f"{own_office.url}/?sort=name&q=0001")
    _live(page)
    before = page.locator(f"#b-{own_office.device}").inner_text()
    page.evaluate("window.sameDocument = true")
    beat(own_office.fleet, _wall_ms, 2, runs=_next_rules())
    expect(page.locator(f"#b-{own_office.device}")).to_contain_text("v2", timeout=15_000)

    assert before.startswith("v1")
    assert page.evaluate("window.sameDocument")


def test_what_changed_while_the_script_loaded_is_seen(own_office, tab):
    """A slow line: between the page and the first word of its stream a device reported another bundle, and reports no more."""
    page = tab()

    def late(route):
        beat(own_office.fleet, _wall_ms, 2, runs=_next_rules())
        time.sleep(2.5)
        route.continue_()

    page.route("**/live.js*", late)
    page.goto(f"{own_office.url}/?sort=name&q=0001")

    expect(page.locator(f"#b-{own_office.device}")).to_contain_text("v2", timeout=15_000)


def test_a_rollout_is_seen_live(own_office, tab):
    """The count of a release's page rises when a sealed heartbeat names its rules, without a reload."""
    page = tab()
    page.goto(f"{own_office.url}/releases/{own_office.fleet.release}")
    _live(page)
    before = int(page.locator("#running").inner_text())
    beat(own_office.fleet, _wall_ms, 2, runs=_next_rules(), devices=3)

    expect(page.locator("#running")).to_have_text(str(before + 3), timeout=15_000)


def test_a_board_that_begins_to_wait_is_seen_without_a_reload(own_office, tab):
    """Somebody screws a board to the wall while the page is open."""
    page = tab()
    page.goto(f"{own_office.url}/boards")
    _live(page)
    page.evaluate("window.sameDocument = true")
    folder = own_office.fleet.config.parent
    with (
        closing(SqliteStore.open(folder / "office.db")) as store,
        closing(Keystore.open(folder / "keystore.db")) as keystore,
    ):
        admissions = Admissions(store, keystore)
        board, secret = admissions.make_claim("unix", _wall_ms())
        admissions.hear(GATEWAY, [seal_announcement(board, "unix", secret)], _wall_ms())
    expect(page.get_by_text(f"device admit {board.hex()}")).to_be_visible(timeout=15_000)

    assert page.evaluate("window.sameDocument")


def test_page_turns_stale_when_the_office_is_killed_and_catches_up_after_its_restart(own_office, tab):
    """Nobody touches the page: it says since when it is stale, and after the restart shows what happened meanwhile."""
    page = tab()
    page.goto(f"{own_office.url}/?sort=name&q=0001")
    _live(page)
    page.evaluate("window.sameDocument = true")
    own_office.kill()
    page.locator("#age.stale").wait_for(timeout=_STALE_WITHIN_MS)
    said = page.locator("#age").inner_text()
    beat(own_office.fleet, _wall_ms, 2, runs=_next_rules())
    own_office.start()
    expect(page.locator(f"#b-{own_office.device}")).to_contain_text("v2", timeout=15_000)
    _live(page)

    assert "stale since" in said
    assert page.evaluate("window.sameDocument")


def test_stale_page_has_no_accessibility_violation(own_office, tab, axe):
    """Being stale is said in words and marks, in both themes."""
    pages = [tab(color_scheme=scheme) for scheme in ("light", "dark")]
    for page in pages:
        page.goto(own_office.url)
        _live(page)
    own_office.kill()
    found = []
    for page in pages:
        page.locator("#age.stale").wait_for(timeout=_STALE_WITHIN_MS)
        found += violations(page, axe)

    assert [] == found


def test_a_page_left_open_over_many_reconnects_does_not_grow(own_office, tab):
    """Two hundred lost connections later the page has one stream, shows what is so, and has grown by less than 5 MB."""
    page = tab()
    page.add_init_script(QUICK_RECONNECTS)
    page.goto(own_office.url)
    _live(page)
    session = page.context.new_cdp_session(page)
    before = heap_bytes(session)
    page.evaluate(LOSE_CONNECTIONS, 200)
    after = heap_bytes(session)

    assert page.evaluate("window.opened") > 200
    assert page.evaluate("window.streams.filter(one => one.readyState !== EventSource.CLOSED).length") == 1
    assert after - before < 5_000_000
