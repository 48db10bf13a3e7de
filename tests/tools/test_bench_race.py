"""Contenders run in turn, do the same work, and never vanish: what every benchmark stands on. No test looks at a time."""

import pytest

from tools.bench.race import HIGHER, LOWER, Case, Contender, Figure, Lap, Skipped, check_complete, race

MISSING = Skipped("absent", "it is not installed", "install it")


def _contender(name, ran, count=5, seconds=1.0):
    def lap():
        ran.append(name)
        return Lap(count, seconds)

    return Contender(name, "a test", lap)


def _race(*runners, rounds=3):
    return race("case", "things/s", list(runners), rounds, lambda text: None)


def test_contenders_run_in_turn_and_none_is_always_first():
    """A machine that slows down during a run slows all of them alike."""
    ran = []
    _race(_contender("a", ran), _contender("b", ran), _contender("c", ran))

    assert ran == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]


def test_contenders_that_did_other_work_are_not_compared():
    """A contender that stored less than the others of its round makes no figure."""
    with pytest.raises(AssertionError, match=r"not the same work: \{'a': 5, 'b': 4\}"):
        _race(_contender("a", []), _contender("b", [], count=4))


def test_contender_without_a_reason_fails_the_case():
    """Nobody is skipped silently: a missing contender says what is missing and what to do."""
    with pytest.raises(AssertionError, match="absent left without a reason"):
        _race(_contender("a", []), Skipped("absent", "", "install it"))
    with pytest.raises(AssertionError, match="absent left without a reason"):
        _race(_contender("a", []), Skipped("absent", "it is not installed", ""))


def test_contender_that_vanished_fails_the_case():
    """Each contender that was announced has figures or a reason."""
    case = Case("case", "things/s", HIGHER, 5, (Figure("a", "a test", (1.0,)),), ())

    with pytest.raises(AssertionError, match=r"\['b'\] vanished"):
        check_complete(case, ["a", "b"], 1)


def test_contender_that_left_a_round_out_fails_the_case():
    """A median over fewer laps than said is none."""
    case = Case("case", "things/s", HIGHER, 5, (Figure("a", "a test", (1.0,)),), ())

    with pytest.raises(AssertionError, match="a ran 1 of 2 laps"):
        check_complete(case, ["a"], 2)


def test_peers_do_not_run_without_us():
    """A case whose first contender is missing has nothing to compare with."""
    with pytest.raises(AssertionError, match="peers without us"):
        _race(MISSING, _contender("b", []))


def test_skipped_contender_stands_in_the_figures_with_its_reason():
    """Who reads the figures alone learns what is not in them, and how to have it."""
    found = _race(_contender("a", []), MISSING).as_json()["skipped"]

    assert found == [{"name": "absent", "why": "it is not installed", "fix": "install it"}]


def test_case_in_which_nobody_can_run_keeps_its_reasons():
    """A machine that lacks a whole runtime still gets its figures file."""
    case = _race(MISSING)

    assert (case.figures, case.ratios(), case.skipped) == ((), [], (MISSING,))


@pytest.mark.parametrize(("better", "expected"), [(HIGHER, (2.0, 3.0)), (LOWER, (0.5, 1 / 3))])
def test_ratio_is_made_of_laps_of_the_same_round(better, expected):
    """Above 1 we are ahead, whether more or less is better."""
    figures = (Figure("ours", "a test", (20.0, 30.0)), Figure("peer", "a test", (10.0, 10.0)))
    (ratio,) = Case("case", "things", better, 5, figures, ()).ratios()

    assert ratio.values == pytest.approx(expected)


def test_figures_carry_every_lap_with_median_least_and_greatest():
    """The noise of a run is in its file, not only in the eye of who watched it."""
    seconds = iter([1.0, 2.0, 4.0])
    case = _race(Contender("a", "a test", lambda: Lap(8, next(seconds))))
    (figure,) = case.as_json()["contenders"]

    assert figure["laps"] == [8.0, 4.0, 2.0]
    assert (figure["median"], figure["min"], figure["max"]) == (4.0, 2.0, 8.0)
