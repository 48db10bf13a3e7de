"""Faults to plant in what carries frames and makes flash files: each is a mistake that somebody could make."""

import struct
from pathlib import Path

from agent.links import serial
from protocol import slipmux
from tools import upy
from tools.image import flashfile, make, romfs


def check_of_the_datagram_alone(monkeypatch):
    """Leave the first byte out of the check: another kind of frame could be taken for ours."""
    honest = slipmux._register
    monkeypatch.setattr(slipmux, "_register", lambda content: honest(content[1:]))


def check_is_not_looked_at(monkeypatch):
    """Take every frame for good."""
    monkeypatch.setattr(slipmux, "_GOOD", 0)
    monkeypatch.setattr(slipmux, "_register", lambda content: 0)


def end_is_not_escaped(monkeypatch):
    """Send a delimiter inside a frame as it is."""
    monkeypatch.setattr(slipmux, "_ESC_END", b"\xc0")


def frame_of_any_length(monkeypatch):
    """Keep whatever comes until a delimiter comes."""
    monkeypatch.setattr(slipmux, "_RAW_BYTES_MAX", 1 << 30)
    monkeypatch.setattr(slipmux, "_CONTENT_BYTES_MAX", 1 << 30)


def frames_wait_without_end(monkeypatch):
    """Keep every datagram that nobody asked for."""
    monkeypatch.setattr(serial, "_WAITING_MAX", 1 << 30)


def romfs_length_of_one_byte(monkeypatch):
    """Write numbers as if they were all small."""
    monkeypatch.setattr(romfs, "_number", lambda value: bytes([value & 0x7F]))


def cut_armed_from_the_start(monkeypatch):
    """Make flash files whose first operation cuts the power."""
    monkeypatch.setattr(flashfile, "_NO_CUT", 0)


def seed_at_another_place(monkeypatch):
    """Write the seed where the board looks for a counter."""
    monkeypatch.setattr(
        flashfile,
        "control_page",
        lambda seed: struct.pack("<3I", 0x5443534F, 1, 0xFFFFFFFF) + seed + bytes(4052),
    )


def objects_of_other_settings_are_kept(monkeypatch):
    """Leave it to make, which knows nothing of settings."""
    monkeypatch.setattr(make.shutil, "rmtree", lambda path, ignore_errors=False: None)


def package_is_all_there_is(monkeypatch):
    """Look for an installed package, and nowhere else."""
    monkeypatch.setattr(upy, "unix_folder", lambda: Path("/nowhere"))
