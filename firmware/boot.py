"""First code of a boot, frozen: from here on modules come from the image alone, whatever lies on flash.

MicroPython looks in the current folder before the frozen modules, so that a file there would replace any of ours.
"""

import sys

sys.path[:] = [".frozen"]
