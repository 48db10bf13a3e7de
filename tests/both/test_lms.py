"""HSS/LMS verification: the RFC's own cases hold, and nothing that differs by a bit does."""

from protocol import lms
from protocol.errors import MALFORMED
from tests.both.seeded_bytes import Dice, changed
from tests.both.vector_files import code_of, read_vectors

VECTORS = read_vectors("lms")["accept"]


def _holds(vector, **changes):
    parts = dict(vector)
    parts.update(changes)
    return lms.verify(parts["public"], parts["message"], parts["signature"])


def _flipped(data, bit):
    bad = bytearray(data)
    bad[bit >> 3] ^= 1 << (bit & 7)
    return bytes(bad)


def test_golden_signatures_hold():
    """Both test cases of RFC 8554, and each parameter set alone."""
    for vector in VECTORS:
        assert _holds(vector) is True, vector["name"]


def test_no_bit_of_a_signature_is_free():
    """Every typecode, leaf, level and path bit, and one bit of each other word, decides."""
    for vector in VECTORS:
        signature = vector["signature"]
        bits = list(range(8 * 12)) + list(range(0, 8 * len(signature), 509))
        for bit in bits:
            assert _holds(vector, signature=_flipped(signature, bit)) is False, (vector["name"], bit)


def test_no_typecode_within_a_signature_is_free():
    """The codes repeated before a path and in the key of the second level decide too."""
    vector = VECTORS[0]
    path = 4 + 8 + 32 * 35
    child = path + 4 + 32 * 5
    for at in list(range(path, path + 4)) + list(range(child, child + 8)):
        for bit in range(8):
            bad = _flipped(vector["signature"], 8 * at + bit)
            assert _holds(vector, signature=bad) is False, (at, bit)


def test_a_signature_cut_off_or_longer_never_holds():
    """At every length of the shortest one, and around every edge of the others."""
    for vector in VECTORS:
        signature = vector["signature"]
        step = 1 if len(signature) < 1400 else 37
        for length in list(range(0, len(signature), step)) + [len(signature) - 1]:
            assert _holds(vector, signature=signature[:length]) is False, (vector["name"], length)
        assert _holds(vector, signature=signature + b"\0") is False


def test_another_message_or_key_never_holds():
    """One bit of what was signed, of the identity or of the tree's root is enough."""
    for vector in VECTORS:
        assert _holds(vector, message=vector["message"] + b"\0") is False
        if vector["message"]:
            assert _holds(vector, message=_flipped(vector["message"], 0)) is False
        for bit in (8 * 12, 8 * 27 + 7, 8 * 28, 8 * 59 + 7):
            assert _holds(vector, public=_flipped(vector["public"], bit)) is False, bit


def test_a_key_of_another_kind_is_refused_by_name():
    """Levels 0 and 3, heights and digits that are not supported, other lengths: MALFORMED, no answer."""
    public = VECTORS[0]["public"]
    wrong = [public[:4], public[:59], public + b"\0", b""]
    for at, value in ((3, 0), (3, 3), (7, 4), (7, 7), (4, 1), (11, 2), (11, 5), (8, 1)):
        wrong.append(public[:at] + bytes([value]) + public[at + 1 :])
    for key in wrong:
        assert code_of(lms.verify, key, b"", VECTORS[0]["signature"]) == MALFORMED, key


def test_a_level_too_few_or_too_many_never_holds():
    """The inner signature alone does not stand for both, nor both for one."""
    vector = VECTORS[0]
    single = b"\0\0\0\1" + vector["public"][4:]
    assert _holds(vector, public=single) is False
    assert _holds(vector, signature=bytes(4) + vector["signature"][1352:]) is False


def test_random_changes_never_hold_and_never_raise():
    """A byte put in, left out or replaced anywhere: the answer is False."""
    dice = Dice(8554)
    for vector in VECTORS:
        for _ in range(40):
            bad = changed(dice, vector["signature"])
            assert _holds(vector, signature=bad) is (bad == vector["signature"]), vector["name"]


def test_leaf_is_read_from_a_signature():
    """The office finds which one-time key was used in what it published."""
    leaves = [lms.leaf_of(vector["signature"]) for vector in VECTORS]
    assert leaves == [5, 3, 0, 31, 1023], leaves
    assert code_of(lms.leaf_of, bytes(7)) == MALFORMED
