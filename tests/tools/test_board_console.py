"""The console of a board is shown and understood: over a pty, over TCP, and with the real mpremote and MicroPython at its far end.

The boot lines are those that an emulated board said (hil_tests), with what boards of silicon add to them.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import tty

import pytest

from protocol.diagnostic import FINDING, OK, UNREACHABLE
from tests.boards.boots import FakeBoard, make_config
from tools.board import find
from tools.board.diagnose import Report
from tools.cli import run
from tools.device_types import ROOT

VERSION = "outstation device on mps2_an385: protocol 1, rules 1, MicroPython 1.26.1, image 0123456789abcdef"
BOOT = (
    VERSION,
    "reset cause 0, 8000000 bytes of heap free",
    "device 00112233445566aa runs, boot 7, 7000000 bytes of heap free",
    "flash window 52 sectors at partition outstation",
    "wifi joined",
    "gateway answers",
)


class Line:
    """The far end of a console: it types lines once it is typed at, or for ever."""

    def __init__(self, read, write, lines, is_patient):
        self._read, self._write, self._is_patient = read, write, is_patient
        self._text = "".join(f"{line}\r\n" for line in lines).encode()
        self.heard = b""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        try:
            while self._is_patient and b"\x01" not in self.heard:
                self.heard += self._read()
            self._write(self._text)
            while not self._is_over.wait(0.05) and not self._is_patient:
                self._write(self._text)
        except OSError:
            return

    def close(self):
        self._is_over.set()
        self._thread.join(10)


@pytest.fixture(params=["pty", "socket"])
def line(request):
    """Return start(lines, is_patient) -> the port."""
    closers = []

    def on_pty(lines, is_patient):
        master, slave = os.openpty()
        tty.setraw(slave)
        far = Line(lambda: os.read(master, 100), lambda data: os.write(master, data), lines, is_patient)
        closers.extend((far.close, lambda: os.close(slave), lambda: os.close(master)))
        return os.ttyname(slave)

    def on_socket(lines, is_patient):
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(10)

        def serve():
            peer, _ = server.accept()
            far = Line(lambda: peer.recv(100), peer.sendall, lines, is_patient)
            closers.extend((far.close, peer.close))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        closers.extend((lambda: thread.join(10), server.close))
        return f"socket://127.0.0.1:{server.getsockname()[1]}"

    yield on_pty if request.param == "pty" else on_socket
    for close in closers[::-1]:
        close()


def test_logs_show_lines_with_their_time(line, capsys):
    """And end after so long."""
    assert run(["device", "logs", "--port", line(BOOT, False), "--seconds", "1"]) == OK
    said = capsys.readouterr().out.splitlines()

    assert f" {BOOT[2]}" in {row[12:] for row in said}
    for row in said:
        assert row[2] + row[5] + row[8] == "::."


def test_logs_as_json_are_one_document(line, capsys):
    """Lines with their times."""
    assert run(["device", "logs", "--port", line(BOOT, False), "--seconds", "0.5", "--json"]) == OK
    said = json.loads(capsys.readouterr().out)

    assert BOOT[2] in {row["line"] for row in said["lines"]}
    assert all(row["time"][10] == "T" for row in said["lines"])


def test_logs_do_not_let_a_board_steer_the_terminal(line, capsys):
    """Bytes that move the cursor are spelled out, and noise is shown as it is."""
    port = line(("\x1b[2Jgone", "\x00\x07"), False)
    assert run(["device", "logs", "--port", port, "--seconds", "0.5"]) == OK
    said = capsys.readouterr().out

    assert "\\x1b[2Jgone" in said
    assert not {"\x1b", "\x00", "\x07"} & set(said)


def test_diagnose_understands_the_lines_of_a_boot(line, capsys):
    """All that a production image says, from the moment on at which somebody listens."""
    port = line(BOOT, True)
    assert run(["device", "diagnose", "--port", port, "--seconds", "3", "--json"]) == OK
    said = json.loads(capsys.readouterr().out)

    assert (said["board"], said["image"], said["micropython"]) == ("mps2_an385", "0123456789abcdef", "1.26.1")
    assert (said["device"], said["boot"], said["reset_cause"]) == ("00112233445566aa", 7, "power")
    assert (said["window_sectors"], said["heap_free"], said["prompt"]) == (52, 7_000_000, False)
    assert (said["gateway"], said["wifi"], said["findings"]) == ("answers", "joined", [])


def test_diagnose_says_what_a_person_should_look_at(line, capsys):
    """With exit code 1."""
    lines = (*BOOT[:1], "reset cause 1, 5 bytes of heap free", *BOOT[2:4], "wifi lost", "gateway silent")
    port = line((*lines, "ValueError: no good"), True)
    assert run(["device", "diagnose", "--port", port, "--seconds", "3"]) == FINDING
    said = capsys.readouterr().out

    assert said.count("look at: ") == 4
    assert "its watchdog reset it" in said
    assert "it said: ValueError: no good" in said


def test_silent_board_is_told_apart_from_one_that_is_not_there(line, tmp_path, monkeypatch, capsys):
    """Press reset; or look at the port; or connect one."""
    port = line((), True)
    assert run(["device", "diagnose", "--port", port, "--seconds", "0.3"]) == UNREACHABLE
    assert "board-silent" in capsys.readouterr().err
    for command in ("logs", "diagnose"):
        assert run(["device", command, "--port", str(tmp_path / "none")]) == UNREACHABLE
        assert "board-port" in capsys.readouterr().err
        monkeypatch.setattr(find, "_ports", list)
        assert run(["device", command]) == UNREACHABLE
        assert "board-not-found" in capsys.readouterr().err


def test_another_boot_begins_another_report():
    """What the boot before said of itself is not held against this one, its faults are."""
    report = Report()
    for text in (
        *BOOT,
        "MemoryError: memory allocation failed",
        VERSION,
        "not provisioned: no settings on flash",
    ):
        report.hear(text)

    assert (report.device, report.gateway, report.provisioned, report.boots_heard) == (None, None, False, 2)
    assert [words.split(":")[0] for words in report.findings()] == [
        "it said",
        "it has no keys and settings",
        "it began 2 times while it was listened to",
    ]


def outstation(*words):
    """Run a command in a process of its own, as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "tools.cli", "device", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["esp32_generic_s3", "rpi_pico_w"])
def test_mpremote_makes_a_board_a_device(name, tmp_path):
    """The real mpremote types what we wrote at a prompt of MicroPython; then the board runs, and says so."""
    config = make_config(tmp_path / "site", hardware=name)
    board = FakeBoard(name, tmp_path / "board")
    with board.on_pty() as port:
        board.wait_for_prompt()
        asked = outstation("diagnose", "--port", port)
        assert (asked.returncode, "takes Python" in asked.stdout) == (FINDING, True), (
            asked.stdout + asked.stderr
        )
        done = outstation("provision", name, "--config", config, "--port", port)
        assert done.returncode == OK, done.stdout + done.stderr
        again = outstation("provision", name, "--config", config, "--port", port)
        assert (again.returncode, "has keys already" in again.stderr) == (FINDING, True)
        waits = outstation("diagnose", "--port", port, "--json")
        assert json.loads(waits.stdout)["device"] in done.stdout
        assert json.loads(waits.stdout)["window_sectors"] == 52

    with board.on_pty() as port:
        runs = outstation("diagnose", "--port", port, "--seconds", "6", "--json")
        said = json.loads(runs.stdout)
        assert (said["boot"], said["wifi"], said["prompt"]) == (1, "joined", False)


def test_board_of_another_kind_refuses(tmp_path):
    """A pin map is no matter of taste: keys for one board do not go onto another."""
    config = make_config(tmp_path / "site")
    board = FakeBoard("rpi_pico2_w", tmp_path / "board")
    with board.on_pty() as port:
        done = outstation("provision", "rpi_pico_w", "--config", config, "--port", port)

    assert done.returncode == FINDING
    assert "this is a board rpi_pico2_w" in done.stderr


def test_running_device_is_not_interrupted(tmp_path):
    """Neither a question nor a provisioning stops what runs; both say that nobody answers."""
    config = make_config(tmp_path / "site")
    board = FakeBoard("rpi_pico_w", tmp_path / "board")
    board.provision(config, tmp_path / "programs")
    with board.on_pty() as port:
        outstation("diagnose", "--port", port, "--seconds", "5")
        refused = outstation("provision", "rpi_pico_w", "--config", config, "--port", port, "--replace")
        after = outstation("diagnose", "--port", port, "--seconds", "3")

    assert refused.returncode == FINDING
    assert "board-refused" in refused.stderr
    assert "runs, boot 2" not in after.stdout
