"""The index of an agent, by its golden vectors, and what a device refuses of one."""

from protocol import agent_index, manifest
from protocol.errors import PART, VERSION
from tests.both.seeded_bytes import Dice, changed
from tests.both.vector_files import bytes_of, code_of, read_vectors

VECTORS = read_vectors("agent")


def test_indexes_give_the_golden_bytes_and_read_back():
    """Format, paths, digests and sizes come back."""
    for vector in VECTORS["accept"]:
        read = agent_index.parse_agent_index(bytes_of(vector))
        assert agent_index.encode_agent_index(read) == bytes_of(vector), vector["name"]
        assert [1, read.mpy, [list(file) for file in read.files]] == vector["fields"], vector["name"]


def test_indexes_refuse_every_golden_bad_one():
    """Each item, broken alone, has its reject code; no path leads out of the agent."""
    for vector in VECTORS["reject"]:
        assert code_of(agent_index.parse_agent_index, bytes_of(vector)) == vector["code"], vector["name"]


def test_manifests_name_an_agent_once_and_last():
    """A part of kind 4, behind the others."""
    for vector in VECTORS["manifests"]:
        read = manifest.parse_manifest(bytes_of(vector))
        assert manifest.encode_manifest(read) == bytes_of(vector), vector["name"]
        assert read.parts[-1][0] == manifest.AGENT
    for vector in VECTORS["manifest_reject"]:
        assert code_of(manifest.parse_manifest, bytes_of(vector)) == vector["code"], vector["name"]


def test_files_of_another_micropython_are_refused():
    """The format is in the low byte of what MicroPython says of itself."""
    index = agent_index.AgentIndex(6, [("agent/a.mpy", bytes(32), 1)])
    agent_index.check_mpy(index, 0x306)
    agent_index.check_mpy(index, 0x1E06)
    assert code_of(agent_index.check_mpy, index, 0x305) == VERSION


def test_file_is_the_one_of_the_index():
    """One bit, one byte more or less: PART."""
    body = bytes(range(90))
    digest = manifest.hashlib.sha256(body).digest()
    index = agent_index.AgentIndex(6, [("agent/a.mpy", digest, len(body))])
    agent_index.check_file(index, 0, body)
    for other in (body[:-1], body + b"\0", b"\1" + body[1:]):
        assert code_of(agent_index.check_file, index, 0, other) == PART


def test_changed_bytes_are_refused_or_another_index():
    """Whatever bytes come: a value, or an error with a code."""
    dice = Dice(7)
    good = [bytes_of(vector) for vector in VECTORS["accept"]]
    for _ in range(300):
        raw = changed(dice, good[dice.below(len(good))])
        code = code_of(agent_index.parse_agent_index, raw)
        assert code == 0 or code > 0
