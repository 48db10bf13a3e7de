"""Which bodies a release names: its parts, and the files of an agent whose index is one of them.

Source: SPEC.md sections 12.2 and 12.7.
"""

from collections.abc import Mapping
from typing import NamedTuple

from protocol.agent_index import AgentIndex, parse_agent_index
from protocol.errors import ProtocolError
from protocol.manifest import AGENT, Release


class Named(NamedTuple):
    """One body. at: (part,), or (part, file) of the agent whose index is that part; size: as it travels."""

    at: tuple[int, ...]
    digest: bytes
    size: int


def named_bodies(release: Release, held: Mapping[bytes, bytes]) -> list[Named]:
    """Return all that a release names, as far as it is known: which files it brings is known once their index is held."""
    found = [Named((part,), digest, size) for part, (_, digest, size) in enumerate(release.manifest.parts)]
    for part, (kind, digest, _) in enumerate(release.manifest.parts):
        index = index_of(held[digest]) if kind == AGENT and digest in held else None
        if index is not None:
            found += [Named((part, at), file[1], file[2]) for at, file in enumerate(index.files)]
    return found


def index_of(body: bytes) -> AgentIndex | None:
    """Return the index of an agent, or None: who signed the release signed that it is none, and devices will refuse it."""
    try:
        return parse_agent_index(body)
    except ProtocolError:
        return None
