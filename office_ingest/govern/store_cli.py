"""The commands `outstation office store ...`: its databases are encrypted, decrypted, get other keys, or are copied."""

from pathlib import Path

import click

from office_ingest.options import SETTINGS_AND_JSON
from office_ingest.permissions import BACK_UP_STORES, ENCRYPT_STORES, needs
from protocol.diagnostic import USAGE, Diagnostic, DiagnosticError
from protocol.report import emit

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def store() -> None:
    """Encrypt the databases on their disk, and back them up."""


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


@store.command()
@needs(BACK_UP_STORES)
@click.argument("folder", type=_FOLDER)
@click.option("--keys", type=_FOLDER, help="Where copies of keystore and authority go: apart from the other.")
@SETTINGS_AND_JSON
def backup(folder: Path, keys: Path | None, config: Path, as_json: bool) -> None:
    """Copy the databases into FOLDER while the office runs; encrypted ones stay so.

    Keystore and authority go to the folder that --keys names: who has the database and them can read all that devices said. Signing
    keys are never copied.
    """
    from office_ingest.config import read_office
    from office_ingest.errors import in_words
    from protocol.sqlite_backup import back_up
    from protocol.sqlite_recode import is_encrypted

    _, files = read_office(config)
    with in_words():
        plain = [path for path in files.stores() if path.exists() and not is_encrypted(path)]
        if plain and (keys is None or keys.resolve() == folder.resolve()):
            raise DiagnosticError(_together(plain[0]), USAGE)
        # The database first: a keystore that knows more devices, and an authority that knows more gateways, agree with it.
        done = [
            (target, back_up(path, target))
            for path, target in (
                (path, _made(folder if path == files.database else keys or folder) / path.name)
                for path in files.stores()
            )
        ]
    if as_json:
        copies = [{"copy": str(target), "bytes": size} for target, size in done]
        emit("outstation.office-backup", 1, {"copies": copies})
    else:
        click.echo("\n".join(f"{target}: {size} bytes" for target, size in done))


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _together(database: Path) -> Diagnostic:
    return Diagnostic(
        "store-copies-together",
        "the databases are not encrypted, and copies of all in one folder would tell whoever has it everything",
        str(database),
        fix="name another folder for the keys: --keys FOLDER",
    )


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
