"""The part of the auditor's walk about releases: each is what was signed, by a root that this office knows, with a leaf that signed nothing else.

It needs no key: manifests, parts, signatures and replacements of roots are their own proof. Who built or published them and when, and why a
release needs two signatures, nothing repeats; devices judge the latter themselves.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from office_ingest.prove.report import Report
from protocol.agent_index import parse_agent_index
from protocol.command import ROOT as ROOT_DEMAND
from protocol.command import root_digest
from protocol.envelope import (
    RELEASE,
    ROOT,
    Envelope,
    check_replacement,
    check_succession,
    key_id,
    parse_envelope,
)
from protocol.errors import ProtocolError
from protocol.lms import leaf_of
from protocol.manifest import AGENT, parse_manifest

# Identifier of a root -> its public key.
Publics = dict[bytes, bytes]
# (root, leaf) -> what it signed: purpose and payload.
Leaves = dict[tuple[bytes, int], tuple[bytes, bytes]]


def check_released(connection: sqlite3.Connection, report: Report) -> None:
    """Check all releases, their signatures and parts, and the roots that sign them."""
    leaves: Leaves = {}
    publics = _check_roots(connection, leaves, report)
    _check_releases(connection, report)
    _check_signatures(connection, publics, leaves, report)
    _check_parts(connection, report)
    _check_replacements(connection, publics, leaves, report)
    _check_witnessed(connection, publics, leaves, report)


def _check_roots(connection: sqlite3.Connection, leaves: Leaves, report: Report) -> Publics:
    """Return the roots whose row proves itself."""
    publics = {}
    for root, public, successor in connection.execute("SELECT id, public, successor FROM release_roots"):
        where = f"root {root.hex()}"
        try:
            if root != key_id(public):
                report.find("release_roots", where, f"its public key is that of root {key_id(public).hex()}")
                continue
            check_succession(successor, public)
            publics[root] = public
            _use_leaf(leaves, parse_envelope(successor), ROOT, "release_roots", where, report)
        except ProtocolError as error:
            report.find("release_roots", where, f"its successor is not what it signed: {error}")
        report.count("roots_checked")
    return publics


def _use_leaf(
    leaves: Leaves, envelope: Envelope, purpose: bytes, table: str, where: str, report: Report
) -> None:
    """Note which leaf signed what. Raises ProtocolError: the signature has none."""
    leaf, said = (envelope.key_id, leaf_of(envelope.signature)), (purpose, envelope.payload)
    if leaves.setdefault(leaf, said) != said:
        what = f"leaf {leaf[1]} of root {leaf[0].hex()} signed something else too: whoever has both can sign as that root"
        report.find(table, where, what)


def _check_releases(connection: sqlite3.Connection, report: Report) -> None:
    for number, digest, raw in connection.execute(
        "SELECT number, digest, manifest FROM releases ORDER BY number"
    ):
        where = f"number {number}"
        if hashlib.sha256(raw).digest() != digest:
            report.find("releases", where, "manifest and digest do not belong together")
        try:
            manifest = parse_manifest(raw)
        except ProtocolError as error:
            report.find("releases", where, f"its manifest is none: {error}")
            continue
        if manifest.number != number:
            report.find("releases", where, f"its manifest is that of number {manifest.number}")
        for part in _parts_of(connection, manifest):
            if connection.execute("SELECT 1 FROM release_parts WHERE digest = ?", (part,)).fetchone() is None:
                report.find("release_parts", where, f"part {part.hex()} is missing: deleted?")
        report.count("releases_checked")


def _parts_of(connection: sqlite3.Connection, manifest: Any) -> Iterator[bytes]:
    """Give the digest of each part of a release, and of each file of its agent."""
    for kind, digest, _ in manifest.parts:
        yield digest
        row = connection.execute("SELECT body FROM release_parts WHERE digest = ?", (digest,)).fetchone()
        if kind != AGENT or row is None:
            continue
        try:
            yield from [file[1] for file in parse_agent_index(row[0]).files]
        except ProtocolError:
            continue  # Its digest cannot fit: said where parts are checked.


def _check_signatures(
    connection: sqlite3.Connection, publics: Publics, leaves: Leaves, report: Report
) -> None:
    rows = connection.execute(
        "SELECT s.number, s.root, s.leaf, s.raw, r.digest FROM release_signatures s LEFT JOIN releases r ON r.number = s.number"
        " ORDER BY s.number, s.root"
    )
    for number, root, leaf, raw, digest in rows:
        where = f"number {number} root {root.hex()}"
        try:
            envelope = parse_envelope(raw)
            wrong = _wrong_signature((root, leaf), envelope, digest, publics)
            _use_leaf(leaves, envelope, RELEASE, "release_signatures", where, report)
        except ProtocolError as error:
            wrong = str(error)
        if wrong:
            report.find("release_signatures", where, wrong)
        report.count("signatures_checked")


def _wrong_signature(
    said: tuple[bytes, int], envelope: Envelope, digest: bytes | None, publics: Publics
) -> str:
    """Return what is wrong with a row that says root and leaf, or "". digest: of the manifest. Raises ProtocolError: it does not verify."""
    sealed = (envelope.key_id, leaf_of(envelope.signature))
    if said != sealed:
        return f"the row says leaf {said[1]}, the signature leaf {sealed[1]} of root {sealed[0].hex()}"
    if digest is None:
        return "the release that it signs is not there: deleted?"
    if envelope.payload != digest:
        return "it signs another manifest"
    if said[0] not in publics:
        return "no root that this office knows signed it"
    envelope.verify(publics[said[0]], RELEASE)
    return ""


def _check_parts(connection: sqlite3.Connection, report: Report) -> None:
    for digest, body in connection.execute("SELECT digest, body FROM release_parts ORDER BY digest"):
        if hashlib.sha256(body).digest() != digest:
            report.find("release_parts", f"digest {digest.hex()}", "the body does not have this digest")
        report.count("parts_checked")


def _check_replacements(
    connection: sqlite3.Connection, publics: Publics, leaves: Leaves, report: Report
) -> None:
    replaced, digests = set(), set()
    for digest, *row in connection.execute(
        "SELECT digest, replaced, public, signer, leaf, body FROM root_replacements ORDER BY rowid"
    ):
        where, body = f"digest {digest.hex()}", row[-1]
        replaced.add(row[0])
        digests.add(digest)
        if hashlib.sha256(body).digest() != digest:
            report.find("root_replacements", where, "the body does not have this digest")
        try:
            wrong = _wrong_replacement(row, publics)
            _use_leaf(leaves, parse_envelope(body), ROOT, "root_replacements", where, report)
        except ProtocolError as error:
            wrong = f"no root that this office knows signed it: {error}"
        if wrong:
            report.find("root_replacements", where, wrong)
        report.count("replacements_checked")
    for (root,) in connection.execute("SELECT id FROM roots_retired ORDER BY rowid"):
        if root not in replaced:
            report.find(
                "roots_retired", f"root {root.hex()}", "nothing replaces it: was the replacement deleted?"
            )
    _check_ordered(connection, digests, report)


def _check_witnessed(
    connection: sqlite3.Connection, publics: Publics, leaves: Leaves, report: Report
) -> None:
    """What gateways showed of leaves that this database may have forgotten: signed by whom it says, and nothing signed with them again."""
    for root, leaf, raw in connection.execute(
        "SELECT root, leaf, envelope FROM witnessed ORDER BY root, leaf, mark"
    ):
        where = f"root {root.hex()} leaf {leaf}"
        try:
            envelope = parse_envelope(raw)
            if (envelope.key_id, leaf_of(envelope.signature)) != (root, leaf):
                report.find("witnessed", where, "the envelope is by another leaf")
            elif root in publics:
                purpose = purpose_of(envelope, publics[root])
                _use_leaf(leaves, envelope, purpose, "witnessed", where, report)
        except ProtocolError as error:
            report.find("witnessed", where, f"the root did not sign it: {error}")
        report.count("witnessed_checked")


def purpose_of(envelope: Envelope, public: bytes) -> bytes:
    """Return what a root signed an envelope for: RELEASE or ROOT. Raises ProtocolError: it did not sign it."""
    try:
        envelope.verify(public, RELEASE)
    except ProtocolError:
        envelope.verify(public, ROOT)
        return ROOT
    return RELEASE


def _wrong_replacement(row: list[Any], publics: Publics) -> str:
    """Return what is wrong with the columns after the digest, or "". Raises ProtocolError: it does not verify."""
    replaced, public, signer, leaf, body = row
    # What it names is known here; a device that takes it does not hold that yet.
    new = check_replacement(body, [known for known in publics.values() if known != public])
    envelope = parse_envelope(body)
    sealed = (new.predecessor, new.public, envelope.key_id, leaf_of(envelope.signature))
    for name, stored, said in zip(
        ("replaced", "public", "signer", "leaf"), (replaced, public, signer, leaf), sealed, strict=True
    ):
        if stored != said:
            return f"column {name} differs from the signed bytes"
    return "" if key_id(public) in publics else "it names a root that this office does not know: deleted?"


def _check_ordered(connection: sqlite3.Connection, digests: set[bytes], report: Report) -> None:
    """What a device was ordered to take must be there: the order, sealed, names it."""
    rows = connection.execute(
        "SELECT device, number, body FROM commands WHERE raw IS NOT NULL AND body LIKE ? ORDER BY device, number",
        (f"[{ROOT_DEMAND},%",),
    )
    for device, number, body in rows:
        if root_digest(json.loads(body)) not in digests:
            where = f"device {device.hex()} number {number}"
            report.find(
                "root_replacements", where, "the replacement that this command names is missing: deleted?"
            )
