"""Provisions the devices of a CSV: all of a row or nothing of it, and where it was cut off the next run goes on.

A row is made in a draft folder beside its place. What decides is the office's register: a draft whose device is registered is finished, any
other is undone, its keys taken back, and made anew. So a kill at any moment leaves no half device.
"""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from protocol.diagnostic import Diagnostic, DiagnosticError
from tools.board.table import NAMES as BOARDS
from tools.device import read_device
from tools.provision import (
    BEGUN,
    UNIX,
    DevicePlan,
    Office,
    finish_device,
    name_mistakes,
    provision_device,
    recording_mistakes,
)

REQUIRED = ("name", "site")
OPTIONAL = ("kind", "cohort", "hardware", "host", "port", "sectors", "recording")
ROWS_MAX = 10_000
_SECTORS = (4, 65536)
_PORTS = (1, 65535)
_IDENTITY_DIGITS = 16
_PATH_CHARACTERS = set("/\\\0")


class Row(NamedTuple):
    """One row: its line in the file, counted from 1, and what is to be made."""

    line: int
    plan: DevicePlan


class Made(NamedTuple):
    """One device of a batch. is_new: this run made it."""

    name: str
    device: bytes
    is_new: bool


def read_rows(path: Path, defaults: DevicePlan) -> list[Row]:
    """Return the rows of a CSV with a head line. defaults: what a cell that is empty or not there means.

    Raises DiagnosticError with every mistake of the file, each with its line.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DiagnosticError(
            Diagnostic("file-unusable", f"the list cannot be read: {error}", str(path))
        ) from None
    reader = csv.DictReader(lines, restkey="", restval="")
    head = reader.fieldnames or []
    found = _head_mistakes(path, list(head), lines)
    rows: list[Row] = []
    if not found:
        for cells in reader:
            line = reader.line_num
            plan, wrong = _plan(
                {key: (value or "").strip() for key, value in cells.items() if isinstance(value, str)},
                defaults,
                path.parent,
            )
            if "" in cells:
                wrong.append(Diagnostic("provision-list", "the row has more cells than the head"))
            wrong += [_twice(plan.name, row.line) for row in rows if row.plan.name == plan.name]
            found += [_placed(one, path, line, lines) for one in wrong]
            rows.append(Row(line, plan))
    if not found and not 0 < len(rows) <= ROWS_MAX:
        message = f"the list has {len(rows)} rows; 1 to {ROWS_MAX} can be provisioned at once"
        found.append(Diagnostic("provision-list", message, str(path)))
    if found:
        raise DiagnosticError(found)
    return rows


def _head_mistakes(path: Path, head: list[str], lines: list[str]) -> list[Diagnostic]:
    known = (*REQUIRED, *OPTIONAL)
    wrong = [f"there is no column {name}" for name in REQUIRED if name not in head]
    wrong += [f"no column is called {name!r}" for name in head if name not in known]
    wrong += [
        f"the column {name} is there twice"
        for name in sorted({name for name in head if head.count(name) > 1})
    ]
    fix = f"the first line names the columns: {', '.join(REQUIRED)}, and any of {', '.join(OPTIONAL)}"
    return [_placed(Diagnostic("provision-list", words, fix=fix), path, 1, lines) for words in wrong]


def _plan(cells: dict[str, str], defaults: DevicePlan, folder: Path) -> tuple[DevicePlan, list[Diagnostic]]:
    wrong: list[Diagnostic] = []

    def number(name: str, otherwise: int, bounds: tuple[int, int]) -> int:
        text = cells.get(name, "")
        if not text:
            return otherwise
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1
        if not bounds[0] <= value <= bounds[1]:
            wrong.append(
                Diagnostic(
                    "provision-list", f"{name} is {text!r}, not a number from {bounds[0]} to {bounds[1]}"
                )
            )
        return value

    own = folder / cells["recording"] if cells.get("recording") else None
    recording = own or defaults.recording
    plan = DevicePlan(
        cells["name"],
        cells["site"],
        cells.get("host") or defaults.host,
        number("port", defaults.port, _PORTS),
        number("sectors", defaults.journal_sectors, _SECTORS),
        recording,
        0 if own else defaults.recording_offset,
        kind=cells.get("kind") or defaults.kind,
        cohort=cells.get("cohort") or defaults.cohort,
        hardware=cells.get("hardware") or defaults.hardware,
        more=() if own else defaults.more,
    )
    named = {"cohort": plan.cohort} if plan.cohort else {}
    wrong += name_mistakes(device=plan.name, site=plan.site, kind=plan.kind, **named)
    if set(plan.name) & _PATH_CHARACTERS or plan.name.startswith("."):
        wrong.append(
            Diagnostic(
                "provision-name", f"the device cannot be called {plan.name!r}: its folder has its name"
            )
        )
    if plan.hardware not in (UNIX, *BOARDS):
        fix = f"take one of {', '.join((UNIX, *BOARDS))}"
        wrong.append(Diagnostic("provision-list", f"there is no hardware {plan.hardware!r}", fix=fix))
    if recording is not None and not recording.is_file():
        wrong.append(Diagnostic("file-unusable", f"the recording {recording} is not there"))
    elif recording is not None:
        wrong += recording_mistakes(recording)
    return plan, wrong


def _placed(said: Diagnostic, path: Path, line: int, lines: list[str]) -> Diagnostic:
    excerpt = lines[line - 1] if 0 < line <= len(lines) else ""
    return Diagnostic(said.code, said.message, str(path), line, 1, excerpt, len(excerpt) or 1, said.fix)


def _twice(name: str, line: int) -> Diagnostic:
    return Diagnostic("provision-name-taken", f"the device {name} is in line {line} already")


def provision_rows(
    office: Office,
    gateway: Path | None,
    folder: Path,
    rows: list[Row],
    told: Callable[[Made], None],
    path: Path,
) -> list[Made]:
    """Make each row's device in a folder of its name; what an earlier run made is passed over. told: after each.

    Raises DiagnosticError, before anything is written, where a name is another device's; with the line where a row cannot be made.
    """
    taken = [
        Diagnostic(
            "provision-name-taken",
            f"the office knows a device called {row.plan.name} already, and its folder is not here",
            str(path),
            row.line,
        )
        for row in rows
        if office.registry.has_device_called(row.plan.name)
        and not (folder / row.plan.name).exists()
        and not _draft(folder / row.plan.name).exists()
    ]
    if taken:
        raise DiagnosticError(taken)
    made = []
    for row in rows:
        try:
            one = provision_whole(office, gateway, folder / row.plan.name, row.plan)
        except DiagnosticError as error:
            placed = [
                Diagnostic(d.code, d.message, d.file or str(path), row.line, fix=d.fix)
                for d in error.diagnostics
            ]
            raise DiagnosticError(placed, error.exit_code) from None
        told(one)
        made.append(one)
    return made


def provision_whole(office: Office, gateway: Path | None, folder: Path, plan: DevicePlan) -> Made:
    """Make one device, all of it or nothing; finish or undo what a cut left. Raises DiagnosticError."""
    draft = _draft(folder)
    if folder.exists():
        return Made(plan.name, bytes.fromhex(read_device(folder / "device.toml")["device"]), False)
    if draft.exists():
        device = _left_by_a_cut(office, gateway, draft, plan.name)
        if device is not None:
            draft.rename(folder)
            return Made(plan.name, device, True)
    device = provision_device(office, gateway, draft, plan)
    draft.rename(folder)
    return Made(plan.name, device, True)


def _left_by_a_cut(office: Office, gateway: Path | None, draft: Path, name: str) -> bytes | None:
    """Finish a draft whose device is registered and return its identity; undo any other and return None."""
    begun = draft / BEGUN
    text = begun.read_text() if begun.is_file() else ""
    device = bytes.fromhex(text) if len(text) == _IDENTITY_DIGITS else b""
    if not begun.is_file() and (draft / "device.toml").is_file():
        # All was done but the name.
        return bytes.fromhex(read_device(draft / "device.toml")["device"])
    if device and office.store.has_device(device):
        finish_device(gateway, draft, device, name)
        return device
    if device:
        office.keystore.forget(device)
    shutil.rmtree(draft)
    return None


def _draft(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.part")
