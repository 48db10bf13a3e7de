"""Replacing a release root, on both runtimes: command, event and replacement by their golden vectors, and every way to forge one."""

from protocol import command, envelope
from protocol.errors import MALFORMED, ROLLBACK, SEAL, SIGNER, TOO_LARGE, VERSION
from tests.both.seeded_bytes import Dice, changed
from tests.both.vector_files import (
    bytes_of,
    check_commands,
    check_events,
    check_refused_commands,
    code_of,
    read_vectors,
)

ROOTS = read_vectors("root")
REPLACEMENTS = ROOTS["replace"]


def test_root_command_gives_the_golden_bytes_and_names_its_digest():
    """All 32 bytes of the digest go through the four numbers, on the device's integers too."""
    check_commands(ROOTS["accept"])
    for vector in ROOTS["accept"]:
        demand = vector["fields"][3]
        assert demand == command.root_demand(vector["digest"]), vector["name"]
        assert command.root_digest(demand) == vector["digest"], vector["name"]


def test_root_command_of_another_form_is_refused():
    """Each item, broken alone, has its reject code."""
    check_refused_commands(ROOTS["reject"])


def test_root_event_gives_the_golden_bytes_and_reads_them_back():
    """A refusal says why: the reject code is the outcome."""
    check_events(ROOTS["events"])


def test_replacement_of_a_root_is_taken_from_a_root_that_is_held_and_from_nobody_else():
    """Forged, replayed, of an unknown root, truncated, of a wrong predecessor: each has its reject code."""
    for vector in REPLACEMENTS:
        code = code_of(envelope.check_replacement, bytes_of(vector), vector["roots"])
        assert code == vector["code"], vector["name"]


def test_no_changed_byte_of_a_replacement_is_believed():
    """Whatever a gateway changes, the answer is a reject code, and no other error."""
    dice = Dice(12)
    good, roots = bytes_of(REPLACEMENTS[0]), REPLACEMENTS[0]["roots"]
    codes = (MALFORMED, ROLLBACK, SEAL, SIGNER, TOO_LARGE, VERSION)
    for _ in range(40):
        raw = changed(dice, good)
        assert raw == good or code_of(envelope.check_replacement, raw, roots) in codes
