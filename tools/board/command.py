"""`outstation device build|flash|provision|logs|diagnose|journal`: a board from its image to its words."""

import shlex
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from protocol.diagnostic import FINDING, OK, UNREACHABLE, USAGE, Diagnostic, DiagnosticError
from protocol.report import emit
from tools.board.table import EMULATED, NAMES, silicon_board, unknown_board

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_BOARD = click.argument("board")
_PORT_OPTION = click.option("--port", help="Serial port, pty, or address such as socket://HOST:PORT.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done; needs no board.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_PROMPT_SECONDS = 2.0


def _folder(board: str) -> Path:
    return Path("build") / "board" / board


@click.command("build")
@_BOARD
@click.option("--out", type=_FOLDER, help="Folder to build in; build/board/BOARD if left out.")
@click.option(
    "--source", type=_FOLDER, help="A source tree of MicroPython; the emulated board takes Debian's."
)
@click.option("--development", is_flag=True, help="Emulated board: with a console that takes Python.")
@_DRY_RUN
@_JSON
def build(
    board: str, out: Path | None, source: Path | None, development: bool, dry_run: bool, as_json: bool
) -> None:
    """Build the image of BOARD.

    The emulated board's is built here. For a board of silicon the folder for the vendor's toolchain is written, its commands
    are printed, and run where everything they need is here.
    """
    if board == EMULATED:
        _build_emulated(out, source, development, dry_run, as_json)
        return
    from tools.board import vendor

    chosen = silicon_board(board)
    tree = source and source.resolve()
    made = vendor.write_folder(chosen, (out or _folder(board)).resolve(), tree)
    missing = vendor.missing_tools(chosen, tree)
    if as_json:
        body = {"board": board, "folder": str(made.folder), "image": made.digest, "modules": made.modules}
        found = {"commands": made.lines(), "missing": [said.message for said in missing]}
        emit("outstation.device-build", 1, {**body, **found})
    else:
        click.echo(f"{made.folder}: {made.modules} modules of ours, image {made.digest[:16]}")
        click.echo("\n".join(f"  {line}" for line in made.lines()))
    if dry_run:
        return
    if missing:
        raise DiagnosticError(missing, UNREACHABLE)
    vendor.run_commands(made.commands, "board-build-failed", quiet=as_json)
    _next(as_json, f"outstation device flash {board} --image {made.image}")


def _build_emulated(
    out: Path | None, source: Path | None, development: bool, dry_run: bool, as_json: bool
) -> None:
    from dataclasses import asdict

    from tools.image.build import build_image

    if dry_run:
        words = ["python", "-m", "tools.image", EMULATED, *(["--development"] if development else [])]
        click.echo(f"  {shlex.join(words)}")
        return
    image = build_image(EMULATED, out and out.resolve(), development, source and source.resolve())
    if as_json:
        emit("outstation.device-build", 1, {"folder": str(Path(image.elf).parent), **asdict(image)})
    else:
        click.echo(f"{image.elf}: {image.image_bytes:,} bytes, image {image.sha256[:16]}")
    _next(as_json, f"outstation device provision {EMULATED} --config device.toml --flash-file flash.bin")


def _next(as_json: bool, command: str) -> None:
    if not as_json:
        click.echo(f"next: {command}")


@click.command("flash")
@_BOARD
@click.option("--image", type=_FILE, help="The image; that of build/board/BOARD if left out.")
@_PORT_OPTION
@_DRY_RUN
@_JSON
def flash(board: str, image: Path | None, port: str | None, dry_run: bool, as_json: bool) -> None:
    """Write the image onto a connected BOARD.

    Keys, journal and settings that are on it stay.
    """
    from tools.board import flashing, vendor

    if board == EMULATED:
        fix = f"give it a flash file: outstation device provision {EMULATED} --flash-file FILE"
        said = "an emulated board has no image to be written: the emulator is started with it"
        raise DiagnosticError(Diagnostic("board-unknown", said, fix=fix), USAGE)
    chosen = silicon_board(board)
    path = (image or vendor.image_path(chosen, _folder(board))).resolve()
    if dry_run:
        commands = [flashing.flash_command(chosen, path, port or "PORT")]
    else:
        commands = flashing.write_image(chosen, path, port)
        vendor.run_commands(commands, "board-refused", quiet=as_json)
    lines = [shlex.join(words) for words in commands]
    if as_json:
        body = {"board": board, "image": str(path), "commands": lines, "written": not dry_run}
        emit("outstation.device-flash", 1, body)
    elif dry_run:
        click.echo("".join(f"  {line}\n" for line in lines), nl=False)
    else:
        click.echo(f"next: outstation device provision {board} --config device.toml")


@click.command("provision")
@_BOARD
@click.option(
    "--config",
    type=_FILE,
    default=Path("device.toml"),
    show_default=True,
    help="The device, as outstation provision device made it.",
)
@_PORT_OPTION
@click.option("--flash-file", type=_FILE, help="Emulated board: the flash file to make.")
@click.option("--replace", is_flag=True, help="Give up the keys that the board has.")
@_DRY_RUN
@_JSON
def provision(
    board: str,
    config: Path,
    port: str | None,
    flash_file: Path | None,
    replace: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a connected BOARD the device of device.toml.

    Its keys go into the agent's window, its settings into files. board.toml beside device.toml says what hangs on the board.
    """
    if board not in NAMES:
        raise unknown_board(board)
    _check_hardware(board, config)
    place: str | None
    if board == EMULATED:
        _provision_emulated(config, flash_file, replace, dry_run)
        said, place = f"{flash_file}: the flash of the device in {config}", str(flash_file)
    else:
        said, place = _provision_silicon(board, config, port, replace, dry_run)
    if as_json:
        body = {"board": board, "settings": str(config), "place": place, "written": not dry_run}
        emit("outstation.device-provision", 1, body)
    else:
        click.echo(said)


def _check_hardware(board: str, config: Path) -> None:
    """Refuse a device that the office knows as another board: it would be offered releases that this one does not take."""
    from tools.device import read_device

    hardware = read_device(config)["hardware"]
    if hardware != board:
        said = f"this device is provisioned as {hardware}, and the office offers it releases for that"
        fix = (
            f"make the device for this board, in a new folder: outstation provision device --hardware {board}"
        )
        raise DiagnosticError(Diagnostic("board-refused", said, str(config), fix=fix), USAGE)


def _provision_silicon(
    board: str, config: Path, port: str | None, replace: bool, dry_run: bool
) -> tuple[str, str | None]:
    """Provision a board; return what to say, and its port, None where none was asked for."""
    from tools.board.find import find_port
    from tools.board.setup import plan_setup, run_setup, summary

    chosen = silicon_board(board)
    setup = plan_setup(config, chosen, replace)
    if dry_run:
        return f"  {summary(setup, chosen)}", port
    place = find_port(chosen, port)
    with _Progress(setup.steps) as step:
        run_setup(setup, place, step)
    said = (
        f"device {setup.device} lies on the board at {place}; it runs after its next reset",
        f"remove flash.bin and link.toml from {config.parent}: run from two places, a device is a fork",
        f"next: press its reset button, and: outstation device logs --port {place}",
    )
    return "\n".join(said), place


def _provision_emulated(config: Path, flash_file: Path | None, replace: bool, dry_run: bool) -> None:
    from tools.device import read_device
    from tools.image.flashfile import make_flash

    read_device(config)
    if flash_file is None:
        fix = "name the file to make: --flash-file FILE"
        raise DiagnosticError(
            Diagnostic("usage-missing", "an emulated board's flash is a file", fix=fix), USAGE
        )
    if flash_file.exists() and not replace:
        fix = "name another file, or add --replace if the device in it is to be no more"
        said = "there is a flash file already, and keys are never written over"
        raise DiagnosticError(Diagnostic("board-refused", said, str(flash_file), fix=fix), USAGE)
    if not dry_run:
        make_flash(config, flash_file)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True)


class _Progress:
    """A bar of so many steps on a terminal, and nothing elsewhere; each line that the board says is one."""

    def __init__(self, steps: int):
        self._bar = _bar()
        self._task = self._bar.add_task("keys and settings", total=steps)

    def __enter__(self) -> Callable[[str], None]:
        self._bar.start()
        return self._step

    def _step(self, line: str) -> None:
        if line.startswith("setup "):
            self._bar.advance(self._task)

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()


@click.command("logs")
@_PORT_OPTION
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after so long; at Ctrl-C if left out.")
@_JSON
def logs(port: str | None, seconds: float | None, as_json: bool) -> None:
    """Show what a board says on its console, each line with its time, until Ctrl-C.

    With --json all of it at the end.
    """
    from tools.board.console import Console
    from tools.board.find import find_port

    place = find_port(None, port)
    heard = []
    with Console(place) as console:
        try:
            for line in console.lines(seconds):
                moment = datetime.now().astimezone()
                if as_json:
                    heard.append({"time": moment.isoformat(timespec="milliseconds"), "line": line})
                else:
                    click.echo(f"{moment:%H:%M:%S.%f}"[:12] + f" {line}")
        except KeyboardInterrupt:
            # The usual end.
            pass
    if as_json:
        emit("outstation.device-logs", 1, {"port": place, "lines": heard})


@click.command("diagnose")
@_PORT_OPTION
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="How long to listen to a board that runs.",
)
@_JSON
def diagnose(port: str | None, seconds: float, as_json: bool) -> int:
    """Say what a board is and how it is, from its console.

    One that waits at a prompt is asked. One that runs is listened to: press its reset button, its boot says most.
    Nothing that runs is interrupted. Exit code 1 where a person should look at something.
    """
    from tools.board.console import Console
    from tools.board.diagnose import QUESTION, Report
    from tools.board.find import find_port

    place = find_port(None, port)
    report = Report()
    with Console(place) as console:
        started = time.monotonic()
        answer = console.ask(QUESTION, min(_PROMPT_SECONDS, seconds))
        report.prompt = answer is not None
        left = max(0.0, seconds - (time.monotonic() - started))
        for line in console.lines(left) if answer is None else answer:
            report.hear(line)
    if not report.lines_heard:
        fix = "press its reset button while this listens, or give it longer: --seconds 60"
        raise DiagnosticError(
            Diagnostic("board-silent", f"nothing was heard at {place}", fix=fix), UNREACHABLE
        )
    if as_json:
        emit("outstation.device-diagnose", 1, {"port": place, **report.as_json()})
    else:
        width = max(len(name) for name, _ in report.rows())
        click.echo("\n".join(f"{name:{width}}  {value}" for name, value in report.rows()))
        for finding in report.findings():
            click.echo(f"look at: {finding}")
    return FINDING if report.findings() else OK


@click.command("journal")
@click.argument("flash", type=click.Path(path_type=Path), required=False)
@_PORT_OPTION
@click.option("--out", type=_FILE, help="Keep what a board holds as an image in this file.")
@_DRY_RUN
@_JSON
def journal(flash: Path | None, port: str | None, out: Path | None, dry_run: bool, as_json: bool) -> int:
    """Show the journal of a flash image, or of a connected board.

    Heads, lanes, tombstones. FLASH is a device's flash.bin or an emulated board's flash file; without it a board is read that waits
    at its prompt: its ring alone, sealed as it is, no key. Needs no keys of the office; exit code 1 where a chain is broken.
    """
    from tools.flashimage import parse_image, read_image

    if flash is not None:
        if port is not None or out is not None:
            fix = "leave out FLASH to read a board, or --port and --out to read a file"
            raise DiagnosticError(
                Diagnostic("usage-wrong", "a journal is read from a file or from a board", fix=fix), USAGE
            )
        place, image = str(flash), read_image(flash)
    elif dry_run:
        return _say_journal_programs()
    else:
        place, content = _read_board_journal(port, out)
        image = parse_image(content, place)
    if as_json:
        emit("outstation.device-journal", 1, image.as_json())
    else:
        click.echo("\n".join(image.lines()))
    return FINDING if image.faults else OK


def _say_journal_programs() -> int:
    from tools.board.journal import read_programs

    click.echo("for each sector of the ring, at the board's prompt:")
    click.echo("\n".join(f"  {line}" for line in read_programs(1)[0].strip().splitlines()))
    return OK


def _read_board_journal(port: str | None, out: Path | None) -> tuple[str, bytes]:
    """Return the port of a board and the image of its journal, kept in out too. Raises DiagnosticError."""
    from tools.board.console import Console
    from tools.board.find import find_port
    from tools.board.journal import read_journal

    if out is not None and out.exists():
        fix = "name another file"
        raise DiagnosticError(
            Diagnostic("file-unusable", "there is a file already", str(out), fix=fix), USAGE
        )
    place = find_port(None, port)
    with _bar() as bar, Console(place) as console:

        def begin(sectors: int) -> Callable[[], None]:
            task = bar.add_task("sectors", total=sectors)
            return lambda: bar.advance(task)

        held = read_journal(console, place, begin)
    if out is not None:
        out.touch(0o600)
        out.write_bytes(held.image)
    return place, held.image


COMMANDS = (build, flash, provision, logs, diagnose, journal)
