"""Another agent comes with a release: it is fetched file by file, tried, kept or given up, and the device is never without one."""

import shutil
import signal
import time
from functools import cache
from pathlib import Path

import pytest

from protocol import adoption
from protocol.agent_index import AgentIndex, encode_agent_index, parse_agent_index
from protocol.errors import PART, UNSIGNED, VERSION
from protocol.event import ADOPTION
from protocol.manifest import AGENT, RULES
from tests.agent.release_bench import make_release, root
from tests.agent.test_unix_process import _QUICK, ROOT, _end, _start, _steps, _wait_until, folder
from tests.agent.udp_gateway import UdpGateway
from tests.agent.way_down import BODY
from tools.agent_files import AgentFiles, compile_agent

__all__ = ["folder"]

SOURCE = ROOT / "firmware" / "agent"
WORD = "the agent with a changed line runs"
BOTH = ("release", "recovery")


@cache
def files_of(name, line):
    """Return the files of an agent in which one file has one line more."""
    target = Path("/tmp") / f"outstation-test-{time.time_ns()}" / "agent"
    try:
        shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("__pycache__", "sensors"))
        (target / "sensors").mkdir()
        for kept in ("__init__.py", "recording.py"):
            shutil.copy(SOURCE / "sensors" / kept, target / "sensors" / kept)
        with (target / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return compile_agent(target)
    finally:
        shutil.rmtree(target.parent)


def _offer(folder, model, number, files, signers=BOTH):
    (folder / "roots").write_text("".join(root(name).hex() + "\n" for name in BOTH))
    until_ms = time.time_ns() // 1_000_000 + 3_600_000
    model.releases[number] = make_release(
        number, [BODY, files.part], signers, validity=(0, until_ms), kinds=[RULES, AGENT]
    )
    model.files[number] = files.bodies
    model.wanted = number


def _run(folder, gateway):
    # Fewer samples than the other processes take: what is fetched comes behind what was recorded.
    return _start(folder, "agents = true", "sample_ms = 360000", *_QUICK, port=gateway.port)


def _stop(process):
    process.send_signal(signal.SIGINT)
    code, output = _end(process)
    assert code == 0, output
    return output


@pytest.mark.proves("S07")
def test_device_runs_the_agent_that_a_release_brought(folder):
    """Fetched, checked, tried after a restart, confirmed; and after the next start it is the same one."""
    with UdpGateway() as gateway:
        _offer(folder, gateway.model, 7, files_of("clock.py", f"print({WORD!r})"))
        first = _adopted(folder, gateway, [1, 2, 3])
        again = _stop_once_heard(folder, gateway)

    assert WORD in first
    assert WORD in again
    gateway.model.check_chains()


def _adopted(folder, gateway, steps):
    """Run until these steps have arrived; return what the process printed."""
    process = _run(folder, gateway)
    _wait_until(lambda: _steps(gateway.model)[: len(steps)] == steps, process)
    return _stop(process)


def _stop_once_heard(folder, gateway):
    heard = len(gateway.model.heartbeats)
    process = _run(folder, gateway)
    _wait_until(lambda: len(gateway.model.heartbeats) > heard + 1, process)
    return _stop(process)


def test_changed_line_costs_its_file(folder):
    """Of the next agent only the file that differs is asked for; the others are copied from the one that runs."""
    with UdpGateway() as gateway:
        model = gateway.model
        _offer(folder, model, 7, files_of("clock.py", "print('first')"))
        _adopted(folder, gateway, [1, 2, 3])
        model.files_sent.clear()
        _offer(folder, model, 8, files_of("clock.py", f"print({WORD!r})"))
        output = _adopted(folder, gateway, [1, 2, 3] * 2)
    sizes = [event[3][3] for _, event in model.events(0) if event[2] == ADOPTION and event[3][0] == 1]

    assert WORD in output
    assert len(set(model.files_sent)) == 1
    # The release with its two signatures, the index, and one file of some kilobytes, against the whole agent before.
    assert sizes[1] < sizes[0] // 3
    print(f"{sizes[0]} bytes of a whole agent, {sizes[1]} of a changed line")


@pytest.mark.parametrize("line", ["raise RuntimeError('broken')", "import nothing_of_that_name"])
def test_agent_that_cannot_start_gives_way_to_the_one_before(folder, line):
    """It ends before it can say anything, three times; then the image's agent runs, says so, and goes on sending."""
    with UdpGateway() as gateway:
        _offer(folder, gateway.model, 7, files_of("app.py", line))
        output = _adopted(folder, gateway, [1, 2, 4])
        heard = len(gateway.model.heartbeats)
        _stop_once_heard(folder, gateway)
    reasons = [
        event[3][3] for _, event in gateway.model.events(0) if event[2] == ADOPTION and event[3][0] == 4
    ]

    assert output.count("Error") == 2
    assert reasons == [adoption.RESTARTS]
    assert len(gateway.model.heartbeats) > heard
    gateway.model.check_chains()


def test_agent_needs_two_signers(folder):
    """Code may do whatever it likes, so one key alone does not replace it."""
    with UdpGateway() as gateway:
        _offer(folder, gateway.model, 7, files_of("clock.py", f"print({WORD!r})"), ("release",))
        output = _adopted(folder, gateway, [0])
        codes = _refusals(gateway.model)

    assert codes == [UNSIGNED]
    assert WORD not in output


def test_agent_of_another_micropython_is_refused(folder):
    """What this interpreter cannot read is never switched to."""
    with UdpGateway() as gateway:
        files = files_of("clock.py", f"print({WORD!r})")
        said = parse_agent_index(files.part)
        other = encode_agent_index(AgentIndex(said.mpy - 1, said.files))
        _offer(folder, gateway.model, 7, AgentFiles(other, files.bodies))
        _adopted(folder, gateway, [0])

    assert _refusals(gateway.model) == [VERSION]


def test_file_that_is_not_the_one_of_the_index_is_refused(folder):
    """A gateway swaps two files, or changes a bit: nothing is switched."""
    with UdpGateway() as gateway:
        files = files_of("clock.py", f"print({WORD!r})")
        bodies = [*files.bodies[:-1], bytes([files.bodies[-1][0] ^ 1]) + files.bodies[-1][1:]]
        _offer(folder, gateway.model, 7, AgentFiles(files.part, bodies))
        _adopted(folder, gateway, [0])

    assert _refusals(gateway.model) == [PART]


def test_damaged_file_of_a_confirmed_agent_lets_the_safe_one_run(folder):
    """One bit of flash: the image's agent seals, speaks and fetches the release anew."""
    with UdpGateway() as gateway:
        _offer(folder, gateway.model, 7, files_of("clock.py", f"print({WORD!r})"))
        _adopted(folder, gateway, [1, 2, 3])
        _flip_a_bit(folder / "flash.bin.agents")
        output = _adopted(folder, gateway, [1, 2, 3, 4, 1, 2, 3])

    # Once by the slot's agent, after it came again: in its trial.
    assert output.count(WORD) == 1
    reasons = [
        event[3][3] for _, event in gateway.model.events(0) if event[2] == ADOPTION and event[3][0] == 4
    ]
    assert reasons == [adoption.DAMAGED]


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    at = next(at for at, byte in enumerate(content) if byte != 0xFF)
    content[at + 5] ^= 4
    path.write_bytes(content)


def _refusals(model):
    return [event[3][3] for _, event in model.events(0) if event[2] == ADOPTION and event[3][0] == 0]


def test_device_without_room_for_agents_refuses_one(folder):
    """Its rules go on."""
    with UdpGateway() as gateway:
        _offer(folder, gateway.model, 7, files_of("clock.py", f"print({WORD!r})"))
        process = _start(folder, *_QUICK, port=gateway.port)
        _wait_until(lambda: 0 in _steps(gateway.model), process)
        _stop(process)

    assert _refusals(gateway.model) == [PART]
