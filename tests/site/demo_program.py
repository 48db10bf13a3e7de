"""`python -m tests.site.demo_program demo ...`: the `outstation` command, the recordings replaced by the synthetic one.

The true ones are fetched from the network once, and tests must not need it. Everything else of the demonstration is as it is.
"""

import tools.recordings
from tests.site.harness import ROWS, write_synthetic
from tools.cli import main


def write_recording(target, cache=None):
    """Write the synthetic recording where the true ones would be; return its rows."""
    write_synthetic(target)
    return ROWS


if __name__ == "__main__":
    tools.recordings.write_recording = write_recording
    main()
