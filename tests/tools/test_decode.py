"""`outstation decode`: every captured item under the names of the grammar, and a wrong one with its first bad byte."""

import io
import json
import re

import pytest

from office_ingest.receive.keystore import Keystore
from protocol.diagnostic import USAGE
from tests.both.vector_files import bytes_of, read_vectors
from tools import vector_reference as reference
from tools.captured import TOP_RULES, grammars
from tools.cddl import Box, Choice, Entry, Group, Name
from tools.cli import run
from tools.device_types import ROOT

RULES = grammars()
SEGMENTS = read_vectors("segment")["accept"]
_KINDS = {
    "segment": SEGMENTS,
    "messages": read_vectors("messages")["accept"],
    "answer": read_vectors("answer")["accept"],
    "uplink": read_vectors("uplink")["requests"][:2] + read_vectors("uplink")["answers"],
    "documents": read_vectors("checkpoint")["accept"] + read_vectors("schema")["accept"],
    "event": [vector for vector in read_vectors("event")["accept"] if vector["rule"]],
}
GOOD = [vector for vectors in _KINDS.values() for vector in vectors]


def _decode(capsys, tmp_path, data, *options):
    path = tmp_path / "captured"
    path.write_bytes(data)
    code = run(["decode", str(path), *options])
    said = capsys.readouterr()
    return code, said.out, said.err


def _required_names(rule):
    """Return the names of the fields that an item of a rule always has, by the grammar alone."""
    body = RULES[rule][rule]
    if not isinstance(body, Box) or body.kind == "&":
        return set()
    (entries,) = body.group.alternatives
    return {entry.label for entry in entries if isinstance(entry, Entry) and entry.low and entry.label}


@pytest.mark.parametrize("vector", GOOD, ids=lambda v: f"{v['rule']}-{v['name']}")
def test_every_field_of_the_rule_is_in_the_text(vector, capsys, tmp_path):
    """The text of a golden item has each field that its rule demands, by the rule's own name."""
    code, out, _ = _decode(capsys, tmp_path, bytes_of(vector))

    assert code == 0
    assert out.startswith(f"{vector['rule']} at byte 0, {len(bytes_of(vector))} bytes")
    assert {name for name in _required_names(vector["rule"]) if not re.search(rf"\b{name}\b", out)} == set()


@pytest.mark.parametrize(
    ("rule", "inner"),
    [
        ("segment", "header"),
        ("segment", "tombstone"),
        ("heartbeat", "heartbeat_payload"),
        ("heartbeat", "lane_head"),
        ("receipt", "receipt_payload"),
        ("time_token", "time_token_payload"),
        ("answer", "want"),
        ("answer", "custody"),
        ("uplink_answer", "device_want"),
        ("schema", "channel"),
    ],
)
def test_nested_items_are_opened_and_named(rule, inner, capsys, tmp_path):
    """What lies in byte strings and lists inside an item is shown by the names of its own rule."""
    wanted = _labels(RULES[rule][inner])
    texts = [_decode(capsys, tmp_path, bytes_of(v))[1] for v in GOOD if v["rule"] == rule]

    assert wanted
    assert any(all(re.search(rf"\b{name}\b", text) for name in wanted) for text in texts), wanted


def _labels(node):
    if isinstance(node, Choice):
        return set().union(*(_labels(option) for option in node.options))
    if isinstance(node, Box) and node.kind != "&":
        return _labels(node.group)
    if isinstance(node, Group):
        return {entry.label for entries in node.alternatives for entry in entries if entry.label}
    assert isinstance(node, Name), node
    return set()


def test_each_row_is_shown_by_the_fields_of_its_kind(capsys, tmp_path):
    """A decision's inputs, a tombstone's reason, a boot's cause: words, not places."""
    texts = {v["name"]: _decode(capsys, tmp_path, bytes_of(v))[1] for v in _KINDS["event"]}

    assert "kind: decision (4)" in texts["decision"]
    assert {"inputs", "ages", "before", "after", "gate_last"} <= set(re.findall(r"\w+", texts["decision"]))
    assert "cause: watchdog (1)" in texts["boot"]
    assert "order 10, tick 500 ms: missing, missing" not in texts["boot"]
    assert "order 16, tick 360500 ms: 206, not_sampled" in texts["samples with outlier and every quality"]


def test_bundle_is_shown_by_the_names_of_its_own_grammar(capsys, tmp_path):
    """Rules, their modes and gates, as bundle.cddl calls them."""
    text = (ROOT / "rules" / "vectors" / "demo_bundle.json").read_text()
    code, out, _ = _decode(capsys, tmp_path, json.loads(text)["bundle"].encode())

    assert code == 0
    assert out.startswith("bundle at byte 0")
    assert {"format", "version", "rules", "gates", "needs", "age_max", "safe"} <= set(re.findall(r"\w+", out))
    assert "mode: on (2)" in out


def test_hex_text_sequences_and_standard_input_are_read(capsys, tmp_path, monkeypatch):
    """Several items one after the other, as hex text, from a pipe."""
    vectors = [_KINDS["messages"][0], _KINDS["answer"][-1], SEGMENTS[0]]
    text = "\n".join(bytes_of(vector).hex() for vector in vectors)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    assert run(["decode", "-"]) == 0
    heads = [line.split(" at ")[0] for line in capsys.readouterr().out.splitlines() if " at byte " in line]
    assert heads == ["heartbeat", "answer", "segment"]


def test_json_names_its_schema_and_every_offset(capsys, tmp_path):
    """Machines get the same tree with offsets, bytes as hex text."""
    code, out, _ = _decode(capsys, tmp_path, bytes_of(SEGMENTS[0]), "--json")
    document = json.loads(out)
    (item,) = document["items"]
    header = next(part for part in item["item"]["items"][2]["items"] if part["rule"] == "header")

    assert code == 0
    assert (document["schema"], document["version"]) == ("outstation.decode", 1)
    assert {part["name"]: part.get("meaning") for part in header["items"]}["lane"] == "critical"
    assert header["items"][1] == {
        "name": "device",
        "rule": "device_id",
        "offset": 11,
        "value": "00a1b2c3d4e5f607",
    }


def test_flash_image_shows_whole_and_torn_records_and_no_keys(capsys, tmp_path):
    """Every segment at a page's start is shown by its place; what else lies on the flash is not."""
    raw, torn = bytes_of(SEGMENTS[0]), bytes_of(SEGMENTS[1])[:90]
    image = bytearray(b"\xff" * 6 * 4096)
    image[4096 : 4096 + 64] = bytes(range(64))
    image[4 * 4096 : 4 * 4096 + len(raw)] = raw
    image[4 * 4096 + 512 : 4 * 4096 + 512 + len(torn)] = torn
    code, out, _ = _decode(capsys, tmp_path, bytes(image))

    assert code == 0
    assert f"segment at byte {4 * 4096}, {len(raw)} bytes" in out
    assert f"segment at byte {4 * 4096 + 512}: torn or overwritten" in out
    assert bytes(range(16)).hex() not in out


def _keystore(path):
    keys = Keystore.create(path)
    keys.enrol(reference.DEVICE, reference.SEAL_ROOT, reference.VIEW_ROOT, reference.DOWNLINK)
    keys.close()


def test_sealed_bodies_say_what_they_need_and_open_with_a_keystore(capsys, tmp_path):
    """Without keys the text names the key; with the office's keystore the seal is checked and the events are shown."""
    keystore = tmp_path / "keystore.db"
    _keystore(keystore)
    vector = next(v for v in SEGMENTS if v["name"] == "critical office number 0")
    closed = _decode(capsys, tmp_path, bytes_of(vector))[1]
    opened = _decode(capsys, tmp_path, bytes_of(vector), "--keystore", str(keystore))[1]

    assert "needs the view key of class office, period 0" in closed
    assert "seal verified, body opened" in opened
    assert "wall_ms: 1700000000000" in opened
    assert "order 10, tick 0 ms: 2000, 0" in opened


def test_broken_seal_is_not_opened(capsys, tmp_path):
    """A flipped bit of the tag is said, and nothing of the body is shown."""
    keystore = tmp_path / "keystore.db"
    _keystore(keystore)
    raw = bytearray(bytes_of(SEGMENTS[0]))
    raw[-1] ^= 1
    out = _decode(capsys, tmp_path, bytes(raw), "--keystore", str(keystore))[1]

    assert "sealed body not opened: seal:" in out
    assert "wall_ms" not in out


@pytest.mark.parametrize(
    "vector", [v for v in read_vectors("segment")["reject"] if v["shape"]], ids=lambda v: v["name"]
)
def test_wrong_bytes_end_with_the_first_bad_byte(vector, capsys, tmp_path):
    """Exit 2, one diagnostic, what was expected and where; no traceback."""
    code, out, err = _decode(capsys, tmp_path, bytes_of(vector))

    assert (code, out) == (USAGE, "")
    assert re.search(r"error\[decode-not-known\] .* expected at byte \d+, found ", err)


def test_wrong_field_is_named_by_its_offset(capsys, tmp_path):
    """The device of seven bytes stands at byte 11 of a segment whose payload has a one-byte length."""
    vector = next(v for v in read_vectors("segment")["reject"] if v["name"].startswith("device is b'\\x00"))
    err = _decode(capsys, tmp_path, bytes_of(vector))[2]

    assert "the nearest is segment: 8 bytes expected at byte 11" in err


@pytest.mark.parametrize("data", [b"", b"\xff", b"# not a capture\n", bytes(8192)])
def test_other_files_are_refused(data, capsys, tmp_path):
    """Nothing, noise, text and an empty flash image are each said to be so."""
    code, _, err = _decode(capsys, tmp_path, data)

    assert code == USAGE
    assert "decode-not-known" in err
    assert "Traceback" not in err


def test_missing_file_unknown_name_and_wrong_keystore_are_said(capsys, tmp_path):
    """What a person gave wrongly has a diagnostic of its own, with the nearest right word."""
    assert run(["decode", str(tmp_path / "none")]) == USAGE
    assert "file-unusable" in capsys.readouterr().err
    assert "did you mean segment?" in _decode(capsys, tmp_path, b"\x80", "--as", "segmnt")[2]
    assert (
        "decode-keystore"
        in _decode(capsys, tmp_path, bytes_of(SEGMENTS[0]), "--keystore", str(tmp_path / "no"))[2]
    )


def test_as_refuses_another_item(capsys, tmp_path):
    """--as holds the bytes to one rule."""
    code, _, err = _decode(capsys, tmp_path, bytes_of(SEGMENTS[0]), "--as", "heartbeat")

    assert code == USAGE
    assert "not heartbeat" in err


def test_every_top_rule_is_in_the_grammar():
    """What decode looks for is what the grammar defines."""
    assert set(TOP_RULES) <= set(RULES)
