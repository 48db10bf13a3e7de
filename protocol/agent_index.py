"""The index of an agent: which compiled files it is made of, as they travel.

Source: SPEC.md section 12.7.
"""

import hashlib

from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, PART, TOO_LARGE, VERSION, ProtocolError
from protocol.limits import (
    agent_bytes_max,
    agent_file_bytes_max,
    agent_files_max,
    agent_part_bytes_max,
    agent_path_bytes_max,
)
from protocol.shape import is_digest, is_natural, is_within

_ROOM = "agent/"
_SUFFIX = ".mpy"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"


class AgentIndex:
    """mpy: version of the files' format; files: [(path, digest, size) ...], sizes as they travel."""

    __slots__ = ("files", "mpy")

    def __init__(self, mpy: int, files: list):
        self.mpy = mpy
        self.files = files


def encode_agent_index(index: AgentIndex) -> bytes:
    """Return the body of an agent's part. Raises ProtocolError if a reader would refuse it."""
    raw = dumps([1, index.mpy, [list(file) for file in index.files]])
    parse_agent_index(raw)
    return raw


def parse_agent_index(raw: bytes) -> AgentIndex:
    """Return the AgentIndex. Raises ProtocolError, never anything else."""
    if len(raw) > agent_part_bytes_max:
        text = "index of {} bytes exceeds agent_part_bytes_max ({})"
        raise ProtocolError(TOO_LARGE, text.format(len(raw), agent_part_bytes_max))
    items = loads(raw)
    if not isinstance(items, list) or not items or not is_natural(items[0]):
        raise ProtocolError(MALFORMED, "index of an agent has no version")
    if items[0] != 1:
        raise ProtocolError(VERSION, "version {} of an agent's index is not 1".format(items[0]))
    if len(items) != 3 or not is_natural(items[1], 255) or not isinstance(items[2], list):
        raise ProtocolError(MALFORMED, "index of an agent is not [version, mpy, files]")
    _check_files(items[2])
    return AgentIndex(items[1], [tuple(file) for file in items[2]])


def check_mpy(index: AgentIndex, mpy: int) -> None:
    """Refuse files that the MicroPython here does not read. mpy: sys.implementation._mpy. Raises ProtocolError(VERSION)."""
    if index.mpy != mpy & 255:
        text = "the agent's files are of format {}, this MicroPython reads {}"
        raise ProtocolError(VERSION, text.format(index.mpy, mpy & 255))


def check_file(index: AgentIndex, at: int, body: bytes) -> None:
    """Check one file, as it travels, against the index. Raises ProtocolError(PART)."""
    path, digest, size = index.files[at]
    if len(body) != size or hashlib.sha256(body).digest() != digest:
        raise ProtocolError(PART, "{} is not the file of the agent's index".format(path))


def _check_files(files: list) -> None:
    if not files or not all([_is_file(file) for file in files]):
        raise ProtocolError(MALFORMED, "files of an agent are not [path, digest, size]")
    if len(files) > agent_files_max:
        text = "{} files exceed agent_files_max ({})"
        raise ProtocolError(TOO_LARGE, text.format(len(files), agent_files_max))
    for at in range(1, len(files)):
        if files[at - 1][0] >= files[at][0]:
            raise ProtocolError(MALFORMED, "files of an agent do not rise by their paths")
    _check_sizes([file[2] for file in files])


def _check_sizes(sizes: list) -> None:
    if max(sizes) > agent_file_bytes_max:
        text = "a file of {} bytes exceeds agent_file_bytes_max ({})"
        raise ProtocolError(TOO_LARGE, text.format(max(sizes), agent_file_bytes_max))
    if sum(sizes) > agent_bytes_max:
        text = "files of {} bytes exceed agent_bytes_max ({})"
        raise ProtocolError(TOO_LARGE, text.format(sum(sizes), agent_bytes_max))


def _is_file(value) -> bool:
    shaped = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
    return shaped and is_agent_path(value[0]) and is_digest(value[1]) and is_within(value[2], 1, 1 << 20)


def is_agent_path(path: str) -> bool:
    """Say whether a path names a file of the agent, and can name nothing else."""
    if len(path) > agent_path_bytes_max or not path.startswith(_ROOM) or not path.endswith(_SUFFIX):
        return False
    names = path[: -len(_SUFFIX)].split("/")
    return all([name != "" and all([letter in _LETTERS for letter in name]) for name in names])
