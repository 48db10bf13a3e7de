"""`python -m tools.bench ...` is `outstation bench ...`."""

import sys

from tools.cli import main

if __name__ == "__main__":
    main(["bench", *sys.argv[1:]])
