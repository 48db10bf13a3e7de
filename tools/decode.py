"""`outstation decode`: any captured bytes as readable text, by the names of wire.cddl and bundle.cddl."""

import sys
from pathlib import Path
from typing import Any

import click

from protocol.diagnostic import Diagnostic, DiagnosticError, suggest
from protocol.errors import ProtocolError
from protocol.keys import body_keys
from protocol.report import emit
from protocol.segment import parse_segment
from tools.captured import (
    TOP_RULES,
    Ambiguous,
    Found,
    NotKnown,
    bytes_of_text,
    grammars,
    may_be_flash,
    read_flash,
    read_one,
    read_sequence,
)
from tools.cbor_tree import plain, read_tree
from tools.cddl_match import Named
from tools.named_text import bytes_text, json_of, lines_of, sample_lines

# A flash image of 16 MiB is the largest capture that makes sense; four of them are still quickly read.
FILE_BYTES_MAX = 64 * 1024 * 1024


@click.command()
@click.argument("file")
@click.option("--as", "rule", metavar="NAME", help="Say what FILE is, where it could be several things.")
@click.option(
    "--keystore", type=click.Path(), help="Open sealed bodies with the keys of an office's keystore."
)
@click.option("--json", "as_json", is_flag=True, help="Print the items as JSON.")
def command(file: str, rule: str | None, keystore: str | None, as_json: bool) -> None:
    """Show captured bytes as readable text.

    FILE holds a segment, heartbeat, receipt, time token, command, answer, uplink request or answer, bundle, schema or checkpoint,
    several of them one after the other, the same as hex text, or a device's flash image. - reads standard input.
    """
    known = grammars()
    if rule is not None and rule not in known:
        raise DiagnosticError(_no_such_rule(rule, known))
    data = bytes_of_text(_read(file))
    found = _items(file, data, rule, known)
    keys = _open_keystore(keystore) if keystore else None
    opened = [_open(one, keys, known) for one in found]
    if as_json:
        body = [_as_json(one, *said) for one, said in zip(found, opened, strict=True)]
        emit("outstation.decode", 1, {"bytes": len(data), "items": body})
        return
    for one, said in zip(found, opened, strict=True):
        print("\n".join(_as_text(one, *said)))


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except PermissionError:
        # Said by the command's top level, as for every file that this user may not read.
        raise
    except OSError as error:
        raise DiagnosticError(
            Diagnostic("file-unusable", f"{file}: {error.strerror}", fix="check the path and its rights")
        ) from None
    if len(data) > FILE_BYTES_MAX:
        message = f"{file} has more than {FILE_BYTES_MAX} bytes"
        raise DiagnosticError(
            Diagnostic("decode-not-known", message, fix="cut out the part that is of interest")
        )
    return data


def _items(file: str, data: bytes, rule: str | None, known: dict[str, Any]) -> list[Found]:
    try:
        return read_sequence(data, rule, known)
    except NotKnown as miss:
        if rule is None and may_be_flash(data):
            return _flash(file, data, known)
        raise DiagnosticError(_not_known(file, data, rule, miss)) from None
    except Ambiguous as several:
        message = f"{file}: the item at byte {several.offset} may be {' or '.join(several.names)}"
        fix = f"say which: --as {several.names[0]}"
        raise DiagnosticError(Diagnostic("decode-ambiguous", message, fix=fix)) from None


def _flash(file: str, data: bytes, known: dict[str, Any]) -> list[Found]:
    found = read_flash(data, known)
    if not found:
        message = f"{file}: no segment starts at any page of this image of {len(data)} bytes"
        raise DiagnosticError(
            Diagnostic("decode-not-known", message, fix="check that it is the flash of a device that has run")
        )
    return found


def _not_known(file: str, data: bytes, rule: str | None, miss: NotKnown) -> Diagnostic:
    offset = miss.error.offset
    there = data[offset : offset + 8].hex(" ") or "the end"
    what = f"not {rule}" if rule else f"nothing known; the nearest is {miss.rule}"
    message = f"{file}: {what}: {miss.error.expected} expected at byte {offset}, found {there}"
    fix = "decode takes " + ", ".join(TOP_RULES) + ", as bytes or hex text, or a flash image"
    return Diagnostic("decode-not-known", message, fix=fix)


def _no_such_rule(rule: str, known: dict[str, Any]) -> Diagnostic:
    near = suggest(rule, known)
    fix = f"did you mean {near}?" if near else "names are " + ", ".join(TOP_RULES)
    return Diagnostic("decode-no-such-name", f"--as {rule}: the grammar has no rule of this name", fix=fix)


def _open_keystore(path: str) -> Any:
    # Late: only this option needs the office.
    from office_ingest.errors import OfficeError
    from office_ingest.receive.keystore import Keystore

    try:
        return Keystore.open(Path(path), read_only=True)
    except OfficeError as error:
        fix = "name the keystore.db of the office's folder"
        raise DiagnosticError(Diagnostic("decode-keystore", str(error), fix=fix)) from None


def _open(one: Found, keys: Any, known: dict[str, Any]) -> tuple[Named | None, bytes, str | None]:
    """Return (events under names, plaintext, what to say) of a segment's sealed body."""
    if one.named is None or one.rule != "segment":
        return None, b"", None
    segment = parse_or_none(one.raw)
    if segment is None or segment.tombstone is not None:
        return None, b"", None
    header = segment.header
    place = f"class {('clear', 'site', 'office')[header.view_class]}, period {header.period}"
    if keys is None:
        return None, b"", f"sealed body not opened: it needs the view key of {place} (--keystore)"
    try:
        segment.verify(keys.tag_key(header.device, header.lane, header.generation))
        view = keys.view_key(header.device, header.view_class, header.period)
        if view is None:
            return None, b"", f"seal verified; sealed body not opened: the view key of {place} was erased"
        plaintext = segment.open_body(*body_keys(view), _ctr)
    except (ProtocolError, LookupError) as error:
        return None, b"", f"sealed body not opened: {error}"
    return _events(plaintext, known), plaintext, "seal verified, body opened"


def _events(plaintext: bytes, known: dict[str, Any]) -> Named | None:
    try:
        return read_one(plaintext, 0, "events", known).named
    except NotKnown:
        return None


def parse_or_none(raw: bytes) -> Any:
    """Return the parsed segment, or None where the grammar fits and a rule beyond it does not."""
    try:
        return parse_segment(raw)
    except ProtocolError:
        return None


def _ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    from protocol.aead import ctr
    from protocol.aes_host import Aes128

    return ctr(Aes128(key), iv, data)


def _as_text(one: Found, events: Named | None, plaintext: bytes, said: str | None) -> list[str]:
    head = f"{one.rule} at byte {one.offset}"
    if one.problem or one.named is None:
        return [f"{head}: {one.problem}", f"  {bytes_text(one.raw)}"]
    lines = lines_of(one.named)
    lines[0] = f"{head}, {len(one.raw)} bytes, digest {one.digest()}" + lines[0].removeprefix(one.rule)
    if one.rule == "events":
        lines += ["  " + line for line in sample_lines(plain(one.named.item))]
    if said:
        lines.append(f"  {said}")
    if plaintext:
        lines += ["  " + line for line in _plaintext_lines(events, plaintext)]
    return lines


def _plaintext_lines(events: Named | None, plaintext: bytes) -> list[str]:
    if events is None:
        return [f"plaintext, not in the grammar: {bytes_text(plaintext)}"]
    samples = sample_lines(plain(read_tree(plaintext, 0, len(plaintext))))
    return lines_of(events) + ["  " + line for line in samples]


def _as_json(one: Found, events: Named | None, plaintext: bytes, said: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {"rule": one.rule, "offset": one.offset, "bytes": len(one.raw)}
    if one.named is None:
        return {**body, "problem": one.problem, "raw": one.raw.hex()}
    body |= {"digest": one.digest(), "item": json_of(one.named)}
    if said:
        body["body"] = said
    if plaintext:
        body["plaintext"] = plaintext.hex()
    if events is not None:
        body["events"] = json_of(events)
    return body
