"""Replacing a release root, on both runtimes: command, event and replacement by their golden vectors, and every way to forge one."""

from protocol import command, envelope, event
from protocol.errors import MALFORMED, ROLLBACK, SEAL, SIGNER, TOO_LARGE, VERSION
from tests.both.seeded_bytes import Dice, changed
from tests.both.vector_files import bytes_of, code_of, read_vectors

ROOTS = read_vectors("root")
REPLACEMENTS = ROOTS["replace"]


def test_root_command_gives_the_golden_bytes_and_names_its_digest():
    """All 32 bytes of the digest go through the four numbers, on the device's integers too."""
    for vector in ROOTS["accept"]:
        fields = command.Command(*vector["fields"])
        raw = command.seal_command(fields, vector["key"])
        assert raw == bytes_of(vector), vector["name"]
        message = command.parse_command(raw)
        message.verify(vector["key"])
        assert message.fields.demand == command.root_demand(vector["digest"]), vector["name"]
        assert command.root_digest(message.fields.demand) == vector["digest"], vector["name"]


def test_root_command_of_another_form_is_refused():
    """Each item, broken alone, has its reject code."""
    for vector in ROOTS["reject"]:
        assert code_of(command.parse_command, bytes_of(vector)) == vector["code"], vector["name"]


def test_root_event_gives_the_golden_bytes_and_reads_them_back():
    """A refusal says why: the reject code is the outcome."""
    for vector in ROOTS["events"]:
        listed = [(order, tick, kind, tuple(fields)) for order, tick, kind, fields in vector["events"]]
        assert event.encode_events(vector["boot"], listed) == bytes_of(vector), vector["name"]
        assert event.decode_events(bytes_of(vector), len(listed)) == (vector["boot"], listed), vector["name"]


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
