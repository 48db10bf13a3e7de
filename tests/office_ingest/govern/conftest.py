"""An office with a device that runs a bundle, and two signing keys that it knows; and one in its own folder, for the command line."""

import json
import time
from typing import NamedTuple

import pytest

from office_ingest.founding import found_office
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import make_key
from tests.office_ingest.govern.release_bench import NOW_MS, SCHEMA, SMALL, bundle
from tests.office_ingest.test_takings import make_fleet
from tests.support.deciding_device import DecidingDevice
from tests.support.device_model import DeviceModel
from tests.support.office_desk import OfficeDesk
from tools.cli import run


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


class Field(NamedTuple):
    """An office in its folder and two devices of it that speak; and its commands, run as the command line runs them."""

    settings: str
    desk: OfficeDesk
    first: DeviceModel
    second: DeviceModel
    read: object

    def run(self, *words):
        """Return (exit code, standard output, standard error) of `outstation WORDS --config SETTINGS`."""
        code = run([*map(str, words), "--config", self.settings])
        said = self.read()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    def ask(self, *words):
        """Return (exit code, the JSON document) of the same with --json."""
        code, out, err = self.run(*words, "--json")
        assert err == ""
        return code, json.loads(out)

    def refused(self, *words):
        """Return (exit code, code of the one diagnostic, its text, what to do) of a command that is refused."""
        code, document = self.ask(*words)
        assert document["schema"] == "outstation.diagnostics", document
        (said,) = document["diagnostics"]
        return code, said["code"], said["message"], said["fix"]


@pytest.fixture
def field(tmp_path, capsys):
    """Two devices of cohorts "first" and "second", called so, that run what they were provisioned with; the time is the machine's."""
    settings = found_office(tmp_path / "office", now_ms=NOW_MS, port=0)
    desk = OfficeDesk(settings.parent, is_there=True)
    # The commands read the machine's clock: what is made here must be valid by it.
    desk.now_ms = time.time_ns() // 1_000_000
    first, second = make_fleet(desk)
    yield Field(str(settings), desk, first, second, capsys.readouterr)
    desk.close()
