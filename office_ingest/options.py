"""Options and arguments that several commands of the office have: said once, so that they are called and explained the same everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command these options, in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("office.toml"),
    show_default=True,
    help="The office's settings.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
SETTINGS_AND_JSON = together(CONFIG, JSON)

NUMBER = click.argument("number", type=click.IntRange(1))
KEY = click.option(
    "--key",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder of a signing key.",
)
ALONE = click.option(
    "--alone",
    is_flag=True,
    help="Sign though no gateway was heard lately: only if nothing of this office was put back.",
)
RELEASED_BY = click.option("--author", required=True, help="Who releases it.")
TARGET = together(
    click.option(
        "--device", "devices", multiple=True, help="Name or 16 hex digits of a device; several times."
    ),
    click.option("--cohort", help="For a cohort instead."),
    click.option("--kind", help="For all devices of a kind instead."),
    click.option(
        "--hardware",
        multiple=True,
        default=("unix",),
        show_default=True,
        help="Name of a board; several times.",
    ),
)


def said_by(words: str) -> Callable[[Command], Command]:
    """Return the option of who does something that needs no signature."""
    return click.option("--author", help=f"{words}; the user of this machine if left out.")
