"""`python -m tests.gateway.planted_process FAULT run --config ...`: a gateway process with a planted fault."""

import sys

from gateway.cli import main
from tests.planted.gateway import FAULTS

if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)](setattr)
    main()
