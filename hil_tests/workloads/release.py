"""Verify a release: the golden one with one signature, as a device does before it fetches anything of it."""

from hil_tests.workloads.clock import cost, priced
from protocol.manifest import Standing, check_release
from tests.both.vector_files import bytes_of, read_vectors


def measure():
    """Return instructions and bytes of heap by name."""
    vector = read_vectors("manifest")["check"][0]
    return priced("verify_release", cost(check_release, bytes_of(vector), Standing(**vector["standing"])))
