"""The commands `outstation release ...`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from office_ingest.govern.opening import device_called, key_told, now_ms, open_shelf, open_store
from office_ingest.govern.rollout_cli import halt, roll_out, status
from office_ingest.govern.roots_cli import root
from office_ingest.options import ALONE, FILE, KEY, NUMBER, RELEASED_BY, SETTINGS_AND_JSON, TARGET
from office_ingest.permissions import (
    BUILD_RELEASES,
    MAKE_KEYS,
    READ_RELEASES,
    ROLL_OUT_RELEASES,
    SIGN_RELEASES,
    needs,
)
from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from protocol.report import emit

if TYPE_CHECKING:
    from office_ingest.govern.agent import AgentFiles
    from office_ingest.govern.shelf import Shelf, Shelved


@click.group()
def release() -> None:
    """Build, sign, roll out and watch releases."""


@release.command("init-key")
@needs(MAKE_KEYS)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@SETTINGS_AND_JSON
def init_key(folder: Path, config: Path, as_json: bool) -> None:
    """Make a signing key in the new FOLDER and its successor in FOLDER/successor; tell the office of the key.

    Move the successor to another medium. Never back up or copy either: a restored key is worth nothing and dangerous.
    """
    from office_ingest.govern.signer import make_key

    with open_shelf(config) as shelf:
        made_ms = now_ms()
        try:
            public, successor, envelope = make_key(folder, now_ms=made_ms)
        except FileExistsError:
            raise _in_the_way(folder) from None
        shelf.add_root(public, envelope, made_ms)
    _say_key(folder, public, successor, as_json)


@release.command()
@needs(MAKE_KEYS)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@ALONE
@SETTINGS_AND_JSON
def succeed(folder: Path, alone: bool, config: Path, as_json: bool) -> None:
    """Go on with the successor in FOLDER: make its own successor and tell the office of it.

    A key that the office knows must have named it when it was made.
    """
    from office_ingest.govern.release import ReleaseRefused, check_follows
    from office_ingest.govern.shelf import Shelf
    from office_ingest.govern.signer import OpenSigner, make_successor
    from office_ingest.govern.witness import require_witness

    with open_store(config) as store, key_told():
        shelf = Shelf(store)
        with OpenSigner(folder) as signer:
            public, known = signer.public, signer.key_id
        try:
            check_follows(shelf, public)
            require_witness(store, now_ms(), alone=alone)
            successor, envelope = make_successor(folder, now_ms=now_ms(), published=shelf.published(known))
        except ReleaseRefused as error:
            raise _refused(error) from None
        except FileExistsError:
            raise _in_the_way(folder / "successor") from None
        shelf.add_root(public, envelope, now_ms())
    _say_key(folder, public, successor, as_json)
    if not as_json:
        click.echo(
            "then: outstation release root replace OLD; no device takes what it alone signs before that"
        )


@release.command()
@needs(MAKE_KEYS)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--margin",
    type=click.IntRange(0, 1023),
    default=32,
    show_default=True,
    help="How many more, for signatures that were made and reached no gateway.",
)
@ALONE
@SETTINGS_AND_JSON
def skip(folder: Path, margin: int, alone: bool, config: Path, as_json: bool) -> None:
    """Let the key in FOLDER, which was put back, sign on above every leaf that was seen.

    Only where no other copy of the folder will ever sign; else destroy it and go on with its successor.
    """
    from office_ingest.govern.release import ReleaseRefused
    from office_ingest.govern.shelf import Shelf
    from office_ingest.govern.signer import OpenSigner
    from office_ingest.govern.witness import require_witness

    with open_store(config) as store, key_told(), OpenSigner(folder) as signer:
        require_witness(store, now_ms(), alone=alone)
        published = Shelf(store).published(signer.key_id)
        try:
            leaf = signer.skip(published, margin)
            if leaf != published + 1 + margin:
                raise ReleaseRefused(
                    f"key {signer.key_id.hex()} would use leaf {leaf}, above all that was seen: sign with it"
                )
        except ReleaseRefused as error:
            raise _refused(error) from None
        remaining = signer.remaining()
    if as_json:
        emit(
            "outstation.release-key-skipped",
            1,
            {"key": str(folder), "leaf": leaf, "signatures_left": remaining},
        )
        return
    click.echo(f"{folder} goes on with leaf {leaf}; {remaining} signatures are left")


@release.command()
@needs(BUILD_RELEASES)
@click.option("--rules", type=FILE, required=True, help="The compiled bundle.")
@click.option("--source", type=FILE, help="What a person wrote; its digest is kept. The bundle if left out.")
@RELEASED_BY
@TARGET
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=30,
    show_default=True,
    help="How long it may be adopted.",
)
@click.option(
    "--number", type=click.IntRange(1, 0xFFFFFFFF), help="The release's number; the next if left out."
)
@click.option(
    "--agent",
    type=FILE,
    help="The agent that it brings: outstation device build-agent. The one before if left out.",
)
@click.option(
    "--image-agent", is_flag=True, help="Go back to the agent that the devices' image was made with."
)
@click.option(
    "--reset", type=(click.IntRange(0, 0xFFFFFFFF),) * 2, help="Lowest and highest floor that it resets."
)
@SETTINGS_AND_JSON
def build(config: Path, as_json: bool, **asked: Any) -> None:
    """Build a release that nobody has signed yet, and say how many signatures it needs."""
    from office_ingest.govern.release import ReleaseRefused, Request, build_release

    with open_shelf(config) as shelf:
        rules = asked["rules"].read_bytes()
        request = Request(
            target=_target(shelf, asked),
            hardware=list(asked["hardware"]),
            rules=rules,
            source=asked["source"].read_bytes() if asked["source"] else rules,
            author=asked["author"],
            days=asked["days"],
            reset=asked["reset"],
            number=asked["number"],
            agent=_agent(asked["agent"], asked["image_agent"]),
            keeps_agent=not asked["image_agent"],
        )
        try:
            built = build_release(shelf, request, now_ms())
        except ReleaseRefused as error:
            raise _refused(error) from None
    _show(built, as_json, next_step=f"outstation release sign {built.number} --key FOLDER")


@release.command()
@needs(SIGN_RELEASES)
@NUMBER
@KEY
@ALONE
@SETTINGS_AND_JSON
def sign(number: int, key: Path, alone: bool, config: Path, as_json: bool) -> None:
    """Sign release NUMBER with one leaf of a key. A release that widens what may be done needs two keys."""
    from office_ingest.govern.release import ReleaseRefused, sign_release
    from office_ingest.govern.shelf import Shelf
    from office_ingest.govern.signer import OpenSigner
    from office_ingest.govern.witness import require_witness

    with open_store(config) as store, key_told(), OpenSigner(key) as signer:
        require_witness(store, now_ms(), alone=alone)
        try:
            signed = sign_release(Shelf(store), number, signer, now_ms())
        except ReleaseRefused as error:
            raise _refused(error) from None
        remaining = signer.remaining()
    missing = signed.signers_needed - len(signed.signatures)
    hint = (
        f"another key must sign it too: outstation release sign {number} --key FOLDER" if missing > 0 else ""
    )
    hint = hint or f"outstation release roll-out {number}"
    _show(signed, as_json, next_step=hint, remaining=remaining)


@release.command()
@needs(BUILD_RELEASES, SIGN_RELEASES, ROLL_OUT_RELEASES)
@click.argument("policy", type=FILE)
@KEY
@ALONE
@RELEASED_BY
@TARGET
@SETTINGS_AND_JSON
def publish(
    policy: Path, key: Path, alone: bool, author: str, config: Path, as_json: bool, **asked: Any
) -> None:
    """Test, compile, build, sign and roll out a POLICY in one step.

    Nothing is rolled out if a test fails. A policy that widens what may be done waits for a second signature.
    """
    from office_ingest.govern.publish import publish as publish_policy
    from office_ingest.govern.release import ReleaseRefused
    from office_ingest.govern.shelf import Shelf
    from office_ingest.govern.witness import require_witness

    with open_store(config) as store, key_told():
        require_witness(store, now_ms(), alone=alone)
        target = _target(Shelf(store), asked)
        try:
            made = publish_policy(
                store,
                policy,
                key,
                target=target,
                hardware=list(asked["hardware"]),
                author=author,
                now_ms=now_ms,
            )
        except ReleaseRefused as error:
            raise _refused(error) from None
    number = made.release.number
    if not as_json:
        click.echo(f"{policy}: {made.tests} tests hold")
    hint = (
        f"outstation release status {number}"
        if made.is_rolled_out
        else f"it widens what may be done, so another key must sign it: outstation release sign {number} --key"
        f" FOLDER, then outstation release roll-out {number}"
    )
    _show(made.release, as_json, next_step=hint)


@release.command()
@needs(BUILD_RELEASES)
@NUMBER
@click.option("--author", required=True, help="Who takes it back.")
@SETTINGS_AND_JSON
def revert(number: int, author: str, config: Path, as_json: bool) -> None:
    """Build a new release with the rules of release NUMBER, for the devices that NUMBER was for.

    Devices never go back to a lower number: a step back is a new release with the old rules. Sign and roll it out like any other.
    """
    from office_ingest.govern.release import ReleaseRefused, revert_release

    with open_shelf(config) as shelf:
        try:
            built = revert_release(shelf, number, author, now_ms())
        except ReleaseRefused as error:
            raise _refused(error) from None
    _show(built, as_json, next_step=f"outstation release sign {built.number} --key FOLDER")


@release.command("list")
@needs(READ_RELEASES)
@SETTINGS_AND_JSON
def list_releases(config: Path, as_json: bool) -> None:
    """Show every release, the newest first."""
    with open_shelf(config) as shelf:
        held = shelf.all()
    if as_json:
        emit("outstation.release-list", 1, {"releases": [_as_json(one) for one in held]})
        return
    for one in held:
        click.echo(f"{one.number:6}  {one.state:11}  {_target_words(one):24}  {one.manifest.provenance[0]}")
    if not held:
        click.echo("no release yet; next: outstation release build")


@release.command()
@needs(READ_RELEASES)
@NUMBER
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write what devices get to a file."
)
@SETTINGS_AND_JSON
def show(number: int, out: Path | None, config: Path, as_json: bool) -> None:
    """Show release NUMBER: for whom, what is in it, who signed."""
    with open_shelf(config) as shelf:
        held = shelf.get(number)
    if held is None:
        raise DiagnosticError(
            [
                Diagnostic(
                    "release-refused", f"there is no release {number}", fix="see outstation release list"
                )
            ]
        )
    if out is not None:
        out.write_bytes(held.release())
    _show(held, as_json)


def _in_the_way(folder: Path) -> DiagnosticError:
    fix = "a key is only made in a new folder"
    return DiagnosticError(
        [Diagnostic("release-key-exists", "this folder is there already", str(folder), fix=fix)]
    )


def _say_key(folder: Path, public: bytes, successor: bytes, as_json: bool) -> None:
    if as_json:
        emit("outstation.release-key", 1, {"key": str(folder), "public": public, "successor": successor})
        return
    click.echo(f"{folder} signs releases; public key {public.hex()}")
    click.echo(f"next: move {folder / 'successor'} to another medium; never back up either of them")


def _refused(error: Exception) -> DiagnosticError:
    return DiagnosticError(
        [Diagnostic("release-refused", str(error), fix="change what the message names; nothing was signed")]
    )


def _target(shelf: "Shelf", asked: dict[str, Any]) -> tuple[int, list[bytes] | str]:
    from protocol.manifest import COHORT, DEVICES, KIND

    chosen = [name for name in ("devices", "cohort", "kind") if asked[name]]
    if len(chosen) != 1:
        raise click.UsageError("name the devices, or a cohort, or a kind")
    if asked["cohort"]:
        return COHORT, asked["cohort"]
    if asked["kind"]:
        return KIND, asked["kind"]
    return DEVICES, [device_called(shelf, name) for name in asked["devices"]]


def _show(held: "Shelved", as_json: bool, *, next_step: str = "", remaining: int | None = None) -> None:
    if as_json:
        left = {} if remaining is None else {"signatures_left": remaining}
        emit("outstation.release", 1, {**_as_json(held), **left})
        return
    m = held.manifest
    click.echo(
        f"release {held.number}: {held.state}, {len(held.signatures)} of {held.signers_needed} signatures"
    )
    click.echo(
        f"  for       {_target_words(held)}; hardware {', '.join(m.hardware)}; schema {m.schema.hex()}"
    )
    click.echo(f"  valid     {_date(m.validity[0])} to {_date(m.validity[1])}")
    click.echo(
        f"  from      {m.provenance[0]}, {_date(m.provenance[1])}, source {m.provenance[2].hex()[:16]}"
    )
    click.echo(f"  manifest  {held.digest.hex()}")
    for part in _as_json(held)["parts"]:
        click.echo(f"  {part['kind']:9} {part['digest']}, {part['bytes']} bytes")
    for reason in held.widens:
        click.echo(f"  widens    {reason}")
    for signature in held.signatures:
        click.echo(f"  signed by {signature.root.hex()}, leaf {signature.leaf}, {_date(signature.signed_ms)}")
    if remaining is not None:
        click.echo(f"  this key has {remaining} signatures left")
    if next_step:
        click.echo(f"next: {next_step}")


def _agent(path: Path | None, is_image: bool) -> "AgentFiles | None":
    from office_ingest.govern.agent import ARCHIVE_BYTES_MAX, parse_agent
    from protocol.errors import ProtocolError

    if path is None:
        return None
    if is_image:
        raise click.UsageError("--agent and --image-agent exclude each other")
    try:
        with path.open("rb") as file:
            return parse_agent(file.read(ARCHIVE_BYTES_MAX + 1))
    except ProtocolError as error:
        found = Diagnostic(
            "agent-archive",
            f"this is no archive of an agent: {error.text}",
            str(path),
            fix="write it anew: outstation device build-agent FOLDER --out FILE",
        )
        raise DiagnosticError(found, USAGE) from None


def _as_json(held: "Shelved") -> dict[str, Any]:
    from protocol.manifest import DEVICES, PART_NAMES

    m = held.manifest
    kind, named = m.target
    target = [device.hex() for device in named] if kind == DEVICES else named
    return {
        "number": held.number,
        "state": held.state,
        "digest": held.digest.hex(),
        "target": {("devices", "cohort", "kind")[kind]: target},
        "hardware": m.hardware,
        "for_schema": m.schema.hex(),
        "valid_from_ms": m.validity[0],
        "valid_until_ms": m.validity[1],
        "author": m.provenance[0],
        "made_ms": m.provenance[1],
        "source": m.provenance[2].hex(),
        "reset": m.reset,
        "parts": [
            {"kind": PART_NAMES[k], "digest": digest.hex(), "bytes": size} for k, digest, size in m.parts
        ],
        "widens": held.widens,
        "signers_needed": held.signers_needed,
        "signatures": [
            {"root": one.root.hex(), "leaf": one.leaf, "signed_ms": one.signed_ms} for one in held.signatures
        ],
    }


def _target_words(held: "Shelved") -> str:
    ((what, named),) = _as_json(held)["target"].items()
    return f"{what} {', '.join(named) if isinstance(named, list) else named}"


def _date(wall_ms: int) -> str:
    return datetime.fromtimestamp(wall_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


release.add_command(roll_out)
release.add_command(halt)
release.add_command(status)
release.add_command(root)
