"""What a board says of itself, from its console: lines of its boot, or answers where it waits at its prompt."""

import re
from dataclasses import asdict, dataclass, field

# As agent.board numbers them.
_CAUSES = {"0": "power", "1": "watchdog", "2": "software", "3": "unknown"}

# Run at the prompt of a board that runs no device. It prints the lines of a boot, and works for all boards of ours.
QUESTION = """
import gc
import board_main
try:
    digest = board_main.image_digest()
except AttributeError:
    import hashlib
    import board_flash
    digest = hashlib.sha256(board_flash.image()).digest()
print(board_main.version_line(digest))
print("reset cause {}, {} bytes of heap free".format(board_main.reset_cause(), gc.mem_free()))
items = board_main.read_settings()
if items is None:
    print("not provisioned: no settings on flash")
else:
    from agent.cell import Cell
    from agent.layout import CELL_SECTOR, window_sectors
    import board_flash
    sectors = window_sectors(items["flash_sectors"])
    open_window = getattr(board_flash, "open_window", None) or board_flash.NorFlash
    cell = Cell(open_window(sectors), CELL_SECTOR)
    cell.load()
    print("device {} waits, boot {}, {} bytes of heap free".format(items["device"], cell.boot, gc.mem_free()))
    print("flash window {} sectors at {}".format(sectors, getattr(board_flash, "WINDOW_AT", "offset 0")))
"""

_VERSION = re.compile(
    r"outstation device on (?P<board>\S+): protocol (?P<protocol>\d+), rules (?P<rules>\d+), "
    r"MicroPython (?P<micropython>\S+), image (?P<image>[0-9a-f]{16})"
)
_RESET = re.compile(r"reset cause (\d), (\d+) bytes of heap free")
_DEVICE = re.compile(r"device ([0-9a-f]{16}) (runs|waits), boot (\d+), (\d+) bytes of heap free")
_WINDOW = re.compile(r"flash window (\d+) sectors at (.+)")
_ERROR = re.compile(r"^\w*(?:Error|Exception)\b.*|^(?:FlashFault|SensorFault)\b.*")


@dataclass
class Report:
    """What was heard; None is what the board did not say. prompt: whether it waits for a person. errors: lines that tell of a fault."""

    prompt: bool = False
    board: str | None = None
    protocol: str | None = None
    rules: str | None = None
    micropython: str | None = None
    image: str | None = None
    reset_cause: str | None = None
    heap_free_at_start: int | None = None
    heap_free: int | None = None
    provisioned: bool | None = None
    device: str | None = None
    boot: int | None = None
    window_sectors: int | None = None
    window_at: str | None = None
    wifi: str | None = None
    gateway: str | None = None
    boots_heard: int = 0
    lines_heard: int = 0
    errors: list[str] = field(default_factory=list)

    def hear(self, line: str) -> None:
        """Take one line of the console."""
        self.lines_heard += 1
        version = _VERSION.search(line)
        if version:
            # Another boot: what an earlier one said of itself is over, its faults are not.
            again = Report(self.prompt, boots_heard=self.boots_heard + 1, lines_heard=self.lines_heard)
            again.errors = self.errors
            self.__dict__.update(again.__dict__, **version.groupdict())
        elif reset := _RESET.search(line):
            self.reset_cause = _CAUSES.get(reset[1], reset[1])
            self.heap_free_at_start = int(reset[2])
        elif device := _DEVICE.search(line):
            self.provisioned, self.device = True, device[1]
            self.boot, self.heap_free = int(device[3]), int(device[4])
        elif window := _WINDOW.search(line):
            self.window_sectors, self.window_at = int(window[1]), window[2]
        else:
            self._hear_rest(line)

    def _hear_rest(self, line: str) -> None:
        words = line.split()
        if line.startswith("not provisioned"):
            self.provisioned = False
        elif line in ("wifi joined", "wifi lost"):
            self.wifi = words[1]
        elif line in ("gateway answers", "gateway silent"):
            self.gateway = words[1]
        elif line.startswith("watchdog:") or _ERROR.match(line):
            self.errors.append(line)

    def findings(self) -> list[str]:
        """Return what a person should look at, each in one sentence."""
        found = [f"it said: {line}" for line in self.errors]
        if self.provisioned is False:
            found.append("it has no keys and settings: outstation device provision")
        if self.reset_cause == "watchdog":
            found.append("its watchdog reset it")
        if self.boots_heard > 1:
            found.append(f"it began {self.boots_heard} times while it was listened to")
        if self.wifi == "lost":
            found.append("it lost its network")
        if self.gateway == "silent":
            found.append("its gateway is silent: see address, port, link secret and network")
        return found

    def as_json(self) -> dict[str, object]:
        """Return the report and what is to be looked at."""
        return {**asdict(self), "findings": self.findings()}

    def rows(self) -> list[tuple[str, str]]:
        """Return name and value of each fact, for people."""
        facts = [
            ("board", self.board),
            ("image", self.image),
            ("protocol, rules", self.protocol and f"{self.protocol}, {self.rules}"),
            ("MicroPython", self.micropython),
            ("reset cause", self.reset_cause),
            ("device", self.device or ("none: not provisioned" if self.provisioned is False else None)),
            ("boot", self.boot),
            ("heap free", self.heap_free or self.heap_free_at_start),
            ("flash window", self.window_sectors and f"{self.window_sectors} sectors at {self.window_at}"),
            ("network", self.wifi),
            ("gateway", self.gateway),
            ("console", "takes Python" if self.prompt else "listens to nobody"),
        ]
        return [(name, "not said" if value is None else f"{value}") for name, value in facts]
