"""Claims for boards without keys: `outstation provision claims`. One file for each board, and sheets of labels.

A claim is what a board has instead of keys until a person admits it: an identity, which is on its label, and a one-time secret, which is
nowhere but in the file, on the board, and in the office's keystore.

Source: SPEC.md section 15.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec
from msgspec import Meta

from gateway.options import JSON, port
from office_ingest.permissions import PROVISION_DEVICES, needs
from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from protocol.report import emit
from tools.board.table import SILICON
from tools.labels import Label, label_text, write_sheets
from tools.provision_options import FOLDER, OFFICE

_UNIX = "unix"
_COUNT_MAX = 1000


@click.command("claims")
@needs(PROVISION_DEVICES, office="office_config")
@OFFICE
@click.option(
    "--count", type=click.IntRange(1, _COUNT_MAX), default=1, show_default=True, help="How many boards."
)
@click.option(
    "--hardware",
    type=click.Choice([_UNIX, *SILICON]),
    default=_UNIX,
    show_default=True,
    help="What they are.",
)
@click.option("--host", default="", help="The gateway's address; left out, each board looks for one.")
@port("Its UDP port.")
@click.option(
    "--sectors", type=click.IntRange(4, 65536), default=32, show_default=True, help="Of the journal."
)
@click.option(
    "--board",
    "board_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A board.toml: network and sensors of these boards. A board of silicon needs one.",
)
@JSON
@click.argument("folder", type=FOLDER)
def claims_command(
    office_config: Path,
    count: int,
    hardware: str,
    host: str,
    port: int,
    sectors: int,
    board_file: Path | None,
    as_json: bool,
    folder: Path,
) -> None:
    """Make claims for boards that are to announce themselves: one folder each below FOLDER, and sheets of labels.

    A folder is named by the identity on the label and holds claim.json, which goes onto that board alone. It is a secret until the board was
    admitted.
    """
    from office_ingest.govern.admissions import Admissions
    from office_ingest.govern.opening import now_ms
    from tools.provision import opened, write_secret

    kept = _board_items(board_file, hardware, sectors)
    made = []
    with opened(office_config) as office:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        admissions = Admissions(office.store, office.keystore)
        for _ in range(count):
            board, secret = admissions.make_claim(hardware, now_ms())
            place = folder / board.hex()
            place.mkdir(mode=0o700)
            items = claim_items(board, secret, hardware, host=host, port=port, sectors=sectors)
            write_secret(place / "claim.json", json.dumps({**items, **kept}, indent=1).encode())
            made.append(board)
    write_sheets([Label(board, hardware, "") for board in made], folder)
    if as_json:
        emit("outstation.provision-claims", 1, {"boards": [board.hex() for board in made]})
        return
    for board in made:
        click.echo(f"{board.hex()}  {label_text(board)}")
    click.echo(f"{count} claims are in {folder}; each goes onto its own board")


class Claim(msgspec.Struct, frozen=True):
    """Identity and one-time secret of a board."""

    board: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    secret: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]


class Gateway(msgspec.Struct, frozen=True):
    """Where a gateway is asked first; host empty: one is looked for."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65535)]


class ClaimFile(msgspec.Struct, frozen=True):
    """What a board cannot do without of its claim.json; it may have more."""

    claim: Claim
    hardware: str
    flash_sectors: Annotated[int, Meta(ge=4, le=65536)]
    link: Gateway


def check_claim(path: Path) -> None:
    """Raise DiagnosticError (exit 2) for a claim.json that is none."""
    try:
        msgspec.json.decode(path.read_bytes(), type=ClaimFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        fix = "copy the file anew from where outstation provision claims wrote it"
        found = Diagnostic("device-claim", f"this is no claim of a board: {error}", str(path), fix=fix)
        raise DiagnosticError(found, USAGE) from None


def claim_items(
    board: bytes, secret: bytes, hardware: str, *, host: str, port: int, sectors: int
) -> dict[str, Any]:
    """Return the items of a claim.json: the claim, and what the board is itself."""
    return {
        "claim": {"board": board.hex(), "secret": secret.hex()},
        "hardware": hardware,
        "flash_sectors": sectors,
        "link": {"host": host, "port": port},
    }


def _board_items(path: Path | None, hardware: str, sectors: int) -> dict[str, Any]:
    """Return what a claim.json has beyond the claim. Raises DiagnosticError: once a claim is on its board, nobody tells it more."""
    from tools.board.settings import claimed_items

    if hardware == _UNIX:
        if path is not None:
            fix = "name the board with --hardware, or leave --board out"
            found = Diagnostic(
                "board-settings", "a process of this machine has no board.toml", str(path), fix=fix
            )
            raise DiagnosticError(found, USAGE)
        return {}
    board = SILICON[hardware]
    if path is None:
        fix = "write a board.toml and name it: --board board.toml"
        found = Diagnostic(
            "board-settings", f"a {board.title} has to know its network, or another link", fix=fix
        )
        raise DiagnosticError(found, USAGE)
    return {"board": claimed_items(path, board, sectors)}
