"""Hosts only: what a command prints for machines. Every `--json` goes through emit, so that each document names its schema."""

import json
import sys
from collections.abc import Mapping
from typing import TextIO

SCHEMA_PREFIX = "outstation."


def emit(schema: str, version: int, body: Mapping[str, object], stream: TextIO | None = None) -> None:
    """Print one JSON document: {"schema": ..., "version": ..., then the keys of body} and a newline.

    schema: "outstation.NOUN"; version rises when a key changes its meaning or goes away, not when one is added.
    bytes become hex text. A body that holds "schema" or "version" is our own mistake.
    """
    assert schema.startswith(SCHEMA_PREFIX), schema
    assert "schema" not in body, schema
    assert "version" not in body, schema
    document = {"schema": schema, "version": version, **body}
    print(json.dumps(document, default=_plain), file=stream or sys.stdout, flush=True)


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    raise TypeError(f"no JSON for a value of type {type(value).__name__}")
