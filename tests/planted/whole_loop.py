"""Faults planted in the loop of a changed rule, by name. hil_tests/test_whole_loop.py shows that each is caught, and what is said.

BOARD_FAULTS: NAME -> (lines that a board's development image runs before its agent, what is said).
OFFICE_FAULTS: NAME -> (apply(patch), what is said), where patch(owner, name, value) replaces an attribute, as setattr does.
"""

from office_ingest.prove import sealed
from rules.bundle import read_bundle

# The release is adopted and told of, its digest stands in every decision, and the rules of before go on.
_DECIDE_BY_THE_RULES_BEFORE = """
from agent.recorder import Decider
def use(self, incumbent):
    if not hasattr(self, "_engine"):
        self._engine = incumbent.engine
    self._bundle_digest = incumbent.digest
Decider.use = use
"""


def _replay_under_the_rules_before(patch):
    """Take the first bundle that the office ever held for every other."""

    def bundles(connection):
        (body,) = connection.execute("SELECT body FROM bundles ORDER BY rowid").fetchone()
        return lambda digest: read_bundle(body)

    patch(sealed, "bundles", bundles)


BOARD_FAULTS = {
    "decide_by_the_rules_before": (
        _DECIDE_BY_THE_RULES_BEFORE,
        "under the changed rule the valve closed at .* not from",
    ),
}
OFFICE_FAULTS = {
    "replay_under_the_rules_before": (_replay_under_the_rules_before, "step replay decides otherwise"),
}
