"""The commands `outstation release root ...`: which keys devices take releases of, and how one is replaced."""

from pathlib import Path
from typing import Any

import click

from office_ingest.govern.opening import key_told, now_ms, open_keystore, open_store, user_name
from office_ingest.options import ALONE, SETTINGS_AND_JSON, said_by
from office_ingest.permissions import READ_RELEASES, REPLACE_ROOTS, needs
from protocol.diagnostic import FINDING, OK, Diagnostic, DiagnosticError
from protocol.report import emit

_SHOWN_MAX = 20


@click.group()
def root() -> None:
    """Show the roots that sign releases, replace one on every device, retire it."""


@root.command("list")
@needs(READ_RELEASES)
@SETTINGS_AND_JSON
def list_roots(config: Path, as_json: bool) -> None:
    """Show every root, what stands in its place, and which devices may still need it."""
    with open_store(config) as store:
        rows = _rows(store)
    if as_json:
        emit("outstation.release-root-list", 1, {"roots": rows})
        return
    for row in rows:
        by = f" by {row['replaced_by']}" if row["replaced_by"] else ""
        click.echo(
            f"{row['id']}  {row['state']}{by}; {row['devices']} of {row['devices_all']} devices may need it"
        )
        for one in row["needed_by"][:_SHOWN_MAX]:
            click.echo(f"  {one['name']:24} {one['state']}: {one['words']}")
    if not rows:
        click.echo("no root yet; next: outstation release init-key FOLDER")


def _rows(store: Any) -> list[dict[str, Any]]:
    from office_ingest.govern.roots import holders
    from office_ingest.govern.shelf import Shelf
    from protocol.envelope import key_id

    shelf = Shelf(store)
    by = {one.replaced: key_id(one.public).hex() for one in shelf.replacements()}
    retired = shelf.retired()
    rows = []
    for known in shelf.roots():
        found = holders(store, known.key_id, now_ms())
        needed = [one for one in found if one.needs]
        state = "retired" if known.key_id in retired else "replaced" if known.key_id in by else "in force"
        rows.append(
            {
                "id": known.key_id.hex(),
                "state": state,
                "replaced_by": by.get(known.key_id),
                "added_ms": known.added_ms,
                "devices": len(needed),
                "devices_all": len(found),
                # Of a root in force every device is one; they are named once it is about to go.
                "needed_by": [
                    {"device": one.device.hex(), "name": one.name, "state": one.state, "words": one.words}
                    for one in needed
                    if known.key_id in by
                ],
            }
        )
    return rows


@root.command()
@needs(REPLACE_ROOTS)
@click.argument("old")
@click.option(
    "--by",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of another root that signs, where OLD and its successor are lost.",
)
@click.option(
    "--new", help="With --by: the root that is to stand in the place of OLD, as release root list shows it."
)
@click.option(
    "--for", "lasts", default="30d", show_default=True, help="How long devices may take it: 2h, 30d."
)
@ALONE
@said_by("Who replaces it")
@SETTINGS_AND_JSON
def replace(
    old: str,
    by: Path | None,
    new: str | None,
    lasts: str,
    alone: bool,
    author: str | None,
    config: Path,
    as_json: bool,
) -> int:
    """Let another root stand in the place of OLD on every device: its successor, or with --by what another root signs.

    OLD is an identifier that release root list shows. Give it again for devices that came later or were too late.
    """
    from office_ingest.errors import in_words
    from office_ingest.govern.command_cli import lasts_milliseconds
    from office_ingest.govern.release import ReleaseRefused
    from office_ingest.govern.roots import replace_root, root_called
    from office_ingest.govern.shelf import Shelf

    if (by is None) != (new is None):
        fix = "name the folder of the root that signs and the root that comes, or neither"
        raise DiagnosticError(Diagnostic("usage-wrong", "--by and --new belong together", fix=fix))
    lasts_ms = lasts_milliseconds(lasts)
    with open_store(config) as store, open_keystore(config) as keystore, in_words(), key_told():
        try:
            known = root_called(Shelf(store), old)
            body = _body(store, known, by, new, alone=alone)
            done = replace_root(
                store, keystore, known, body, author=author or user_name(), now_ms=now_ms(), lasts_ms=lasts_ms
            )
        except ReleaseRefused as error:
            raise _refused(error) from None
    return _say_replaced(known, done, as_json)


def _body(store: Any, old: Any, by: Path | None, new: str | None, *, alone: bool) -> bytes:
    from office_ingest.govern.roots import make_replacement, root_called, successor_body
    from office_ingest.govern.shelf import Shelf
    from office_ingest.govern.signer import OpenSigner
    from office_ingest.govern.witness import require_witness

    shelf = Shelf(store)
    if by is None or new is None:
        return successor_body(old)
    coming = root_called(shelf, new)
    for one in shelf.replacements():
        if (one.replaced, one.public) == (old.key_id, coming.public):
            # Given again: no second signature for the same.
            body: bytes = one.body
            return body
    require_witness(store, now_ms(), alone=alone)
    with OpenSigner(by) as signer:
        return make_replacement(shelf, signer, old, coming, now_ms())


def _say_replaced(old: Any, done: Any, as_json: bool) -> int:
    from protocol.envelope import key_id

    new = key_id(done.replacement.public).hex()
    if as_json:
        said = {"replaced": old.key_id.hex(), "by": new, "given": done.given, "had": done.had}
        not_given = [{"name": name, "why": why} for name, why in done.not_given]
        emit("outstation.release-root-replaced", 1, {**said, "not_given": not_given})
    else:
        click.echo(
            f"root {new} is to stand in the place of {old.key_id.hex()}: {len(done.given)} devices were ordered so"
        )
        for name, why in done.not_given:
            click.echo(f"  not {name}: {why}")
        click.echo(
            "next: sign releases with both until outstation release root list names no device any more"
        )
    return FINDING if done.not_given else OK


@root.command()
@needs(REPLACE_ROOTS)
@click.argument("old")
@said_by("Who retires it")
@SETTINGS_AND_JSON
def retire(old: str, author: str | None, config: Path, as_json: bool) -> None:
    """Let OLD sign nothing any more: it was replaced, and no device may need it."""
    from office_ingest.govern.release import ReleaseRefused
    from office_ingest.govern.roots import retire_root, root_called
    from office_ingest.govern.shelf import Shelf

    with open_store(config) as store:
        try:
            known = root_called(Shelf(store), old)
            retire_root(store, known, author or user_name(), now_ms())
        except ReleaseRefused as error:
            raise _refused(error) from None
    if as_json:
        emit("outstation.release-root-retired", 1, {"root": known.key_id.hex()})
    else:
        click.echo(f"root {known.key_id.hex()} signs nothing any more; destroy its folder")


def _refused(error: Exception) -> DiagnosticError:
    fix = "nothing was changed; outstation release root list shows roots and devices"
    return DiagnosticError(Diagnostic("release-refused", str(error), fix=fix))
