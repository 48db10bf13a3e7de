"""Promises of the pages: each example compiles and passes its own tests, and every function has one."""

import re

import pytest

from rules.authoring.check import Check
from rules.authoring.compile import check_text
from rules.authoring.stateful import Stateful
from rules.authoring.test import run_tests
from tools.device_types import ROOT

PAGES = sorted((ROOT / "docs" / "rules").glob("*.md"))
EXAMPLES = [
    (f"{page.name}-{i}", text)
    for page in PAGES
    for i, text in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("text", [text for _, text in EXAMPLES], ids=[name for name, _ in EXAMPLES])
def test_an_example_of_the_pages_holds(text):
    """It compiles without a warning, and each of its tests passes."""
    compiled, found = check_text(text, "example.yaml", lambda name: "")
    assert compiled is not None, "\n".join(d.text() for d in found)
    outcomes, mistakes = run_tests(compiled)

    assert [] == [d.text() for d in [*found, *mistakes, *[o.failure for o in outcomes if o.failure]]]
    assert outcomes


def test_every_function_has_an_example():
    """Each function that the compiler knows stands in an example of the page of functions."""
    page = (ROOT / "docs" / "rules" / "functions.md").read_text()
    examples = " ".join(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))

    assert [] == [name for name in (*Stateful.names, *Check.PLAIN) if f"{name}(" not in examples]
