"""Every JSON document names its schema and version."""

import io
import json

import pytest

from protocol.report import emit


def test_document_names_schema_and_version_first():
    """A reader can tell from the first keys whether it knows the document."""
    stream = io.StringIO()
    emit("outstation.gateway-status", 1, {"devices": 8, "head": b"\x01\xff"}, stream)

    assert list(json.loads(stream.getvalue()).items()) == [
        ("schema", "outstation.gateway-status"),
        ("version", 1),
        ("devices", 8),
        ("head", "01ff"),
    ]


@pytest.mark.parametrize("body", [{"schema": "x"}, {"version": 2}])
def test_body_cannot_hide_the_schema(body):
    """A body that would overwrite schema or version is our own mistake."""
    with pytest.raises(AssertionError):
        emit("outstation.x", 1, body, io.StringIO())


def test_value_without_a_json_form_is_refused():
    """Nothing is printed as some object's repr."""
    with pytest.raises(TypeError, match="no JSON"):
        emit("outstation.x", 1, {"a": object()}, io.StringIO())
