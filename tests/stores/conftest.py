"""A folder in memory: thousands of images are written, and no sync of a true disk is what is tested."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def memory(tmp_path):
    """An empty folder, in memory where the system has such a place."""
    if not os.access(_SHARED_MEMORY, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="outstation-stores-", dir=_SHARED_MEMORY))
    yield folder
    shutil.rmtree(folder)
