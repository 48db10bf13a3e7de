"""What the tests of releases share: a schema, bundles for it, small keys."""

import hashlib

from protocol.cbor import dumps, loads
from tests.support.deciding_device import BUNDLE

SCHEMA = b"the schema of this test"
NOW_MS = 1_700_000_000_000
SMALL = {"tree": 5, "one_time": 3}


def bundle(**gate):
    """Return the demonstration's bundle for SCHEMA, fields of its first gate changed by their place: high=50."""
    top = loads(BUNDLE, 16)
    top[3] = hashlib.sha256(SCHEMA).digest()[:8]
    for name, value in gate.items():
        top[5][0][("action", "low", "high", "gap").index(name)] = value
    return dumps(top)
