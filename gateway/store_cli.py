"""The commands `outstation gateway store ...`: the store is encrypted, decrypted, or gets another key. The gateway must not run."""

import os
from pathlib import Path

import click

from gateway.options import CONFIG, JSON
from protocol.report import emit


@click.group()
def store() -> None:
    """Encrypt the store on its disk."""


@store.command()
@CONFIG
@JSON
def encrypt(config: Path, as_json: bool) -> None:
    """Encrypt a store that is plain.

    With the passphrase that [store] of the settings names. The gateway must not run. Whatever cuts it off, the store opens.
    """
    _change(config, "encrypt", "encrypted", as_json)


@store.command()
@CONFIG
@JSON
def decrypt(config: Path, as_json: bool) -> None:
    """Make an encrypted store plain.

    Remove the passphrase from [store] of the settings first; its file or entry must still be there. The gateway must not run.
    """
    _change(config, "decrypt", "decrypted", as_json)


@store.command()
@CONFIG
@JSON
def rekey(config: Path, as_json: bool) -> None:
    """Give an encrypted store another key.

    Of the passphrase that [store] of the settings names; the one of before must still be where it was. The gateway must not run.
    """
    _change(config, "rekey", "has another key", as_json)


def _change(config: Path, name: str, word: str, as_json: bool) -> None:
    from gateway.config import read_gateway
    from gateway.store_file import lock_store
    from gateway.store_view import check_reachable
    from protocol.sqlite_change import change, document, lines

    settings, files = read_gateway(config)
    check_reachable(files.database)
    guard = lock_store(files.database)
    try:
        done = change(name, [files.database], settings.store.passphrase())
    finally:
        os.close(guard)
    if as_json:
        emit("outstation.gateway-store", 1, document(done))
    else:
        click.echo("\n".join(lines(done, word)))
