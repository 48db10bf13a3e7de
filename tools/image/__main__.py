"""Builds the image of a board, or MicroPython's unix port, for this machine or for another.

    python -m tools.image BOARD [--development] [--folder FOLDER] [--source TREE]
    python -m tools.image unix [--machine aarch64] [--folder FOLDER] [--source TREE]

Takes system packages alone: a compiler from the machine's own suite, MicroPython's source from Debian. What is missing is named.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from protocol.diagnostic import OK, DiagnosticError, show
from tools.image.build import Image, boards, build_image
from tools.image.needs import CROSS
from tools.image.unix import UNIX, UnixPort, build_unix


def main(arguments: list[str]) -> int:
    """Build, print what came of it as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.image", description="Build the image of a board, or the unix port."
    )
    parser.add_argument("board", help=f"one of {', '.join([*boards(), UNIX])}")
    parser.add_argument("--development", action="store_true", help="with a console that takes Python")
    parser.add_argument(
        "--folder", type=Path, help="where to build; build/image/BOARD, for unix the cache, otherwise"
    )
    parser.add_argument("--source", type=Path, help="a source tree of MicroPython, instead of Debian's")
    parser.add_argument(
        "--machine",
        help=f"that the unix port is to run on: this one otherwise; with a cross compiler {', '.join(CROSS)}",
    )
    chosen = parser.parse_args(arguments)
    if chosen.board == UNIX and chosen.development:
        parser.error("--development is for a board: the unix port always takes Python")
    if chosen.board != UNIX and chosen.machine:
        parser.error("--machine is for the unix port: a board is its own machine")
    folder = chosen.folder and chosen.folder.resolve()
    tree = chosen.source and chosen.source.resolve()
    try:
        image: Image | UnixPort
        if chosen.board == UNIX:
            image = build_unix(folder, tree, chosen.machine)
        else:
            image = build_image(chosen.board, folder=folder, development=chosen.development, tree=tree)
    except DiagnosticError as error:
        show(error.diagnostics)
        return error.exit_code
    print(json.dumps(asdict(image), indent=1))
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
