"""Reads the golden vectors of protocol/vectors/ on both runtimes."""

import json
from binascii import unhexlify

import protocol
from protocol import command, event
from protocol.cbor import Simple
from protocol.errors import ProtocolError

_FOLDER = protocol.__file__.rsplit("/", 1)[0] + "/vectors/"


def read_vectors(name):
    """Return a file of vectors: list name -> list of vectors."""
    with open(_FOLDER + name + ".json") as file:
        return value_of(json.load(file))


def value_of(item):
    """Return what an item of a vector file stands for."""
    if isinstance(item, list):
        return [value_of(one) for one in item]
    if not isinstance(item, dict):
        return item
    if len(item) == 1 and "hex" in item:
        return unhexlify(item["hex"])
    if len(item) == 1 and "map" in item:
        return dict([(key, value_of(value)) for key, value in item["map"]])
    if len(item) == 1 and "simple" in item:
        return Simple(item["simple"])
    return dict([(key, value_of(item[key])) for key in item])


def bytes_of(vector):
    """Return the bytes of a vector, whether they stand there as text or as an object."""
    text = vector["hex"]
    return unhexlify(text) if isinstance(text, str) else text


def code_of(call, *arguments):
    """Return the reject code with which a call fails, 0 if it does not."""
    try:
        call(*arguments)
    except ProtocolError as error:
        return error.code
    return 0


def check_commands(vectors):
    """Each command is sealed to its golden bytes, and read back whole, on the device's integers too."""
    for vector in vectors:
        fields = command.Command(*vector["fields"])
        raw = command.seal_command(fields, vector["key"])
        assert raw == bytes_of(vector), vector["name"]
        message = command.parse_command(raw)
        message.verify(vector["key"])
        found = message.fields
        assert [found.device, found.number, found.until_ms, found.demand] == vector["fields"], vector["name"]


def check_refused_commands(vectors):
    """Each command of another form has its reject code."""
    for vector in vectors:
        assert code_of(command.parse_command, bytes_of(vector)) == vector["code"], vector["name"]


def check_events(vectors):
    """Events are encoded to their golden bytes, and read back."""
    for vector in vectors:
        listed = [(order, tick, kind, tuple(fields)) for order, tick, kind, fields in vector["events"]]
        assert event.encode_events(vector["boot"], listed) == bytes_of(vector), vector["name"]
        assert event.decode_events(bytes_of(vector), len(listed)) == (vector["boot"], listed), vector["name"]
