"""Options and arguments that the commands of `outstation provision` have in common."""

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)
OFFICE = click.option(
    "--office",
    "office_config",
    type=click.Path(path_type=Path),
    required=True,
    help="The office's office.toml.",
)
