"""The real office process: ready line, TLS, orderly end, and what a kill at each named point leaves behind."""

import os
import re
import signal
import ssl
import subprocess
import sys

import httpx
import pytest

from office_ingest.founding import found_office
from office_ingest.points import EXIT_CODE, POINTS
from office_ingest.prove.verify import verify_database
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.receive.takings import Takings
from office_ingest.storage.sqlite import SqliteStore
from protocol.diagnostic import TRY_AGAIN
from protocol.messages import parse_receipt
from protocol.uplink import DUPLICATE, STORED, encode_request, parse_uplink_answer
from tests.support.device_model import DeviceModel
from tests.support.office_desk import TOKEN

NOW_MS = 1_700_000_000_000


@pytest.fixture
def device(tmp_path):
    """A device that is registered in a new office under tmp_path/office."""
    folder = tmp_path / "office"
    # Certificates are made for the present: the client of these tests has the real clock.
    found_office(folder, now_ms=int(os.stat(tmp_path).st_mtime * 1000), port=0)
    store, keystore = SqliteStore.open(folder / "office.db"), Keystore.open(folder / "keystore.db")
    made = DeviceModel()
    Registry(store).add_gateway("gw-1", name="gw-1", site="site-1", token=TOKEN, now_ms=1)
    Registry(store).add_device(made.device, name="pump", site="site-1", now_ms=1)
    made.enrol(keystore)
    store.close()
    keystore.close()
    return made


class _Office:
    def __init__(self, folder, point=""):
        self.folder = folder
        command = [sys.executable, "-m", "office_ingest", "serve", "--config", str(folder / "office.toml")]
        environment = {**os.environ, "OUTSTATION_POINT": point}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        line = self.process.stdout.readline()
        match = re.fullmatch(r"serving on (https://127\.0\.0\.1:\d+)\n", line)
        assert match, line
        self.url = match[1]

    def post(self, body):
        context = ssl.create_default_context(cafile=str(self.folder / "tls" / "ca.pem"))
        headers = {"Content-Type": "application/cbor", "Authorization": f"Bearer {TOKEN}"}
        return httpx.post(f"{self.url}/v1/uplink", content=body, headers=headers, verify=context)

    def end(self):
        self.process.stdout.close()
        return self.process.wait(timeout=30)


def test_office_serves_over_tls_and_ends_in_order(tmp_path, device):
    """The ready line names the address; only who trusts its authority connects; a second office is refused."""
    office = _Office(tmp_path / "office")
    answer = parse_uplink_answer(office.post(encode_request([device.seal(0)], [])).content)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{office.url}/healthz")
    command = [
        sys.executable,
        "-m",
        "office_ingest",
        "serve",
        "--config",
        str(tmp_path / "office" / "office.toml"),
    ]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    office.process.send_signal(signal.SIGTERM)

    assert (TRY_AGAIN, True) == (second.returncode, "office-running" in second.stderr)
    assert [STORED] == answer.outcomes
    assert 0 == office.end()


@pytest.mark.parametrize("point", POINTS)
def test_kill_at_a_named_point_loses_and_doubles_nothing(tmp_path, device, point):
    """Whichever moment the office dies at, the gateway's second try finds all once, and the database proves itself."""
    raws = [device.seal(0) for _ in range(4)]
    office = _Office(tmp_path / "office", f"{point}:1")
    if point == "after_receipt":
        assert 200 == office.post(encode_request(raws, [])).status_code
    else:
        with pytest.raises(httpx.TransportError):
            office.post(encode_request(raws, []))
    assert EXIT_CODE == office.end()

    store = SqliteStore.open(tmp_path / "office" / "office.db")
    keystore = Keystore.open(tmp_path / "office" / "keystore.db")
    takings = Takings(store, patience=60)
    answer = Ingest(store, keystore, wall_ms=lambda: NOW_MS, takings=takings).take(
        "gw-1", raws, [device.heartbeat()]
    )
    report = verify_database(store.connection, keystore)
    store.close()
    keystore.close()

    is_committed = point not in ("before_verify", "before_commit")
    assert [DUPLICATE if is_committed else STORED] * 4 == answer.outcomes
    assert [3] == [parse_receipt(raw).fields.number for raw in answer.receipts]
    assert [] == report.findings
    assert 4 == report.counts["segments_verified"]
