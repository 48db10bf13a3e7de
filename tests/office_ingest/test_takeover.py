"""Which bundle decides is followed through lost events and cuts, and a bundle that nobody told of is still found."""

from office_ingest.prove.takeover import ADOPT, BOOT, Takeover
from protocol.adoption import RESTARTS, ROLLED_BACK, TRIAL

FIRST, TRIED, OTHER = b"1" * 32, b"2" * 32, b"3" * 32
MANIFEST = b"m" * 32


def after_a_loss():
    """A switch was lost with its segment; the boot's checkpoint of the rules on trial is believed."""
    takeover = Takeover({MANIFEST: TRIED}.get)
    takeover.take(BOOT, 1, FIRST)
    takeover.forget()
    assert takeover.take(BOOT, 2, TRIED) == ""
    return takeover


def test_trial_told_only_when_it_was_rolled_back_explains_the_rules_before_it():
    """Cut twice: the event of the trial comes with that of its end, behind a checkpoint that names the old rules again."""
    takeover = after_a_loss()
    assert takeover.take(BOOT, 1, FIRST) == ""
    takeover.tell(TRIAL, 1, MANIFEST, 2)
    takeover.tell(ROLLED_BACK, 1, MANIFEST, RESTARTS)

    assert takeover.sampled() == ""
    assert takeover.deciding == FIRST


def test_bundle_that_nobody_told_of_is_found_after_a_loss_too():
    """Only the first checkpoint after it is believed."""
    takeover = after_a_loss()

    assert takeover.take(BOOT, 3, OTHER) == ""
    assert "no adoption event says" in takeover.sampled()


def test_roll_back_to_other_rules_than_those_before_is_found():
    """Where the rules before the trial are known."""
    takeover = Takeover({MANIFEST: TRIED}.get)
    takeover.take(BOOT, 1, FIRST)
    takeover.tell(TRIAL, 1, MANIFEST, 2)
    assert takeover.take(ADOPT, 2, TRIED) == ""
    takeover.tell(ROLLED_BACK, 1, MANIFEST, RESTARTS)

    assert "no adoption event says" in takeover.take(ADOPT, 3, OTHER)
