"""Releases, by their golden vectors and by every way to send a device a false one."""

from hashlib import sha256

from protocol import envelope, manifest
from protocol.errors import MALFORMED, PART, SEAL, TOO_LARGE, UNSIGNED, ProtocolError
from tests.both.seeded_bytes import Dice, changed
from tests.both.vector_files import bytes_of, code_of, read_vectors

ENVELOPES = read_vectors("envelope")
MANIFESTS = read_vectors("manifest")
RULES = b"the body of a bundle"


def _standing(fields):
    return manifest.Standing(**fields)


def _good():
    """Return (release, standing) of the golden release that a device adopts."""
    vector = MANIFESTS["check"][0]
    return bytes_of(vector), _standing(vector["standing"])


def test_envelopes_give_the_golden_bytes_and_read_back():
    """Payload, key identifier and signature come back, and the signature holds."""
    for vector in ENVELOPES["accept"]:
        raw = bytes_of(vector)
        read = envelope.parse_envelope(raw)
        assert read.payload == vector["payload"], vector["name"]
        assert read.key_id == envelope.key_id(vector["public"]), vector["name"]
        assert envelope.encode_envelope(read.key_id, read.payload, read.signature) == raw, vector["name"]
        read.verify(vector["public"], vector["purpose"])


def test_envelopes_refuse_every_golden_bad_one():
    """Each item of a COSE_Sign1, broken alone, has its reject code."""
    for vector in ENVELOPES["reject"]:
        assert code_of(envelope.parse_envelope, bytes_of(vector)) == vector["code"], vector["name"]


def test_envelopes_hold_for_one_key_and_one_purpose():
    """Another root, another purpose, another payload: SEAL."""
    for vector in ENVELOPES["verify"]:
        read = envelope.parse_envelope(bytes_of(vector))
        code = code_of(read.verify, vector["public"], envelope.RELEASE)
        assert code == vector["code"], vector["name"]


def test_successor_is_believed_from_its_predecessor_only():
    """A root says who follows it; nobody else can, and not under another purpose."""
    vectors = [v for v in ENVELOPES["accept"] if v["rule"] == "successor"]
    raw, public = bytes_of(vectors[0]), vectors[0]["public"]
    follows = envelope.check_succession(raw, public)
    assert follows.predecessor == envelope.key_id(public)
    assert envelope.encode_succession(follows) == envelope.parse_envelope(raw).payload
    assert code_of(envelope.check_succession, raw, follows.public) == SEAL
    for vector in ENVELOPES["accept"]:
        if vector["rule"] == "signature":
            assert code_of(envelope.check_succession, bytes_of(vector), vector["public"]) == SEAL


def test_manifests_give_the_golden_bytes_and_read_back():
    """Each kind of target, longest names and integers, every kind of part."""
    for vector in MANIFESTS["accept"]:
        read = manifest.parse_manifest(bytes_of(vector))
        assert manifest.encode_manifest(read) == bytes_of(vector), vector["name"]
        f = vector["fields"]
        said = [1, read.number, list(read.target), read.hardware, read.schema, list(read.validity)]
        said += [list(read.provenance), list(read.reset) if read.reset else None]
        assert said + [[list(part) for part in read.parts]] == f, vector["name"]


def test_manifests_refuse_every_golden_bad_one():
    """Each field, broken alone, has its reject code."""
    for vector in MANIFESTS["reject"]:
        assert code_of(manifest.parse_manifest, bytes_of(vector)) == vector["code"], vector["name"]


def test_releases_read_back_and_refuse_every_golden_bad_one():
    """One or two signatures; none, three or something else are refused by name."""
    for vector in MANIFESTS["releases"]:
        read = manifest.parse_release(bytes_of(vector))
        raw = manifest.encode_release(
            manifest.encode_manifest(read.manifest), [e.raw for e in read.envelopes]
        )
        assert raw == bytes_of(vector), vector["name"]
    for vector in MANIFESTS["release_reject"]:
        assert code_of(manifest.parse_release, bytes_of(vector)) == vector["code"], vector["name"]


def test_a_device_adopts_what_is_meant_for_it_and_refuses_every_attack():
    """Unsigned, wrong key, rollback, fast-forward, freeze, wrong target, hardware, schema: each has its reject code."""
    for vector in MANIFESTS["check"]:
        code = code_of(manifest.check_release, bytes_of(vector), _standing(vector["standing"]))
        assert code == vector["code"], (vector["name"], code)


def test_a_bundle_that_widens_needs_two_signers():
    """One signer is enough where nothing is widened, two everywhere."""
    one, standing = _good()
    vectors = [v for v in MANIFESTS["check"] if v["name"] == "good, two signers"]
    two = manifest.check_release(bytes_of(vectors[0]), standing)
    release = manifest.check_release(one, standing)
    assert len(release.signers) == 1 and len(two.signers) == 2
    assert code_of(manifest.check_signers, release, []) == 0
    assert code_of(manifest.check_signers, release, [(1, 0)]) == UNSIGNED
    assert code_of(manifest.check_signers, two, [(1, 0)]) == 0


def test_parts_that_the_manifest_does_not_name_are_refused():
    """Mix-and-match, partial, doubled, changed and endless parts."""
    held = manifest.check_release(*_good()).manifest
    assert code_of(manifest.check_parts, held, [RULES]) == 0
    cases = (
        ([], PART),
        ([RULES, RULES], PART),
        ([RULES[:-1]], PART),
        ([b"another bundle, 20 b"], PART),
        ([RULES + b"\0"], TOO_LARGE),
        ([bytes(100000)], TOO_LARGE),
    )
    for bodies, code in cases:
        assert code_of(manifest.check_parts, held, bodies) == code, bodies


def test_parts_in_another_order_are_refused():
    """Two models that changed places are not the release that was signed."""
    first, second = (1, sha256(b"first").digest(), 5), (1, sha256(b"second").digest(), 6)
    standing = MANIFESTS["accept"][0]["fields"]
    held = manifest.Manifest(*(standing[1:-1] + [[first, second]]))
    assert code_of(manifest.check_parts, held, [b"first", b"second"]) == 0
    assert code_of(manifest.check_parts, held, [b"second", b"first"]) != 0


def test_no_bit_of_a_release_is_free():
    """Every flipped bit of manifest and envelope frame, and one of each word of the signature, is refused."""
    raw, standing = _good()
    frame = len(raw) - 1296
    for bit in list(range(0, 8 * frame, 3)) + list(range(8 * frame, 8 * len(raw), 509)):
        bad = bytearray(raw)
        bad[bit >> 3] ^= 1 << (bit & 7)
        assert code_of(manifest.check_release, bytes(bad), standing), bit


def test_a_release_cut_off_anywhere_is_refused():
    """What arrived in part is never a release."""
    raw, standing = _good()
    for length in range(len(raw)):
        code = code_of(manifest.parse_release, raw[:length])
        assert code == MALFORMED, length
    assert standing.floor == 40


def test_random_changes_of_a_release_end_in_a_reject_code():
    """A byte put in, left out or replaced: refused, and nothing but ProtocolError is raised."""
    raw, standing = _good()
    dice = Dice(12)
    for _ in range(300):
        bad = changed(dice, raw)
        try:
            manifest.check_release(bad, standing)
        except ProtocolError:
            continue
        assert bad == raw


def test_a_manifest_that_no_reader_takes_is_not_written():
    """The office cannot sign what every device would refuse."""
    fields = MANIFESTS["accept"][0]["fields"]
    held = manifest.Manifest(*fields[1:])
    held.hardware = []
    assert code_of(manifest.encode_manifest, held) == MALFORMED
