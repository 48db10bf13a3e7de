"""What was ever tried stays known: which seeds, at which commit, and what broke there."""

import json

import pytest

from tests.sim import command, tried

FIGURES = {
    "seeds": [40, 60],
    "commit": "0123456789",
    "worlds": 20,
    "device_days": 200.0,
    "faults": {"cut flash": 480, "weather": 240},
    "broken": {"53": ["order is kept: 3 after 4"], "41": ["silence: nobody says so"]},
}


def _file(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps({**FIGURES, **changes}))
    return path


def test_each_run_is_kept_once_and_by_its_seeds(tmp_path):
    """Another run of the same seeds at another commit is a row of its own; what was kept stays."""
    kept = tmp_path / "tried.json"
    first, other = _file(tmp_path, "1", broken={}), _file(tmp_path, "2", commit="abc", seeds=[0, 20])

    tried.keep([first], kept)
    tried.keep([other, first], kept)

    rows = json.loads(kept.read_text())
    assert [(0, 20, "abc", [41, 53]), (40, 60, "0123456789", [])] == [
        (row["first"], row["end"], row["commit"], row["broken"]) for row in rows
    ]
    assert [720, 720] == [row["faults"] for row in rows]


@pytest.mark.parametrize("name", ["seeds", "commit"])
def test_figures_that_do_not_say_of_what_they_are_add_nothing(name, tmp_path):
    """The error names what they lack."""
    kept, file = tmp_path / "tried.json", tmp_path / "1"
    file.write_text(json.dumps({key: value for key, value in FIGURES.items() if key != name}))

    with pytest.raises(ValueError, match=name):
        tried.keep([_file(tmp_path, "2"), file], kept)

    assert not kept.exists()


def test_many_worlds_write_what_a_row_takes(monkeypatch, tmp_path, capsys):
    """Seeds and commit are in the figures, so that --keep takes them as they are."""
    file, kept = tmp_path / "sim.json", tmp_path / "tried.json"
    monkeypatch.setattr(tried, "TRIED", kept)

    assert 0 == command.main(["--seeds", "7..8", "--days", "0.1", "--devices", "1", "--json", str(file)])
    assert 0 == command.main(["--keep", str(file)])
    assert 1 == command.main(["--keep", str(tmp_path / "none")])

    (row,) = json.loads(kept.read_text())
    assert (7, 8, 1, tried.commit()) == (row["first"], row["end"], row["worlds"], row["commit"])
    assert "nothing was kept" in capsys.readouterr().out


def test_kept_rows_are_what_keep_writes():
    """Rows by seed, each a range of its worlds; a seed that broke lies in it."""
    rows = json.loads(tried.TRIED.read_text())

    assert sorted(rows, key=lambda row: (row["first"], row["end"])) == rows
    for row in rows:
        assert row["worlds"] == row["end"] - row["first"]
        assert all(row["first"] <= seed < row["end"] for seed in row["broken"])
