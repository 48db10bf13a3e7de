"""`python -m tests.site.sleeping_program demo ...`: the `outstation` command, whose processes only say that they are ready, and sleep.

What ends a demonstration, and what it leaves behind, does not depend on what its processes do: it kills them. Nothing is provisioned.
With SILENT in the environment the office never says that it is ready, so that the demonstration goes on starting.
"""

import os
import sys

import tools.demo.layout
import tools.recordings
from tests.site.demo_program import write_recording
from tools.cli import main

SILENT = "OUTSTATION_TEST_SILENT"
_SLEEP = "import sys, time; print(sys.argv[1], flush=True); time.sleep(600)"


def _lay_out(site, plan, _recording):
    for index in range(len(plan.offsets)):
        site.add_device(bytes(8), site.folder / tools.demo.layout.device_name(index))
    for service in (site.office, site.gateway, *site.devices):
        is_silent = service is site.office and SILENT in os.environ
        # The folder is named so that whoever looks for processes of this demonstration finds them.
        said = "" if is_silent else service.ready
        service.command = [sys.executable, "-S", "-c", _SLEEP, said, str(site.folder)]


if __name__ == "__main__":
    tools.recordings.write_recording = write_recording
    tools.demo.layout.lay_out = _lay_out
    main()
