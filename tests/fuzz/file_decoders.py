"""Decoders of files that people and tools hand in: captures, flash images, policies, settings, key folders."""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from gateway.config import read_configuration, read_gateway, read_links
from gateway.points import read_kill_point
from office_ingest.config import read_office
from office_ingest.errors import OfficeError
from office_ingest.govern.agent import AgentFiles, encode_agent, parse_agent
from office_ingest.govern.leaf import LeafCounter, OsDisk
from office_ingest.govern.signer import OpenSigner, make_key
from protocol.agent_index import AgentIndex, encode_agent_index
from protocol.diagnostic import DiagnosticError
from protocol.passphrase import FILE, Source, read_passphrase
from protocol.sqlite_key import SUFFIX, read_entries
from protocol.window import parse_window
from rules.authoring.cel import CelError, parse
from rules.authoring.compile import check_text
from tests.fuzz.device_decoders import ENTRIES as DEVICE_ENTRIES
from tests.fuzz.flash_readers import damage
from tests.fuzz.frames import Entry, make_frame
from tools.captured import Ambiguous, NotKnown, bytes_of_text, grammars, read_flash, read_sequence
from tools.cbor_tree import BadBytes, read_tree
from tools.device import read_device, read_roots
from tools.flashimage import read_image
from tools.provision import recording_mistakes

ROOT = Path(__file__).resolve().parent.parent.parent
_GOLDEN = {entry.name: entry.golden for entry in DEVICE_ENTRIES}
_ITEMS = [
    raw
    for name in ("segment", "heartbeat", "receipt", "answer", "schema", "checkpoint", "bundle")
    for raw in _GOLDEN[name][:12]
]


_MEMORY = "/dev/shm"


@cache
def _folder():
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=_MEMORY if os.path.isdir(_MEMORY) else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _subfolder(name):
    """Return the folder of a kind of files, with the others that they name beside them."""
    folder = _folder() / name
    folder.mkdir()
    for beside, content in _BESIDE.get(name, {}).items():
        (folder / beside).touch(0o600)
        (folder / beside).write_bytes(content)
    return folder


_FILE = b"a compiled file" * 9
_INDEX = AgentIndex(6, [("agent/app.mpy", hashlib.sha256(_FILE).digest(), len(_FILE))])
_ARCHIVE = encode_agent(AgentFiles(encode_agent_index(_INDEX), [_FILE]))


def write_beside(raw, kind, name):
    """Return the path of a file of these bytes, in the folder of its kind."""
    path = _subfolder(kind) / name
    path.touch(0o600)
    path.write_bytes(bytes(raw))
    return path


# What people's files are broken with: brackets that never close, references, tabs, numbers that do not end.
_TOKENS = (
    *(
        b"[" * 2000,
        b"{" * 2000,
        b"(" * 2000,
        b"-" * 300,
        b"- " * 300,
        b"!" * 500,
        b"9" * 5000,
        b"1e" + b"9" * 400,
    ),
    *(
        b"&a ",
        b"*a",
        b"<<: *a",
        b"!!python/object:os.system",
        b"\t",
        b"\r",
        b"\n\n",
        b": ",
        b"#",
        b'"',
        b"'",
        b"|\n",
        b"? ",
    ),
    *(
        b"\x00",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\xff\xfe",
        b"%YAML 9.9\n---\n",
        b"...",
        b"[[",
        b"]]",
        b"= ",
        b"nan",
        b"-0",
    ),
)


def edit_text(dice, golden):
    """Return a text with bytes edited, or tokens put in, or lines repeated."""
    if dice.below(3) == 0:
        return make_frame(dice, golden)
    raw = golden[dice.below(len(golden))]
    for _ in range(1 + dice.below(2)):
        at = dice.below(len(raw) + 1)
        if dice.below(4) == 0:
            lines = raw.split(b"\n")
            line = dice.below(len(lines))
            raw = b"\n".join(lines[: line + 1] + lines[dice.below(line + 1) :])
        else:
            raw = raw[:at] + _TOKENS[dice.below(len(_TOKENS))] + raw[at + dice.below(3) :]
    return raw


def _tree(raw):
    read_tree(raw, 0, len(raw))


_known = cache(grammars)


def _capture(raw):
    data = bytes_of_text(raw)
    for one in read_sequence(data, None, _known()):
        one.digest()


def _capture_flash(raw):
    read_flash(bytes(raw), _known())


def _image(raw):
    image = read_image(write_beside(raw, "flash", "flash.bin"))
    image.lines()
    json.dumps(image.as_json())


def _nothing_to_load(name):
    raise FileNotFoundError(2, "No such file or directory", name)


def _policy(raw):
    check_text(raw.decode("utf-8", "replace"), "policy.yaml", _nothing_to_load)


def _condition(raw):
    parse(raw.decode("utf-8", "replace"))


def _kill_point(raw):
    read_kill_point(raw.decode("utf-8", "replace"))


def _window(raw):
    parse_window(raw.decode("utf-8", "replace"))


def _passphrase(raw):
    read_passphrase(Source(FILE, str(write_beside(raw, "passphrase", "passphrase"))))


def _cipher_keys(raw):
    path = write_beside(raw, "cipher", "office.db" + SUFFIX)
    read_entries(path.with_name("office.db"))


def _recording(raw):
    recording_mistakes(write_beside(raw, "recording", "recording.csv"))


def _settings(read, kind, name):
    return lambda raw: read(write_beside(raw, kind, name))


@cache
def key_folder():
    """Return the folder of a signing key, made at the first call."""
    folder = _folder() / "key"
    make_key(folder, now_ms=0, random=lambda n: bytes(range(n)), tree=5, one_time=3)
    return folder


_KEY_FILES = ("secret", "leaves", "public")


@cache
def _key_files():
    return [(key_folder() / name).read_bytes() for name in (*_KEY_FILES, _leaf_name())]


def _leaf_name():
    (name,) = [
        path.name
        for path in key_folder().iterdir()
        if path.name not in (*_KEY_FILES, "lock", "CACHEDIR.TAG", "successor", "successor.cose")
    ]
    return name


def _damage_key(dice, golden):
    """Return which file, and what it holds now."""
    place = dice.below(len(_key_files()))
    return bytes([place]) + make_frame(dice, [_key_files()[place]])


def _key(raw):
    """Open a signing key of whose files one is damaged."""
    folder, name = key_folder(), (*_KEY_FILES, _leaf_name())[raw[0]]
    (folder / name).write_bytes(raw[1:])
    try:
        with OpenSigner(folder) as signer:
            LeafCounter(folder, signer.key_id, OsDisk()).next_leaf()
    finally:
        (folder / name).write_bytes(_key_files()[raw[0]])


_CONDITIONS = [
    b"flow < 90.00",
    b"flow > 100.0 && air in [1.0, 2.5] ? held(flow > 1, '30 s') : !latch(a, b)",
    b"max(flow, '10 m') - min(flow, '10 m') > 4.5 || count(good(air)) >= 3",
]
_LINKS = b'[[device]]\nid = "0011223344556677"\nkid = "01"\nsecret = "000102030405060708090a0b0c0d0e0f"\n'
_GATEWAY = b'[gateway]\nsite = "north"\nname = "gw-1"\n[listen]\nport = 5683\n[uplink]\nurl = "https://127.0.0.1:8443"\nretry_min_s = 0.05\n[store]\nbytes_max = 1073741824\n'
_OFFICE = (
    b'[office]\nname = "office"\n[listen]\nhost = "127.0.0.1"\nport = 8443\n[heartbeat]\ninterval_s = 10\n'
)
_DEVICE = b'device = "0011223344556677"\nsample_ms = 1000\nflash_sectors = 64\nclass = ["office", "site"]\n[link]\nhost = "127.0.0.1"\nport = 5683\n'
_ROOTS = (bytes.fromhex("0000000100000005") + bytes.fromhex("00000004") + bytes(48)).hex().encode() + b"\n"
_PASSPHRASE = b"a passphrase of more than thirty-two bytes, in one line\n"
_KEY_OF_STORE = {"salt": "00" * 16, "check": "11" * 16, "passphrase": {"kind": FILE, "name": "/nowhere"}}
_CIPHER = json.dumps({"format": 1, "keys": [_KEY_OF_STORE]}).encode()
_CSV = b"8000,900\n8100,\n-5,901\n"

_BESIDE = {
    "read_configuration": {"links.toml": _LINKS, "token": b"a-token\n", "office-ca.pem": b""},
    "read_device": {"link.toml": b'kid = "01"\nsecret = "000102030405060708090a0b0c0d0e0f"\n'},
}

FILE_ENTRIES = [
    Entry("tree", _tree, _ITEMS, ("tools.cbor_tree.read_tree",), 200, (BadBytes,)),
    Entry(
        "capture",
        _capture,
        [*_ITEMS, _ITEMS[0] + _ITEMS[1], _ITEMS[0].hex().encode()],
        ("tools.captured.read_sequence", "tools.captured.read_one"),
        30,
        (NotKnown, Ambiguous),
    ),
    Entry(
        "capture_flash",
        _capture_flash,
        _GOLDEN["flash_boot"],
        ("tools.captured.read_flash",),
        2,
        (),
        damage,
    ),
    Entry(
        "flash_image",
        _image,
        _GOLDEN["flash_boot"],
        ("tools.flashimage.read_image",),
        4,
        (DiagnosticError,),
        damage,
    ),
    Entry(
        "policy",
        _policy,
        [(ROOT / "docs" / "rules" / "demo.yaml").read_bytes()],
        ("rules.authoring.policy.read_policy", "rules.authoring.source.read_source"),
        8,
        (),
        edit_text,
    ),
    Entry("condition", _condition, _CONDITIONS, ("rules.authoring.cel.parse",), 200, (CelError,), edit_text),
    Entry(
        "gateway_toml",
        _settings(read_gateway, "read_gateway", "gateway.toml"),
        [_GATEWAY],
        ("gateway.config.read_gateway", "protocol.settings.read_settings"),
        20,
        (DiagnosticError,),
        edit_text,
    ),
    Entry(
        "links_toml",
        _settings(read_links, "read_links", "links.toml"),
        [_LINKS, _LINKS + _LINKS],
        ("gateway.config.read_links",),
        20,
        (DiagnosticError,),
        edit_text,
    ),
    Entry(
        "gateway_files",
        _settings(read_configuration, "read_configuration", "gateway.toml"),
        [_GATEWAY],
        ("gateway.config.read_configuration",),
        10,
        (DiagnosticError,),
        edit_text,
    ),
    Entry(
        "office_toml",
        _settings(read_office, "read_office", "office.toml"),
        [_OFFICE],
        ("office_ingest.config.read_office",),
        20,
        (DiagnosticError,),
        edit_text,
    ),
    Entry(
        "device_toml",
        _settings(read_device, "read_device", "device.toml"),
        [_DEVICE],
        ("tools.device.read_device",),
        20,
        (DiagnosticError,),
        edit_text,
    ),
    Entry(
        "roots",
        _settings(read_roots, "read_roots", "roots"),
        [_ROOTS, _ROOTS * 2],
        ("tools.device.read_roots",),
        20,
        (DiagnosticError,),
        edit_text,
    ),
    Entry(
        "kill_point",
        _kill_point,
        [b"before_commit:3", b"after_receipt:1"],
        ("gateway.points.read_kill_point",),
        40,
        (DiagnosticError,),
        edit_text,
    ),
    Entry(
        "bulk_window",
        _window,
        [b"01:00-04:00", b"23:30-00:15"],
        ("protocol.window.parse_window",),
        100,
        (ValueError,),
        edit_text,
    ),
    Entry(
        "passphrase",
        _passphrase,
        [_PASSPHRASE],
        ("protocol.passphrase.read_passphrase",),
        20,
        (DiagnosticError,),
        edit_text,
    ),
    Entry(
        "cipher_keys",
        _cipher_keys,
        [_CIPHER],
        ("protocol.sqlite_key.read_entries",),
        20,
        (DiagnosticError,),
        edit_text,
    ),
    Entry("recording", _recording, [_CSV], (), 20, (), edit_text),
    Entry("agent_archive", parse_agent, [_ARCHIVE], ("office_ingest.govern.agent.parse_agent",), 100),
    # The others: a parameter of another type, or below zero (test_hosts.py says so).
    Entry("signing_key", _key, [b""], (), 5, (OfficeError,), _damage_key),
]
