"""What a page needs: no script, nothing from elsewhere; and each is there for machines too."""

import json

from tests.ui.visiting import WATCH_POLICY


def test_a_slip_would_be_stopped(office, tab):
    """The policy is not only sent: a script that somebody smuggled into a page, and a request to another host, do not happen."""
    page = tab()
    page.add_init_script(WATCH_POLICY)
    page.goto(office.url)
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.smuggled = true";
          document.body.append(script);
          const picture = new Image();
          picture.src = "http://other.example/picture.png";
          document.body.append(picture);
        }"""
    )
    page.wait_for_timeout(500)

    assert ["img-src", "script-src-elem"] == sorted(
        text.partition(":")[0] for text in page.evaluate("window.broken")
    )
    assert page.evaluate("window.smuggled") is None


def test_everything_works_without_a_script(office, tab):
    """Search, filter, order, pages, a device, a decision's explanation and a rollout: links and forms alone."""
    page = tab(java_script_enabled=False)
    page.goto(office.url)
    rows = page.locator("tbody th[scope=row]")
    assert rows.count() == 50
    page.get_by_role("link", name="next").click()
    page.wait_for_url("**page=2**")
    page.get_by_label("Name or identity").fill("pump-0001")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**q=pump-0001**")
    assert ["pump-0001"] == rows.all_inner_texts()
    page.get_by_role("link", name="pump-0001").click()
    page.locator("figure").first.wait_for()
    # Of each of its two channels, what it read and how often it read what; and what its link moved.
    assert page.locator("svg.chart").count() == 5
    page.locator('[data-kind="decision"] a').first.click()
    assert "the same decision again" in page.locator(".verdict").inner_text()
    page.get_by_role("link", name="Releases").click()
    page.wait_for_url("**/releases")
    page.locator("main tbody a").first.click()
    page.wait_for_url("**/releases/*")
    assert "devices run it" in page.locator(".progress").inner_text()
    page.get_by_role("link", name="Findings").click()
    page.wait_for_url("**/findings")
    page.get_by_text("rolled-back").first.wait_for()
    page.goto(office.url)
    page.locator("select[name=state]").select_option("silent")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**state=silent**")

    assert {"silent"} == {text.split()[-1] for text in page.locator("tbody .state").all_inner_texts()}


def test_every_page_is_json_too(office):
    """format=json gives what the page shows, under the name of its schema."""
    names = []
    for path in office.paths():
        if path == "/nothing-here":
            continue
        said = json.loads(office.get(f"{path}{'&' if '?' in path else '?'}format=json"))
        names.append(said["schema"])
        assert said["version"] == 1 and said["as_of_ms"] > 0

    assert {
        f"outstation.page-{name}"
        for name in ("fleet", "device", "explain", "boards", "findings", "releases", "release", "docs")
    } == set(names)
