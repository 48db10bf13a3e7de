"""Everybody can use the page: axe-core finds nothing in any state of it, the keyboard reaches everything, and words carry the state."""

import pytest

_RUN_AXE = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map(one => `${one.id} (${one.impact}): ${one.nodes.slice(0, 3).map(node => node.html).join(" | ")}`);
}"""


def violations(page, axe):
    """Return what axe-core finds on a page, every impact and rule."""
    page.evaluate(axe)
    return page.evaluate(_RUN_AXE)


# Width and theme: each page is loaded once and looked at in all of them.
_LOOKS = [(1280, "light"), (1280, "dark"), (390, "light")]


@pytest.mark.parametrize("half", [0, 1])
def test_no_page_has_an_accessibility_violation(office, tab, axe, half):
    """Every kind of page, error page included, in both themes, on a desk and on a phone. half: of the pages, every other one."""
    page = tab()
    found = {}
    for path in office.paths()[half::2]:
        page.goto(office.url + path)
        page.evaluate(axe)
        for width, scheme in _LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            found[path, width, scheme] = page.evaluate(_RUN_AXE)

    assert {} == {place: what for place, what in found.items() if what}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_empty_office_has_no_accessibility_violation(empty_office, tab, axe, scheme):
    """Nothing to show is a state of its own: it says what to do next, to everybody."""
    page = tab(color_scheme=scheme)
    found = {}
    for path in empty_office.paths():
        page.goto(empty_office.url + path)
        found[path] = violations(page, axe)
    page.goto(empty_office.url)

    assert {} == {path: what for path, what in found.items() if what}
    assert page.get_by_text("outstation provision").count()


def test_the_keyboard_reaches_search_devices_and_decisions(office, tab):
    """Tab and Enter alone search for a device, open it and open the explanation of a decision; the focus is always visible."""
    page = tab()
    page.goto(office.url)
    _tab_to(page, 'input[name="q"]')
    page.keyboard.type("pump-0001")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=pump-0001**")
    _tab_to(page, f'a[href="/devices/{office.device}"]')
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/devices/{office.device}")
    _tab_to(page, '[data-kind="decision"] a')
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/devices/{office.device}/*")

    assert "Decision" in page.locator("h1").inner_text()


def _tab_to(page, selector):
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"the focus on {selector} cannot be seen"
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


def test_states_are_words_and_shapes(office, tab):
    """Without any colour each state still differs: it has a word, and a mark that is not read aloud."""
    page = tab()
    page.goto(office.url)
    states = page.locator("tbody .state")
    marks = {}
    for at in range(states.count()):
        said = states.nth(at).inner_text().split(maxsplit=1)
        marks.setdefault(said[1], set()).add(said[0])

    assert len(marks) >= 2
    assert all(len(shapes) == 1 for shapes in marks.values()), marks


def test_charts_have_their_numbers_in_a_table(office, tab):
    """Who cannot see a chart opens a table of the same readings."""
    page = tab()
    page.goto(f"{office.url}/devices/{office.device}")
    charts = page.locator("svg.chart[role=img][aria-label]").count()
    page.locator("summary", has_text="table").first.press("Enter")

    # Two channels, how often each read what, and what its links moved.
    assert charts == 5
    assert page.locator("details table tbody tr").count() >= 50
