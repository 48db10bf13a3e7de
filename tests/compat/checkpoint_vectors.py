"""The golden checkpoints and schemas against the agent's own code; runs on both runtimes, imports nothing that one of them lacks."""

from agent.checkpoint import decode_checkpoint, encode_checkpoint
from agent.schema import read_schema
from tests.both.vector_files import bytes_of, code_of, read_vectors


def _refused(parse, vectors):
    for vector in vectors:
        assert code_of(parse, bytes_of(vector)) == vector["code"], vector["name"]


def test_checkpoints_give_the_golden_bytes_and_read_back():
    """What a device can be rebuilt from is the same bytes for ever."""
    for vector in read_vectors("checkpoint")["accept"]:
        assert encode_checkpoint(decode_checkpoint(bytes_of(vector))) == bytes_of(vector), vector["name"]


def test_checkpoints_refuse_every_golden_bad_one():
    """Each item, broken alone, has its reject code."""
    _refused(decode_checkpoint, read_vectors("checkpoint")["reject"])


def test_schema_gives_its_channels():
    """Name, unit, scale and range of each channel come back."""
    vector = next(one for one in read_vectors("schema")["accept"] if one["name"] == "schema")
    channels = read_schema(bytes_of(vector))
    found = [[c.name, c.unit, c.scale, c.low, c.high, c.stuck_after] for c in channels]
    assert [1, found] == vector["value"]


def test_schemas_refuse_every_golden_bad_one():
    """Each item, broken alone, is refused."""
    for vector in read_vectors("schema")["reject"]:
        assert code_of(read_schema, bytes_of(vector)) != 0, vector["name"]
