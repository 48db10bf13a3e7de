"""Writes the golden vectors of protocol/vectors/ from tools/vector_reference.py.

    python -m tools.vectors            write the files
    python -m tools.vectors --check    say which files differ, and write nothing

A file holds lists of vectors. Bytes are hex. A value that JSON lacks is an object with one key: {"hex": bytes},
{"map": [[key, value] ...]}, {"simple": number}. "accept" vectors have the bytes of one value; "reject" vectors bytes
that must be refused with "code"; "shape" says whether the grammar in wire.cddl refuses them too.
"""

import json
import sys
from pathlib import Path
from typing import Any

import cbor2

from protocol.diagnostic import FINDING, OK
from tools import (
    vector_admission,
    vector_agent,
    vector_attestation,
    vector_codec,
    vector_levels,
    vector_links,
    vector_messages,
    vector_rekey,
    vector_release,
    vector_revocation,
    vector_root,
    vector_segments,
    vector_usage,
    vector_views,
    vector_witness,
)

FOLDER = Path(__file__).resolve().parent.parent / "protocol" / "vectors"


def files() -> dict[str, dict[str, Any]]:
    """Return file name -> content of every file that this module owns."""
    parts = (
        vector_codec,
        vector_segments,
        vector_messages,
        vector_rekey,
        vector_root,
        vector_release,
        vector_agent,
        vector_revocation,
        vector_levels,
        vector_views,
        vector_links,
        vector_admission,
        vector_attestation,
        vector_usage,
        vector_witness,
    )
    return {name: content for part in parts for name, content in part.files().items()}


def plain(value: Any) -> Any:
    """Return value as JSON can say it."""
    if isinstance(value, (bytes, bytearray)):
        return {"hex": bytes(value).hex()}
    if isinstance(value, cbor2.CBORSimpleValue):
        return {"simple": value.value}
    if isinstance(value, dict) and any(not isinstance(key, str) for key in value):
        return {"map": [[key, plain(item)] for key, item in value.items()]}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def text_of(content: dict[str, Any]) -> str:
    """Return a file's text: one vector a line, so that a change shows as one line."""
    parts = []
    for key, value in content.items():
        if isinstance(value, list):
            lines = ",\n  ".join(json.dumps(plain(vector), ensure_ascii=False) for vector in value)
            parts.append(f" {json.dumps(key)}: [\n  {lines}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(plain(value))}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(arguments: list[str]) -> int:
    """Write or check the files and return the exit code."""
    FOLDER.mkdir(exist_ok=True)
    stale = []
    for name, content in files().items():
        path = FOLDER / name
        text = text_of(content)
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text)
    print("\n".join(stale) or "all vectors are as the reference says")
    return FINDING if stale and "--check" in arguments else OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
