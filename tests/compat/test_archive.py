"""What is kept of a landed commit is that commit, byte for byte."""

import subprocess

import pytest

from tests.compat.archive import COMMIT_FILE, SHORT, files_of, git, parts_of, zipped
from tests.compat.sides import kept


def _known(commit):
    try:
        return git("cat-file", "-t", commit).strip() == b"commit"
    except (subprocess.CalledProcessError, FileNotFoundError):
        return False


@pytest.mark.parametrize("part", ["device", "hosts"])
@pytest.mark.parametrize("commit", kept("device"))
def test_kept_files_are_those_of_the_commit(part, commit):
    """Nobody has mended what landed."""
    files = files_of(kept(part)[commit])
    whole = files[COMMIT_FILE].decode().strip()
    assert whole[:SHORT] == commit
    if not _known(whole):
        pytest.skip(f"this checkout does not know commit {whole}")

    assert files == parts_of(whole)[part]


def test_every_kept_device_has_its_hosts():
    """Both directions are tried for each commit."""
    assert list(kept("device")) == list(kept("hosts")) != []


def test_archive_of_the_same_files_is_the_same(tmp_path):
    """A zip depends on nothing but its files, and gives them back."""
    files = {"b.py": b"2", "a.py": b"1"}
    path = tmp_path / "some.zip"
    path.write_bytes(zipped(files))

    assert zipped(dict(reversed(files.items()))) == path.read_bytes()
    assert files_of(path) == files
