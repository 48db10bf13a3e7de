"""An office on real SQLite files, without its transport."""

import pytest

from tests.support.office_desk import OfficeDesk


@pytest.fixture
def desk(tmp_path):
    """An empty office in a folder of its own."""
    made = OfficeDesk(tmp_path)
    yield made
    made.close()
