"""The command of the stores leaves figures of its own run, or none."""

import pytest

from tests.stores import runs, vfs
from tests.stores.command import main


@pytest.mark.skipif(bool(vfs.why_not()), reason=vfs.why_not() or "-")
def test_run_that_breaks_off_leaves_no_figures_of_an_older_one(monkeypatch, tmp_path):
    """The page of what was tried names them as missing, instead of showing what was so once."""
    report = tmp_path / "stores.json"
    report.write_text("{}")
    monkeypatch.setattr(runs, "gateway_figures", _break_off)

    with pytest.raises(KeyboardInterrupt):
        main(["--json", str(report)])
    assert not report.exists()


def _break_off(*_arguments, **_options):
    raise KeyboardInterrupt
