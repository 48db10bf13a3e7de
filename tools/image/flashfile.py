"""The flash of an emulated board as a file, made from the folder of a provisioned device.

    python -m tools.image.flashfile DEVICE.TOML FILE

| offset | what |
|---|---|
| 0 | the agent's window: cell, keys, journal, slots, byte for byte the flash.bin of a device on a desk |
| 8 MiB | settings: a ROMFS that the agent reads and never writes |
| 12 MiB | room for agents that came over the link |
| 16 MiB less 4 KiB | the control page, no flash: see tools/image/control.py |
"""

import json
import os
import re
import secrets
import struct
import sys
from pathlib import Path
from typing import Any

from protocol.diagnostic import OK, USAGE, Diagnostic, DiagnosticError, show
from tools.image.romfs import make_romfs

FLASH_FILE_BYTES = 16 << 20
CONTROL_OFFSET = FLASH_FILE_BYTES - 4096
SETTINGS_OFFSET = 8 << 20
SETTINGS_BYTES_MAX = 4 << 20

_CONTROL_MAGIC = 0x5443534F
_CONTROL_VERSION = 1
_NO_CUT = 0xFFFFFFFF
_SEED_BYTES = 32
_SECTORS = re.compile(rb'"flash_sectors": (\d{1,5})\b')
# Of a device on a desk alone: paths of this machine, faults and points of its process.
_DESK_ITEMS = ("flash", "schema", "bundle", "recording", "record_log", "fault", "points", "stop_after_ms")
_DESK_LINK_ITEMS = ("serial", "baud", "radio", "order")


def control_page(seed: bytes) -> bytes:
    """Return the control page of a new flash file. seed: 32 bytes, of the board's random bytes."""
    assert len(seed) == _SEED_BYTES
    words = struct.pack("<12I", _CONTROL_MAGIC, _CONTROL_VERSION, _NO_CUT, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    return (words + seed).ljust(4096, b"\0")


def write_flash(path: Path, window: bytes, files: dict[str, bytes], seed: bytes | None = None) -> None:
    """Write a new flash file, which only its owner may read: it holds keys. Raises DiagnosticError where it does not fit."""
    romfs = make_romfs(files)
    if len(window) > SETTINGS_OFFSET or len(romfs) > SETTINGS_BYTES_MAX:
        message = f"a window of {len(window)} and settings of {len(romfs)} bytes do not fit"
        fix = f"at most {SETTINGS_OFFSET} and {SETTINGS_BYTES_MAX}: take fewer flash_sectors or a shorter recording"
        raise DiagnosticError(Diagnostic("image-flash", message, str(path), fix=fix), USAGE)
    whole = bytearray(b"\xff" * FLASH_FILE_BYTES)
    whole[: len(window)] = window
    whole[SETTINGS_OFFSET : SETTINGS_OFFSET + len(romfs)] = romfs
    whole[CONTROL_OFFSET:] = control_page(secrets.token_bytes(_SEED_BYTES) if seed is None else seed)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(whole)


def device_files(items: dict[str, Any]) -> dict[str, bytes]:
    """Return the settings of a device, as read_device gives them, as the files that its board reads."""
    kept = {name: value for name, value in items.items() if name not in _DESK_ITEMS}
    kept["link"] = {name: value for name, value in items["link"].items() if name not in _DESK_LINK_ITEMS}
    return {
        "device.json": json.dumps(kept).encode(),
        **{
            f"{name}.{kind}": Path(items[name]).read_bytes()
            for name, kind in (("schema", "cbor"), ("bundle", "cbor"), ("recording", "csv"))
        },
    }


def make_flash(config: Path, path: Path, seed: bytes | None = None, **more: Any) -> None:
    """Make the flash file of a device from its device.toml. more: settings that differ on this board. Raises DiagnosticError."""
    from tools.device import read_device

    items = read_device(config)
    window = Path(items["flash"]).read_bytes()
    write_flash(path, window, device_files({**items, **more}), seed)


def read_window(path: Path, sectors: int) -> bytes:
    """Return the agent's window of a flash file: what `outstation device journal` reads."""
    with path.open("rb") as file:
        return file.read(sectors * 4096)


def find_window(content: bytes) -> bytes | None:
    """Return the agent's window of a whole flash file, None where it is no flash file of a provisioned board."""
    if len(content) != FLASH_FILE_BYTES or content[CONTROL_OFFSET:][:4] != struct.pack("<I", _CONTROL_MAGIC):
        return None
    from tools.shim import install

    install()
    from agent.layout import window_sectors

    # The ROMFS holds device.json as it was written.
    said = _SECTORS.search(content, SETTINGS_OFFSET, SETTINGS_OFFSET + SETTINGS_BYTES_MAX)
    return content[: window_sectors(int(said[1])) * 4096] if said else None


def main(arguments: list[str]) -> int:
    """Make a flash file, and return the exit code."""
    if len(arguments) != 2:
        print("python -m tools.image.flashfile DEVICE.TOML FILE", file=sys.stderr)
        return USAGE
    try:
        make_flash(Path(arguments[0]), Path(arguments[1]))
    except DiagnosticError as error:
        show(error.diagnostics)
        return error.exit_code
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
