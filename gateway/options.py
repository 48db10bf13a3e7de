"""Options that several commands about a gateway have: said once, so that they are called and explained the same everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Option = Callable[[Any], Any]

CONFIG = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("gateway.toml"),
    show_default=True,
    help="The settings file.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def host(words: str) -> Option:
    """Return the option of the address where a gateway listens for devices. words: what it means to this command."""
    return click.option("--host", default="127.0.0.1", show_default=True, help=words)


def port(words: str) -> Option:
    """Return the option of the UDP port where a gateway listens for devices. words: what it means to this command."""
    kind = click.IntRange(1, 65535)
    return click.option("--port", type=kind, default=5683, show_default=True, help=words)


LISTEN_HOST = host("Address to listen on for devices.")
LISTEN_PORT = port("UDP port to listen on for devices.")
