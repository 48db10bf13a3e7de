"""An office with a device that runs a bundle, and two signing keys that it knows."""

import pytest

from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import make_key
from tests.office_ingest.govern.release_bench import NOW_MS, SCHEMA, SMALL, bundle
from tests.support.deciding_device import DecidingDevice
from tests.support.office_desk import OfficeDesk


@pytest.fixture
def desk(tmp_path):
    """An office that knows the schema and a device that says what it runs."""
    made = OfficeDesk(tmp_path)
    made.registry.add_schema(SCHEMA)
    made.registry.add_bundle(bundle())
    device = DecidingDevice(5, bundle())
    made.add(device, name="pump")
    device.start()
    made.take(*[segment.raw for segment in device.all_segments()], heartbeats=[device.heartbeat()])
    made.device = device.device
    yield made
    made.store.close()
    made.keystore.close()


@pytest.fixture
def shelf(desk):
    """Its releases: none yet."""
    return Shelf(desk.store)


@pytest.fixture
def keys(tmp_path, shelf):
    """The folders of two keys that the office knows."""
    folders = [tmp_path / "key-1", tmp_path / "key-2"]
    for folder in folders:
        public, _, envelope = make_key(folder, now_ms=NOW_MS, **SMALL)
        shelf.add_root(public, envelope, NOW_MS)
    return folders
