"""Writes docs/proof.md and its pictures: `python -m tools.proof`, after the runs whose figures it shows."""

import sys
from pathlib import Path

import click

from protocol.diagnostic import FINDING, OK
from tools.device_types import ROOT
from tools.proof.page import write_page
from tools.proof.sources import read_figures


@click.command()
@click.option("--build", type=click.Path(path_type=Path, file_okay=False), default=ROOT / "build")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), default=ROOT / "docs" / "proof.md")
def command(build: Path, page: Path) -> None:
    """Write the figures of the last runs into the page. Exit code 1 where figures are missing: they are named."""
    figures = read_figures(build)
    write_page(page, page.parent / "pictures", figures)
    for source in figures.missing:
        click.echo(f"missing: {source.what} ({source.file}); make it: {source.command}")
    sys.exit(FINDING if figures.missing else OK)


if __name__ == "__main__":
    command(prog_name="python -m tools.proof")
