"""Real processes: an office, an enrolled gateway, and a board of MicroPython without keys that becomes a device by a person's yes."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from protocol.diagnostic import FINDING, OK
from tests.agent.desk import BUNDLE, SCHEMA
from tests.site.test_identity import TIMEOUT_S, Field
from tools.shim import install

install()


@pytest.fixture
def field(tmp_path):
    """An office that serves, and an enrolled gateway that hears newcomers."""
    field = Field(tmp_path)
    try:
        field.serve()
        place = field.enrol()
        settings = place / "gateway.toml"
        settings.write_text(settings.read_text().replace("[listen]", "[listen]\nnewcomers = true", 1))
        field.start_gateway(place)
        field.port = int(re.search(r"^port = (\d+)", settings.read_text(), re.MULTILINE)[1])
        (tmp_path / "schema.cbor").write_bytes(SCHEMA)
        (tmp_path / "bundle.cbor").write_bytes(BUNDLE)
        (tmp_path / "recording.csv").write_text("20,50\n")
        yield field
    finally:
        for process in field.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def make_claim(field, count=1):
    """Return the folders of new claims, quick to announce themselves."""
    words = ("provision", "claims", "--office", field.config, "--count", count, "--host", "127.0.0.1")
    code, out = field.run(*words, "--port", field.port, "--sectors", 16, "--json", field.folder / "claims")
    assert OK == code, field.said
    places = [field.folder / "claims" / board for board in json.loads(out)["boards"]]
    for place in places:
        claim = json.loads((place / "claim.json").read_text())
        claim.update(announce_ms=200, ack_timeout_ms=300)
        (place / "claim.json").write_text(json.dumps(claim))
    return places


def switch_on(field, place):
    """Start a board, as `outstation device announce` does."""
    words = ["device", "announce", place, "--recording", field.folder / "recording.csv"]
    log = (place / "board.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.cli", *map(str, words)], stdout=log, stderr=log, env=os.environ
    )
    log.close()
    field.processes.append(process)
    return process


def wait(holds, what):
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


def pending(field, *more):
    """Return identity -> state of the boards that are shown."""
    _, out = field.office("device", "pending", "--json", *more)
    return {one["board"]: one["state"] for one in json.loads(out)["boards"]}


def admit(field, board, name):
    files = ("--schema", field.folder / "schema.cbor", "--rules", field.folder / "bundle.cbor")
    return field.office("device", "admit", board, "--name", name, *files, "--sample-ms", "1000", "--yes")


def heard(field, name):
    """Return whether the office has heard a device under its own keys."""
    _, out = field.office("devices", "--json")
    return [one for one in json.loads(out)["devices"] if one["name"] == name and one["last_heard_ms"]]


def log_of(place):
    return (place / "board.log").read_text()


def secrets_in(place):
    claim = json.loads((place / "claim.json").read_text())["claim"]
    return bytes.fromhex(claim["secret"])


def test_board_without_keys_becomes_a_device_by_a_persons_yes(field):
    """It waits until somebody says yes; then it is served under its own keys, and its one-time secret is nowhere any more."""
    (place,) = make_claim(field)
    board, secret = place.name, secrets_in(place)
    process = switch_on(field, place)
    wait(lambda: pending(field).get(board) == "waits", lambda: log_of(place))
    assert not (place / "device.json").exists()

    code, _ = admit(field, board, "pump 1")
    assert OK == code, field.said
    wait(
        lambda: heard(field, "pump 1"),
        lambda: log_of(place) + (field.folder / "gateway.log").read_text()[-3000:],
    )

    assert (place / "device.json").exists()
    assert not (place / "claim.json").exists()
    wait(lambda: pending(field, "--all")[board] == "used", lambda: "the claim did not end")
    assert secret not in (field.folder / "office" / "keystore.db").read_bytes()
    for name in ("device.json", "flash.bin"):
        content = (place / name).read_bytes()
        assert secret not in content
        assert secret.hex().encode() not in content
    # Switched off and on it is that device.
    process.send_signal(signal.SIGINT)
    process.wait(TIMEOUT_S)
    switch_on(field, place)
    wait(lambda: "boot 2" in log_of(place), lambda: log_of(place))
    assert log_of(place).count("announces itself") == 1
    # A second yes is none.
    code, _ = admit(field, board, "pump 2")
    assert OK != code


def test_board_that_is_refused_gets_nothing(field):
    """Who is refused stays without keys, and is shown to nobody any more."""
    refused, other = make_claim(field, 2)
    for place in (refused, other):
        switch_on(field, place)
    wait(lambda: len(pending(field)) == 2, lambda: log_of(refused))
    code, _ = field.office("device", "refuse", refused.name)
    assert OK == code

    assert {other.name: "waits"} == pending(field)
    assert OK == admit(field, other.name, "pump 1")[0]
    assert OK != admit(field, refused.name, "pump 2")[0]
    wait(lambda: heard(field, "pump 1"), lambda: log_of(other))
    assert not (refused / "device.json").exists()
    code, _ = field.office("device", "pending")
    assert OK == code


def test_nobody_waits_where_nobody_announced_himself(field):
    """A claim that no gateway heard is shown only where all are asked for, and cannot be admitted."""
    (place,) = make_claim(field)

    assert OK == field.office("device", "pending")[0]
    assert {place.name: "made"} == pending(field, "--all")
    assert FINDING != admit(field, place.name, "pump 1")[0] != OK
    assert b"no gateway has heard" in field.said
