"""Faults planted in what boards of silicon and their commands do, by name: NAME -> (plant(patch), check(folder) that must fail).

patch(object, attribute, value) undoes itself. Windows are loaded anew for each check, so a fault in one is put in as it is loaded.
"""

import binascii
import os
import sys
import threading
import tty
from dataclasses import replace
from types import SimpleNamespace

import pytest

from protocol import settings_check
from protocol.diagnostic import DiagnosticError
from tests.boards import windows
from tests.boards.boots import FakeBoard, make_config
from tests.tools import test_board, test_board_journal, test_board_sensors, test_provision
from tools.board import console, find, journal, settings, setup
from tools.board.frozen import FrozenList
from tools.board.table import SILICON
from tools.provision import Office


def _in_windows(change):
    def plant(patch):
        honest = windows.load

        def load(name, *folders):
            module = honest(name, *folders)
            change(sys.modules["block_window"].BlockWindow)
            return module

        patch(windows, "load", load)

    return plant


def _leave_out_the_offset(window):
    def program(self, offset, data):
        self._check(offset, len(data), 256)
        for at in range(offset, offset + len(data), 256):
            page = bytearray(data[at - offset :][:256])
            place = [at % 4096] if at % 4096 else []
            self._device.writeblocks(self._first + at // 4096, page, *place)

    window.program = program


def _erase_from_the_start_of_the_chip(window):
    window.erase = lambda self, sector: self._device.ioctl(6, sector)


def _program_from_where_bytes_lie(window):
    def program(self, offset, data):
        self._check(offset, len(data), 256)
        for at in range(0, len(data), 256):
            place = offset + at
            self._device.writeblocks(self._first + place // 4096, data[at : at + 256], place % 4096)
            self.programmed += 256

    window.program = program


def _trust_every_place(window):
    window._check = lambda self, offset, n, unit: None


def _replace_unasked(patch):
    begin = setup._begin
    patch(setup, "_begin", lambda board, sectors, replace: begin(board, sectors, True))


def _take_any_board(patch):
    begin = setup._begin

    def careless(board, sectors, replace):
        lines = begin(board, sectors, replace).splitlines(keepends=True)
        return "".join(line for line in lines if "NAME" not in line and "raise" not in line)

    patch(setup, "_begin", careless)


def _type_programs_on_the_command_line(patch):
    def words(port, programs):
        told = [word for path in programs for word in ("+", "exec", path.read_text())]
        return [sys.executable, "-m", "mpremote", "connect", port, *told]

    patch(setup, "mpremote_words", words)


def _leave_programs_to_everybody(patch):
    honest = setup.write_programs

    def write(plan, folder):
        paths = honest(plan, folder)
        for path in paths:
            path.chmod(0o644)
        return paths

    patch(setup, "write_programs", write)


def _take_the_first_of_several(patch):
    honest = find.matching_ports
    patch(find, "matching_ports", lambda boards, ports=None: honest(boards, ports)[:1])


def _forget_what_came_meanwhile(patch):
    honest = console.Console.ask

    def ask(self, program, seconds):
        answer = honest(self, program, seconds)
        self._held = b""
        return answer

    patch(console.Console, "ask", ask)


def _show_bytes_as_they_come(patch):
    patch(console, "_text", lambda line: line.decode("latin-1"))


def _tell_the_office_of_a_unix_port(patch):
    honest = Office.add_device

    def add_device(self, device, plan, schema, bundle):
        honest(self, device, replace(plan, hardware="unix"), schema, bundle)

    patch(Office, "add_device", add_device)


def _name_an_image_after_its_files(patch):
    patch(FrozenList, "digests", lambda self: ((name, "") for name in sorted(self.modules)))


def _holds(check, open_window):
    return lambda folder: windows.CHECKS[check](getattr(windows, open_window))


def _keys_stay(folder):
    config = make_config(folder / "site")
    board = FakeBoard("rpi_pico_w", folder / "board")
    board.provision(config, folder / "programs")
    assert "has keys already" in board.provision(config, folder / "programs")


def _another_board_refuses(folder):
    config = make_config(folder / "site")
    plan = setup.plan_setup(config, SILICON["rpi_pico_w"], False)
    (folder / "programs").mkdir()
    said = FakeBoard("rpi_pico2_w", folder / "board").run(setup.write_programs(plan, folder / "programs"))
    assert "this is a board rpi_pico2_w" in said


def _office_knows_the_board(folder):
    make_config(folder, hardware="rpi_pico_w")
    assert test_provision.hardware_at_office(folder / "office" / "office.toml") == ["rpi_pico_w"]


def _several_are_told(folder):
    ports = [
        SimpleNamespace(device=name, vid=0x2E8A, pid=5, description="") for name in ("/dev/one", "/dev/other")
    ]
    with pytest.raises(DiagnosticError):
        find.find_port(SILICON["rpi_pico_w"], None, ports)


def _console_says(text, words):
    """Return a check: what the board says once it is typed at is shown as these words."""

    def check(folder):
        master, slave = os.openpty()
        tty.setraw(slave)

        def answer():
            os.read(master, 10)
            os.write(master, text)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            with console.Console(os.ttyname(slave)) as opened:
                assert opened.ask("pass", 1.0) is None
                assert words in list(opened.lines(1.0))
        finally:
            thread.join(5)
            os.close(slave)
            os.close(master)

    return check


def _read_the_keys_too(patch):
    patch(journal, "KEY_SECTORS", 0)


def _believe_each_sector(patch):
    honest = journal.sector_of

    def sector_of(lines):
        pieces = [line.partition(" ")[2] for line in lines if line.startswith("piece ")]
        held = b"".join(binascii.a2b_base64(piece) for piece in pieces)
        return held if len(held) == journal.SECTOR_BYTES else honest(lines)

    patch(journal, "sector_of", sector_of)


BOARD_FAULTS = {
    "read_the_keys_too": (
        _read_the_keys_too,
        lambda folder: test_board_journal.check_journal_of_a_board(test_board_journal.worked()),
    ),
    "believe_each_sector": (
        _believe_each_sector,
        lambda folder: test_board_journal.check_noise(test_board_journal.worked()),
    ),
    "leave_out_the_offset": (
        _in_windows(_leave_out_the_offset),
        _holds("window_begins_where_it_should", "open_esp32"),
    ),
    "erase_from_the_start_of_the_chip": (
        _in_windows(_erase_from_the_start_of_the_chip),
        _holds("window_begins_where_it_should", "open_rp2"),
    ),
    "program_from_where_bytes_lie": (
        _in_windows(_program_from_where_bytes_lie),
        _holds("program_takes_what_lies_in_flash", "open_rp2"),
    ),
    "trust_every_place": (_in_windows(_trust_every_place), _holds("nothing_outside_is_reached", "open_rp2")),
    "replace_unasked": (_replace_unasked, _keys_stay),
    "take_any_board": (_take_any_board, _another_board_refuses),
    "type_programs_on_the_command_line": (
        _type_programs_on_the_command_line,
        test_board.test_no_secret_is_a_word_of_a_command_line,
    ),
    "leave_programs_to_everybody": (
        _leave_programs_to_everybody,
        test_board.test_no_secret_is_a_word_of_a_command_line,
    ),
    "tell_the_office_of_a_unix_port": (_tell_the_office_of_a_unix_port, _office_knows_the_board),
    "take_the_first_of_several": (_take_the_first_of_several, _several_are_told),
    "forget_what_came_meanwhile": (_forget_what_came_meanwhile, _console_says(b"a boot\r\n", "a boot")),
    "show_bytes_as_they_come": (_show_bytes_as_they_come, _console_says(b"\x1b[2J\r\n", "\\x1b[2J")),
    "name_an_image_after_its_files": (
        _name_an_image_after_its_files,
        test_board.test_image_has_another_name_with_another_source,
    ),
    "take_a_channel_of_any_scale": (
        lambda patch: patch(settings, "sensor_faults", lambda *facts: []),
        test_board_sensors.test_scale_of_a_channel_is_that_of_the_part,
    ),
    "put_two_parts_at_one_place": (
        lambda patch: patch(settings, "place_faults", lambda *facts: []),
        lambda folder: test_board_sensors.test_two_parts_are_never_at_one_place(
            folder, *test_board_sensors.PLACES[0]
        ),
    ),
    "look_into_the_first_sensor_alone": (
        lambda patch: patch(settings_check, "_tagged", lambda annotation: {}),
        test_board_sensors.test_all_mistakes_of_all_sensors_are_named_at_once,
    ),
}
