"""What runs longer on request: `OUTSTATION_SOAK=1 make test` cuts every operation in every way and kills starts more often.

The short form cuts the same operations and looks at the same promises; what it leaves out is said where it does.
"""

import os

IS_SOAK = bool(os.environ.get("OUTSTATION_SOAK"))
