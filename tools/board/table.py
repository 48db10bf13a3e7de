"""The boards that we know, and how each differs from the others as far as a host is concerned."""

from dataclasses import dataclass

from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError, suggest

EMULATED = "mps2_an385"

_PICO_WINDOW = 104
_PICO2_WINDOW = 532
_PICO_PINS = {"ds18b20": 16, "pulse": 17}
_PICO_SENSOR_PINS = (2, 3, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 26, 27, 28)
_RASPBERRY_PI = 0x2E8A
_ESPRESSIF = 0x303A
# UART bridges that modules with an ESP32 carry: Silicon Labs CP210x, WCH CH340 and CH9102, FTDI FT232R.
_BRIDGES = ((0x10C4, 0xEA60), (0x1A86, 0x7523), (0x1A86, 0x55D4), (0x0403, 0x6001))


@dataclass(frozen=True)
class SiliconBoard:
    """One board of silicon.

    folders: under firmware/boards, its own first. port: of MicroPython. stubs: distribution and version of its types.
    window_sectors: what its flash has for the agent. files_bytes: room for settings. usb: (vendor, product) as the system lists it,
    product None for any of the vendor's. default_pins: where the pin map has a part. sensor_pins: those and the free ones, GPIO
    numbers that take a pull-up and that a reset does not read; from the datasheets, not tried on silicon.
    """

    name: str
    title: str
    port: str
    folders: tuple[str, ...]
    stubs: tuple[str, str]
    window_sectors: int
    files_bytes: int
    usb: tuple[tuple[int, int | None], ...]
    chip: str
    default_pins: dict[str, int]
    sensor_pins: tuple[int, ...]


def _stubs(name: str) -> tuple[str, str]:
    return f"micropython-{name}-stubs", "1.29.0.post1"


SILICON = {
    board.name: board
    for board in (
        SiliconBoard(
            "esp32_generic",
            "ESP32",
            "esp32",
            ("esp32_generic", "esp32_generic_s3"),
            _stubs("esp32-esp32_generic"),
            0xD0000 // 4096,
            128 << 10,
            _BRIDGES,
            "esp32",
            {"ds18b20": 4, "pulse": 18},
            (4, 13, 14, 18, 19, 23, 25, 32, 33),
        ),
        SiliconBoard(
            "esp32_generic_s3",
            "ESP32-S3",
            "esp32",
            ("esp32_generic_s3",),
            _stubs("esp32-esp32_generic_s3"),
            0x4D0000 // 4096,
            128 << 10,
            ((_ESPRESSIF, None), *_BRIDGES),
            "esp32s3",
            {"ds18b20": 4, "pulse": 5},
            (1, 2, 4, 5, 10, 11, 12, 13, 14, 15, 16, 21),
        ),
        SiliconBoard(
            "rpi_pico_w",
            "Pico W (RP2040)",
            "rp2",
            ("rpi_pico_w",),
            _stubs("rp2-rpi_pico_w"),
            _PICO_WINDOW,
            32 << 10,
            ((_RASPBERRY_PI, 0x0005),),
            "rp2040",
            _PICO_PINS,
            _PICO_SENSOR_PINS,
        ),
        SiliconBoard(
            "rpi_pico2_w",
            "Pico 2 W (RP2350)",
            "rp2",
            ("rpi_pico2_w", "rpi_pico_w"),
            _stubs("rp2-rpi_pico2_w"),
            _PICO2_WINDOW,
            32 << 10,
            ((_RASPBERRY_PI, 0x0005),),
            "rp2350",
            _PICO_PINS,
            _PICO_SENSOR_PINS,
        ),
    )
}
NAMES = (EMULATED, *SILICON)


def silicon_board(name: str) -> SiliconBoard:
    """Return a board of silicon. Raises DiagnosticError for a name that is none."""
    if name in SILICON:
        return SILICON[name]
    raise unknown_board(name)


def unknown_board(name: str) -> DiagnosticError:
    """Return what to say of a board that we do not have."""
    near = suggest(name, NAMES)
    fix = f"did you mean {near}?" if near else f"take one of: {', '.join(NAMES)}"
    return DiagnosticError(Diagnostic("board-unknown", f"there is no board {name!r}", fix=fix), USAGE)
