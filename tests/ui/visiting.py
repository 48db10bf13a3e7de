"""One visit to one page, as a browser that has never been there makes it, and all that came of it."""

from typing import Any, NamedTuple

WIDTHS = (1280, 390)
WATCH_POLICY = """
window.broken = [];
document.addEventListener("securitypolicyviolation", event => window.broken.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


class Visit(NamedTuple):
    """asked: addresses; weight: bytes of all that came but the stream; said: complaints; broken: of the policy; wider: width -> pixels beyond it."""

    path: str
    asked: list[str]
    weight: int
    said: list[str]
    broken: list[str]
    wider: dict[int, int]


def visit(browser: Any, office: Any, path: str) -> Visit:
    """Open a page in a fresh window with its script running, wait until it is live, and look at it on a desk and on a phone."""
    context = browser.new_context(viewport={"width": WIDTHS[0], "height": 900})
    page = context.new_page()
    page.set_default_timeout(15_000)
    asked, came, said = [], [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda answer: came.append(answer))
    page.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.add_init_script(WATCH_POLICY)
    page.goto(office.url + path)
    page.locator("#age.live").wait_for()
    weight = sum(len(answer.body()) for answer in came if "/live" not in answer.url)
    wider = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wider[width] = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    broken = page.evaluate("window.broken")
    context.close()
    return Visit(path, asked, weight, said, broken, wider)
