"""The commands `outstation office store ...`: its databases are encrypted, decrypted, or get other keys. The office must not run."""

from pathlib import Path

import click

from office_ingest.options import SETTINGS_AND_JSON
from office_ingest.permissions import ENCRYPT_STORES, needs
from protocol.report import emit


@click.group()
def store() -> None:
    """Encrypt the databases on their disk."""


@store.command()
@needs(ENCRYPT_STORES)
@SETTINGS_AND_JSON
def encrypt(config: Path, as_json: bool) -> None:
    """Encrypt what is plain of database, keystore and authority.

    With the passphrase that [store] of the settings names. The office must not run. Whatever cuts it off, each of them opens; give
    the command again.
    """
    _change(config, "encrypt", "encrypted", as_json)


@store.command()
@needs(ENCRYPT_STORES)
@SETTINGS_AND_JSON
def decrypt(config: Path, as_json: bool) -> None:
    """Make database, keystore and authority plain.

    Remove the passphrase from [store] of the settings first; its file or entry must still be there. The office must not run.
    """
    _change(config, "decrypt", "decrypted", as_json)


@store.command()
@needs(ENCRYPT_STORES)
@SETTINGS_AND_JSON
def rekey(config: Path, as_json: bool) -> None:
    """Give database, keystore and authority other keys.

    Of the passphrase that [store] of the settings names; the one of before must still be where it was. The office must not run.
    """
    _change(config, "rekey", "has another key", as_json)


def _change(config: Path, name: str, word: str, as_json: bool) -> None:
    from office_ingest.app import lock_database
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from protocol.sqlite_change import change, document, lines

    settings, files = read_office(config)
    with in_words(), lock_database(files.database):
        there = [path for path in files.stores() if path.exists()]
        done = change(name, there, settings.store.passphrase())
    if as_json:
        emit("outstation.office-store", 1, document(done))
    else:
        click.echo("\n".join(lines(done, word)))
