"""The files of tests/both run under MicroPython; pytest collects the same files for CPython."""

import pytest

from tools.upy import BOTH, run_file

FILES = sorted(BOTH.glob("test_*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_of_both_runtimes_passes_under_micropython(path):
    """Each test that holds on CPython holds on the device's interpreter."""
    result = run_file(path)

    assert result.returncode == 0, f"repeat: python -m tools.upy {path}\n{result.stdout}{result.stderr}"


@pytest.mark.parametrize("body", ["def test_wrong():\n    assert 1 == 2\n", "x = 1\n", "import typing\n"])
def test_runner_reports_a_failing_an_empty_and_an_unimportable_file(tmp_path, body):
    """A file that fails, holds no test or does not import on the device is never counted as passed."""
    path = tmp_path / "test_planted.py"
    path.write_text(body)

    assert run_file(path).returncode != 0
