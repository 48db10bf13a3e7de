"""The agent that a release brings to devices: an archive of compiled files, as `outstation device build-agent` writes it.

An archive is `[index, [file ...]]` in deterministic CBOR; index and files as in SPEC.md section 12.7. It is as large as what travels.
"""

import hashlib
from typing import NamedTuple

from office_ingest.govern.shelf import Shelf
from protocol.agent_index import check_file, parse_agent_index
from protocol.cbor import dumps, loads
from protocol.errors import MALFORMED, PART, ProtocolError
from protocol.limits import agent_bytes_max, agent_files_max, agent_part_bytes_max
from protocol.manifest import AGENT, Manifest

# Index, files, and what CBOR says of the length of each.
ARCHIVE_BYTES_MAX = agent_part_bytes_max + agent_bytes_max + 5 * (agent_files_max + 3)


class AgentFiles(NamedTuple):
    """part: the body of the part, an index; bodies: of the files as they travel, in its order."""

    part: bytes
    bodies: list[bytes]

    def digest(self) -> bytes:
        """Return what names this agent: the digest of its index."""
        return hashlib.sha256(self.part).digest()


def encode_agent(agent: AgentFiles) -> bytes:
    """Return the bytes of an archive."""
    return dumps([agent.part, agent.bodies])


def parse_agent(raw: bytes) -> AgentFiles:
    """Return the agent of an archive, each file compared with the index. Raises ProtocolError."""
    items = loads(raw)
    if not isinstance(items, list) or len(items) != 2 or not isinstance(items[0], bytes):
        raise ProtocolError(MALFORMED, "an archive of an agent is not [index, files]")
    if not isinstance(items[1], list) or not all(isinstance(body, bytes) for body in items[1]):
        raise ProtocolError(MALFORMED, "the files of an agent's archive are not byte strings")
    return _checked(items[0], items[1])


def agent_of(shelf: Shelf, manifest: Manifest) -> AgentFiles | None:
    """Return the agent that a release on the shelf brings, None: the image's."""
    digest = next((digest for kind, digest, _ in manifest.parts if kind == AGENT), None)
    part = None if digest is None else shelf.part(digest)
    if part is None:
        return None
    bodies = [shelf.part(file[1]) for file in parse_agent_index(part).files]
    return _checked(part, [body for body in bodies if body is not None])


def agent_of_newest(shelf: Shelf, target: tuple[int, list[bytes] | str]) -> AgentFiles | None:
    """Return the agent of the newest signed release for the same devices; None: the image's, or there is no such release."""
    for held in shelf.all():
        if held.state == "signed" and held.manifest.target == target:
            return agent_of(shelf, held.manifest)
    return None


def _checked(part: bytes, bodies: list[bytes]) -> AgentFiles:
    index = parse_agent_index(part)
    if len(bodies) != len(index.files):
        raise ProtocolError(PART, f"{len(bodies)} files are here, the agent's index names {len(index.files)}")
    for at, body in enumerate(bodies):
        check_file(index, at, body)
    return AgentFiles(part, bodies)
