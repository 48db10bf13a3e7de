"""The commands `outstation office image ...`: which images this office knows, so that it can tell what a device runs."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from office_ingest.govern.opening import now_ms, open_store, user_name
from office_ingest.options import SETTINGS_AND_JSON, said_by
from office_ingest.permissions import PROVISION_DEVICES, READ_DEVICES, needs
from protocol.diagnostic import Diagnostic, DiagnosticError
from protocol.report import emit

_DIGEST_BYTES = 32
_FILE_BYTES_MAX = 1 << 20


@click.group()
def image() -> None:
    """Register and list the images that devices may run."""


@image.command()
@needs(PROVISION_DEVICES)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@said_by("Who registers it")
@SETTINGS_AND_JSON
def add(file: Path, author: str | None, config: Path, as_json: bool) -> None:
    """Register the image that FILE describes: image.json or build.json, as `outstation device build` wrote it.

    With the first image of a hardware this office begins to judge what devices of that hardware say that they run: those whose image is
    not registered get no release and no new keys.
    """
    from office_ingest.errors import in_words
    from office_ingest.govern.attestation import register_image
    from office_ingest.storage.attested import Image

    with open_store(config) as store, in_words():
        digest, hardware, is_development = read_description(file)
        made = Image(digest, hardware, is_development, author or user_name(), now_ms())
        unknown = register_image(store, made)
    document = {"image": digest.hex(), "hardware": hardware, "development": is_development}
    if as_json:
        emit("outstation.office-image-add", 1, {**document, "unknown": [one.hex() for one in unknown]})
    else:
        click.echo(f"image {digest.hex()[:16]} for {hardware} is known")
        if unknown:
            click.echo(f"{len(unknown)} devices of it run what is not: outstation office findings")


@image.command("list")
@needs(READ_DEVICES)
@SETTINGS_AND_JSON
def list_images(config: Path, as_json: bool) -> None:
    """Show the images that are registered."""
    from office_ingest.errors import in_words
    from office_ingest.storage.attested import AttestedStore

    with open_store(config) as store, in_words():
        images = AttestedStore(store).images()
    if as_json:
        rows: list[dict[str, Any]] = [{**one._asdict(), "digest": one.digest.hex()} for one in images]
        emit("outstation.office-images", 1, {"images": rows})
        return
    for one in images:
        day = datetime.fromtimestamp(one.added_ms / 1000, UTC).strftime("%Y-%m-%d")
        kind = "development" if one.is_development else "production"
        click.echo(f"{one.digest.hex()[:16]}  {one.hardware}  {kind}  {day}  {one.author}")
    if not images:
        click.echo("no image is registered: nothing that devices say of themselves is judged")


def read_description(path: Path) -> tuple[bytes, str, bool]:
    """Return (digest, hardware, whether it is a development image) of what a build wrote down. Raises DiagnosticError."""
    fix = "name image.json or build.json, as outstation device build wrote it"
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_FILE_BYTES_MAX))
        digest, hardware = bytes.fromhex(said.get("sha256") or said["image"]), said["board"]
        is_development = said.get("development", False)
    except OSError as error:
        message = f"the description cannot be read: {error.strerror or error}"
        raise DiagnosticError(Diagnostic("file-unusable", message, str(path), fix=fix)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DiagnosticError(
            Diagnostic("file-unusable", "it is no description of an image", str(path), fix=fix)
        ) from None
    is_name = isinstance(hardware, str) and 0 < len(hardware) <= 64 and hardware.isprintable()
    if len(digest) != _DIGEST_BYTES or not is_name or not isinstance(is_development, bool):
        raise DiagnosticError(
            Diagnostic("file-unusable", "it is no description of an image", str(path), fix=fix)
        )
    return digest, hardware, is_development
