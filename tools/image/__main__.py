"""Builds the image of a board.

    python -m tools.image BOARD [--development] [--folder FOLDER] [--source TREE]

Takes system packages alone: a compiler from the machine's own suite, MicroPython's source from Debian. What is missing is named.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from protocol.diagnostic import OK, DiagnosticError, show
from tools.image.build import build_image


def main(arguments: list[str]) -> int:
    """Build, print what came of it as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.image", description="Build the image of a board.")
    parser.add_argument("board")
    parser.add_argument("--development", action="store_true", help="with a console that takes Python")
    parser.add_argument("--folder", type=Path, help="where to build; build/image/BOARD otherwise")
    parser.add_argument("--source", type=Path, help="a source tree of MicroPython, instead of Debian's")
    chosen = parser.parse_args(arguments)
    try:
        image = build_image(
            chosen.board,
            folder=chosen.folder and chosen.folder.resolve(),
            development=chosen.development,
            tree=chosen.source and chosen.source.resolve(),
        )
    except DiagnosticError as error:
        show(error.diagnostics)
        return error.exit_code
    print(json.dumps(asdict(image), indent=1))
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
