"""The agent as a real process of MicroPython's unix port, started by the command a person types."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.flash import FileFlash, create_image
from agent.keystore import Keystore
from agent.layout import window_sectors
from agent.slots import Slots
from protocol.attestation import roots_of
from protocol.envelope import key_id
from protocol.event import ADOPTION, ATTESTATION, BOOT, COMMAND, DECISION, decode_events
from protocol.keys import CRITICAL, ROUTINE
from rules.bundle import read_bundle
from rules.replay import StepReplay
from tests.agent.desk import BUNDLE, DEVICE, DOWNLINK, KID, RATCHETS, SCHEMA, SEAL_KEYS, SECRET, Story
from tests.agent.model_gateway import ModelGateway
from tests.agent.release_bench import (
    greedy_bundle,
    make_command,
    make_release,
    replacement,
    root,
    root_order,
)
from tests.agent.udp_gateway import UdpGateway
from tests.agent.way_down import (
    ADOPTION_POINTS,
    BODY,
    COMMAND_POINTS,
    LINK_POINTS,
    NEW,
    OLD,
    REKEY_DEMAND,
    REKEY_POINTS,
    ROLLBACK_POINTS,
    ROOT_POINTS,
    relinking,
)
from tools.device import device_command, run_command
from tools.flashimage import read_image
from tools.upy import micropython_environment

ROOT = Path(__file__).parents[2]
SECTORS = 24
# Ends a run that hangs, and nothing else: far longer than two starts and an adoption need where many processes share the cores.
SECONDS_MAX = 180


@pytest.fixture
def folder(tmp_path):
    """A provisioned device's folder."""
    image = tmp_path / "flash.bin"
    create_image(str(image), SECTORS + 4)
    flash = FileFlash(str(image), SECTORS + 4)
    Keystore(flash).provision(SEAL_KEYS, RATCHETS, DOWNLINK)
    flash.close()
    (tmp_path / "schema.cbor").write_bytes(SCHEMA)
    (tmp_path / "bundle.cbor").write_bytes(BUNDLE)
    story = Story()
    rows = [",".join("" if value is None else str(value) for value in story.read()) for _ in range(300)]
    (tmp_path / "recording.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "link.toml").write_text(f'kid = "{KID.hex()}"\nsecret = "{SECRET.hex()}"\n')
    yield tmp_path
    # A test that failed leaves no process behind to take the others' time.
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


_STARTED = []


def _start(folder, *more, drain_ms=200, port=9):
    lines = [
        f'device = "{DEVICE.hex()}"',
        f"flash_sectors = {SECTORS}",
        "clock_scale = 5000",
        f"drain_ms = {drain_ms}",
        "ack_timeout_ms = 100",
        'record_log = "record.log"',
        *more,
    ]
    # Port 9 of loopback: nobody listens there.
    link = ["[link]", 'host = "127.0.0.1"', f"port = {port}", ""]
    (folder / "device.toml").write_text("\n".join([*lines, *link]))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        run_command(folder), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    _STARTED.append(process)
    return process


def _end(process):
    output, _ = process.communicate(timeout=SECONDS_MAX)
    return process.returncode, output


def _wait_for(folder, lane, number):
    """Wait until a lane on flash has come to a number."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        held = read_image(folder / "flash.bin").lane(lane)
        if held is not None and held.head.number >= number:
            return
        time.sleep(0.1)
    raise AssertionError(
        f"not at {number} within {SECONDS_MAX} s: {read_image(folder / 'flash.bin').lines()}"
    )


def _critical_events(folder):
    """Return the events of the critical lane, every seal checked with the device's first keys."""
    model = ModelGateway(None, DEVICE, KID, SECRET, SEAL_KEYS, RATCHETS, DOWNLINK)
    found = []
    for lane in read_image(folder / "flash.bin").lanes:
        for segment in lane.segments:
            model._take_segment(segment)
            if lane.lane == CRITICAL and segment.tombstone is None:
                found += decode_events(model.open(segment), segment.header.count)[1]
    model.check_chains()
    return found


def test_process_decides_alone_and_stops_in_order(folder):
    """Without any gateway: the chain verifies, every decision replays equal, SIGINT seals the rest and ends with 0."""
    process = _start(folder)
    # So much of the story that the rules must have decided.
    _wait_for(folder, CRITICAL, 9)
    process.send_signal(signal.SIGINT)
    code, output = _end(process)
    image = read_image(folder / "flash.bin")
    decisions = [event for event in _critical_events(folder) if event[2] == DECISION]
    replay = StepReplay(read_bundle(BUNDLE))

    assert code == 0, output
    assert image.faults == []
    assert decisions
    assert [replay.differences(event[3][1:3] + event[3][4:]) for event in decisions] == [[]] * len(decisions)
    logged = (folder / "record.log").read_text().splitlines()
    assert len(logged) >= len(decisions)
    assert all(len(line.split()) == 3 for line in logged)


def test_exit_codes_tell_power_cut_from_kill_point_and_the_next_boot_goes_on(folder):
    """70 for a torn write, 71 for a named point, 0 after stop_after_ms; one chain through all of them, three boots."""
    cut = _start(folder, "fault = { power_cut_operation = 25, mode = 'torn' }")
    assert _end(cut)[0] == 70
    killed = _start(folder, "points = { after_program = 6 }")
    assert _end(killed)[0] == 71
    stopped = _start(folder, "stop_after_ms = 700")
    code, output = _end(stopped)

    assert code == 0, output
    causes = [event[3][0] for event in _critical_events(folder) if event[2] == BOOT]
    assert causes == [0, 0, 0]
    assert read_image(folder / "flash.bin").lane(ROUTINE) is not None


def test_reset_cause_of_an_orderly_stop_is_software(folder):
    """The boot after a stop in order says so."""
    for _ in range(2):
        assert _end(_start(folder, "stop_after_ms = 300"))[0] == 0

    assert [event[3][0] for event in _critical_events(folder) if event[2] == BOOT] == [0, 2]


def test_second_interrupt_ends_a_drain_at_once(folder):
    """Who asks twice does not wait for receipts; nothing sealed is lost, and no traceback is shown."""
    process = _start(folder, drain_ms=60_000)
    _wait_for(folder, CRITICAL, 2)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    code, output = _end(process)

    assert code == 130
    assert "Traceback" not in output
    assert read_image(folder / "flash.bin").faults == []


def test_seal_key_of_a_closed_generation_is_gone_from_the_image(folder):
    """Once the 32nd routine segment is durable, the key that sealed it is nowhere on flash."""
    assert SEAL_KEYS[ROUTINE] in (folder / "flash.bin").read_bytes()
    process = _start(folder, "routine_seal_ms = 36000")
    _wait_for(folder, ROUTINE, 32)
    process.send_signal(signal.SIGINT)
    code, output = _end(process)

    assert code == 0, output
    assert SEAL_KEYS[ROUTINE] not in (folder / "flash.bin").read_bytes()


# As few samples as a story needs. At the pace of the others a process that gets a tenth of a core only records: what is fetched comes
# behind what was recorded, and the longer it waits the more there is to record.
_CALM = "sample_ms = 360000"
_QUICK = ("heartbeat_ms = 200", "exchange_idle_ms = 10", "trial = { min_samples = 4, min_ms = 300 }")


def _wait_until(holds, process):
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline and process.poll() is None, process.communicate(timeout=5)[0]
        time.sleep(0.05)


def _served(folder, model):
    """Offer the device a good release and two commands; let it trust the key that signed."""
    (folder / "roots").write_text(root("release").hex() + "\n")
    until_ms = time.time_ns() // 1_000_000 + 3_600_000
    model.releases[7] = make_release(7, BODY, validity=(0, until_ms))
    model.wanted = 7
    model.commands = {1: make_command(1, [2], until_ms), 2: make_command(2, [1, 2, 90_000], until_ms)}
    return until_ms


def _steps(model):
    return [event[3][0] for _, event in model.events(CRITICAL) if event[2] == ADOPTION]


@pytest.mark.proves("S07")
def test_process_adopts_a_release_and_takes_commands_from_a_gateway(folder):
    """MicroPython's unix port fetches, checks, tries and confirms a release over UDP, and goes on with it after a restart."""
    with UdpGateway() as gateway:
        model = gateway.model
        _served(folder, model)
        process = _start(folder, *_QUICK, port=gateway.port)
        _wait_until(lambda: 3 in _steps(model), process)
        process.send_signal(signal.SIGINT)
        code, output = _end(process)
        digest = model.heartbeats[-1].bundle[1]
        again = _start(folder, *_QUICK, "stop_after_ms = 500", port=gateway.port)
        assert _end(again)[0] == 0

    assert code == 0, output
    assert _steps(model) == [1, 2, 3]
    assert digest == model.heartbeats[-1].bundle[1] == NEW
    answers = [event[3][:3:2] for _, event in model.events(CRITICAL) if event[2] == COMMAND]
    assert answers == [(1, 0), (2, 0)]


def _end_at(point, folder, gateway, is_done):
    """End a process at a named point, which exits with 71, and start it again until it is done; return how that one ended."""
    killed = _start(folder, _CALM, *_QUICK, f"points = {{ {point} = 1 }}", port=gateway.port)
    assert _end(killed)[0] == 71
    process = _start(folder, _CALM, *_QUICK, port=gateway.port)
    _wait_until(is_done, process)
    process.send_signal(signal.SIGINT)
    return _end(process)


@pytest.mark.parametrize("point", ADOPTION_POINTS)
def test_process_that_ends_in_an_adoption_ends_it_after_the_next_start(folder, point):
    """Exit code 71 at the named point; started again, the same release is adopted to its end."""
    with UdpGateway() as gateway:
        _served(folder, gateway.model)
        code, output = _end_at(point, folder, gateway, lambda: 3 in _steps(gateway.model))

    assert code == 0, output
    assert gateway.model.heartbeats[-1].bundle[1] == NEW
    gateway.model.check_chains()


@pytest.mark.parametrize("point", ROLLBACK_POINTS)
def test_process_that_ends_in_a_roll_back_ends_it_after_the_next_start(folder, point):
    """Exit code 71 at the named point; started again, the old rules decide and the bad release is not tried again."""
    with UdpGateway() as gateway:
        until_ms = _served(folder, gateway.model)
        gateway.model.releases[7] = make_release(7, greedy_bundle(5), validity=(0, until_ms))
        code, output = _end_at(point, folder, gateway, lambda: 4 in _steps(gateway.model))

    assert code == 0, output
    assert gateway.model.heartbeats[-1].bundle[1] == OLD
    assert 3 not in _steps(gateway.model)
    gateway.model.check_chains()


@pytest.mark.parametrize("point", COMMAND_POINTS)
def test_process_that_ends_in_a_command_answers_it_once(folder, point):
    """Exit code 71 at the named point; started again, each command has exactly one answer."""
    with UdpGateway() as gateway:
        until_ms = _served(folder, gateway.model)
        gateway.model.wanted = None
        gateway.model.commands[3] = make_command(3, [0, 2, 1], until_ms)
        code, output = _end_at(point, folder, gateway, lambda: _answered(gateway.model)[-1:] == [3])

    assert code == 0, output
    assert _answered(gateway.model) == [1, 2, 3]
    gateway.model.check_chains()


@pytest.mark.parametrize("point", REKEY_POINTS)
def test_process_that_ends_in_a_rekey_goes_on_under_the_new_keys(folder, point):
    """Exit code 71 at the named point; started again, it answers once, and what it seals fits the keys that the command means."""
    with UdpGateway() as gateway:
        until_ms = _served(folder, gateway.model)
        gateway.model.wanted = None
        gateway.model.commands[3] = make_command(3, REKEY_DEMAND, until_ms)
        gateway.model.keys.expect(3, REKEY_DEMAND)
        code, output = _end_at(point, folder, gateway, lambda: gateway.model.keys.settled == 1)

    assert code == 0, output
    assert _answered(gateway.model) == [1, 2, 3]
    gateway.model.check_chains()


@pytest.mark.parametrize("point", ROOT_POINTS)
def test_process_that_ends_while_a_root_is_replaced_holds_the_new_one_afterwards(folder, point):
    """Exit code 71 at the named point; started again, it answers once, and its newest attestation names the new root."""
    raw = replacement("release", "next")
    with UdpGateway() as gateway:
        until_ms = _served(folder, gateway.model)
        gateway.model.wanted = None
        gateway.model.commands[3] = make_command(3, root_order(raw), until_ms)
        gateway.model.replacements[3] = raw
        killed = _start(folder, *_QUICK, f"points = {{ {point} = 1 }}", port=gateway.port)
        assert _end(killed)[0] == 71
        process = _start(folder, *_QUICK, port=gateway.port)
        _wait_until(lambda: key_id(root("next")) in _attested(gateway.model), process)
        process.send_signal(signal.SIGINT)
        code, output = _end(process)

    assert code == 0, output
    assert _answered(gateway.model) == [1, 2, 3]
    assert key_id(root("release")) not in _attested(gateway.model)
    gateway.model.check_chains()


@pytest.mark.parametrize("point", LINK_POINTS)
def test_process_that_ends_while_its_link_changes_asks_over_the_next_one(folder, point):
    """Exit code 71 at the named point; started again, it answers once, and the link of before may end."""
    with UdpGateway() as gateway:
        until_ms = _served(folder, gateway.model)
        gateway.model.wanted = None
        kid, _ = relinking(gateway.model, 3, until_ms=until_ms)
        code, output = _end_at(point, folder, gateway, lambda: _is_linked(gateway.model, kid))

    assert code == 0, output
    assert _answered(gateway.model) == [1, 2, 3]
    assert gateway.model.kids[-1] == kid
    gateway.model.check_chains()


def _is_linked(model, kid):
    """Say whether a heartbeat named the command whose link is in use, and the command's event is there."""
    is_told = any(beat.health.get(21) == 3 for beat in model.heartbeats)
    return is_told and model.kids[-1:] == [kid] and _answered(model)[-1:] == [3]


def _attested(model):
    """Return the roots that the newest attestation names."""
    claims = [event[3][0] for _, event in model.events(CRITICAL) if event[2] == ATTESTATION]
    return roots_of(claims[-1]) or [] if claims else []


def _answered(model):
    return [event[3][0] for _, event in model.events(CRITICAL) if event[2] == COMMAND]


def test_image_from_before_there_were_slots_grows_by_empty_ones(folder):
    """The journal of an older image is where it was; two empty slots come behind it."""
    before = (folder / "flash.bin").stat().st_size
    assert _end(_start(folder, "stop_after_ms = 300"))[0] == 0
    content = (folder / "flash.bin").read_bytes()

    assert len(content) == before + 32 * 4096
    assert content[before:] == b"\xff" * (32 * 4096)
    assert _end(_start(folder, "stop_after_ms = 300"))[0] == 0
    assert len((folder / "flash.bin").read_bytes()) == len(content)


@pytest.mark.parametrize("sectors", [SECTORS + 1, SECTORS + 32, SECTORS - 1])
def test_flash_of_another_size_is_refused_before_and_in_the_process(folder, sectors):
    """With a used slot at its end, another number of sectors would put the journal over it: file, value and limit are named."""
    _end(_start(folder, "stop_after_ms = 300"))
    flash = FileFlash(str(folder / "flash.bin"), window_sectors(SECTORS))
    Slots(flash).begin(0, 7, bytes(8))
    flash.close()
    before = (folder / "flash.bin").read_bytes()
    settings = json.loads((folder / "device.json").read_text())
    (folder / "device.json").write_text(json.dumps({**settings, "flash_sectors": sectors}))
    toml = (folder / "device.toml").read_text().replace(f"sectors = {SECTORS}", f"sectors = {sectors}")
    (folder / "device.toml").write_text(toml)
    agent = subprocess.run(
        device_command(folder / "device.json"),
        env=micropython_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    told = subprocess.run(run_command(folder), capture_output=True, text=True, cwd=ROOT, check=False)

    assert (agent.returncode, told.returncode) == (2, 2)
    for words in (f"flash_sectors = {sectors}", "flash.bin", f"as flash_sectors = {SECTORS} made it"):
        assert words in agent.stdout
        assert words in " ".join(told.stderr.split())
    assert (folder / "flash.bin").read_bytes() == before


@pytest.mark.parametrize("line", ["00" * 59, "zz" * 60, "00" * 60, root("release").hex() + "00"])
def test_line_that_is_no_root_is_named(folder, line):
    """A roots file with something else than public keys is a mistake of a person, with line and column."""
    (folder / "roots").write_text(root("release").hex() + "\n" + line + "\n")
    process = _start(folder, "stop_after_ms = 300")
    code, output = _end(process)

    assert code == 2
    assert "device-roots" in output and "roots:2" in output


def test_all_mistakes_in_the_settings_are_named_at_once(folder):
    """A misspelt key, a value out of range and a missing identity are three diagnostics and exit code 2."""
    (folder / "device.toml").write_text('flash_sectors = 2\nsampel_ms = 5\n[link]\nhost = "x"\n')
    ended = subprocess.run(run_command(folder), capture_output=True, text=True, cwd=ROOT, check=False)

    assert ended.returncode == 2
    for words in ("did you mean", "sample_ms", "device", "flash_sectors"):
        assert words in ended.stderr


def test_journal_command_shows_the_heads(folder):
    """`outstation device journal --json` prints what the image reader says, under its schema's name."""
    _end(_start(folder, "stop_after_ms = 500"))
    command = [sys.executable, "-m", "tools.cli", "device", "journal", str(folder / "flash.bin"), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    told = json.loads(ended.stdout)

    assert ended.returncode == 0
    assert (told.pop("schema"), told.pop("version")) == ("outstation.device-journal", 1)
    assert told == read_image(folder / "flash.bin").as_json()
