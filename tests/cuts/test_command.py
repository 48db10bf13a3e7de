"""The command writes the figures that it is asked for, and no others; tests/canary/test_cuts.py shows that it can fail."""

import json

from tests.cuts.__main__ import main

_OLD = {"sweep": {"journal": {"cuts": 7}}, "counters": {"reused": 3}}


def test_counters_write_their_own_figures(tmp_path):
    """What other runs wrote stays."""
    report = tmp_path / "cuts.json"
    report.write_text(json.dumps(_OLD))

    code = main(["--counters", "30", "--json", str(report)])

    written = json.loads(report.read_text())
    assert code == 0
    assert written["sweep"] == _OLD["sweep"]
    assert (written["counters"]["boots"], written["counters"]["reused"]) == (30, 0)


def test_sweep_writes_every_part(tmp_path):
    """A first run makes the file."""
    report = tmp_path / "new" / "cuts.json"

    code = main(["--cuts", "100", "--json", str(report)])

    assert code == 0
    assert list(json.loads(report.read_text())["sweep"]) == ["journal", "cell", "keys", "slots"]


def test_one_part_or_one_cut_leaves_the_figures_as_they_are(tmp_path):
    """A part is not the whole sweep, and a cut that is done again is neither."""
    report = tmp_path / "cuts.json"
    report.write_text(json.dumps(_OLD))

    codes = [
        main([*words, "--json", str(report)])
        for words in (["--part", "cell", "--cuts", "40"], ["--replay", "cell:1:2:torn"])
    ]

    assert codes == [0, 0]
    assert json.loads(report.read_text()) == _OLD
