"""Replaces release roots on devices: what is published, who is ordered to take it, who holds what, and when a root may be retired.

A replacement is a few bytes that a root signed (SPEC.md section 12.5); each device is ordered to take it by a command of its own. Which
roots a device holds it says itself, in its attestation. A device that says nothing of roots is taken to need every one.
"""

import hashlib
from typing import NamedTuple

from office_ingest.errors import KeyUnknown
from office_ingest.govern.commands import CommandRefused, answer_words, give_command
from office_ingest.govern.release import ReleaseRefused
from office_ingest.govern.shelf import Replacement, Root, Shelf
from office_ingest.govern.signer import Signer
from office_ingest.receive.keystore import Keystore
from office_ingest.storage.attested import AttestedStore
from office_ingest.storage.downward import CommandRow, Downward
from office_ingest.storage.sqlite import SqliteStore
from protocol.attestation import roots_of
from protocol.cbor import loads
from protocol.command import DONE, root_demand
from protocol.diagnostic import Diagnostic, DiagnosticError
from protocol.envelope import (
    ROOT,
    Succession,
    check_replacement,
    check_succession,
    encode_succession,
    key_id,
    parse_envelope,
)
from protocol.errors import ProtocolError
from protocol.limits import admission_roots_max
from protocol.lms import leaf_of

REPLACED, ORDERED, REFUSED, LATE, HOLDS, SILENT = (
    "replaced",
    "ordered",
    "refused",
    "late",
    "holds it",
    "silent",
)


class Holder(NamedTuple):
    """How a device stands towards a root. state: one of the above; words: why, for people."""

    device: bytes
    name: str
    state: str
    words: str

    @property
    def needs(self) -> bool:
        """Whether a release that this root did not sign may be refused there for that, as far as the office knows."""
        return self.state != REPLACED


class Ordered(NamedTuple):
    """What came of a replacement: devices that were given the order, those that had it, and (device name, why) of the others."""

    replacement: Replacement
    given: list[str]
    had: list[str]
    not_given: list[tuple[str, str]]


def root_called(shelf: Shelf, text: str) -> Root:
    """Return the root whose identifier or public key begins so in hex, at least 8 digits. Raises ReleaseRefused."""
    found = [
        root
        for root in shelf.roots()
        if len(text) >= 8 and (root.key_id.hex().startswith(text) or root.public.hex() == text)
    ]
    if len(found) != 1:
        raise ReleaseRefused(f"{text} names {len(found)} of the roots that this office knows, not one")
    return found[0]


def replace_root(
    store: SqliteStore,
    keystore: Keystore,
    old: Root,
    body: bytes,
    *,
    author: str,
    now_ms: int,
    lasts_ms: int,
) -> Ordered:
    """Publish a replacement of a root and order every device that may hold the root to take it. May be done again: for those that lack it.

    body: old's successor, or what make_replacement returned. Raises ReleaseRefused: nothing was published, nobody ordered anything.
    """
    shelf = Shelf(store)
    replacement = _checked(shelf, old, body, author, now_ms)
    shelf.add_replacement(replacement)
    given, had, not_given = [], [], []
    for holder in holders(store, old.key_id, now_ms):
        if not holder.needs or holder.state == ORDERED:
            had.append(holder.name)
            continue
        try:
            give_command(
                store,
                keystore,
                holder.device,
                root_demand(replacement.digest),
                author=author,
                now_ms=now_ms,
                lasts_ms=lasts_ms,
            )
        except (CommandRefused, KeyUnknown) as error:
            not_given.append((holder.name, str(error)))
        else:
            given.append(holder.name)
    return Ordered(replacement, given, had, not_given)


def _checked(shelf: Shelf, old: Root, body: bytes, author: str, now_ms: int) -> Replacement:
    known = {root.key_id: root for root in shelf.roots()}
    try:
        new = check_replacement(
            body,
            [root.public for root in known.values() if key_id(root.public) not in _news(shelf, old, body)],
        )
    except ProtocolError as error:
        raise ReleaseRefused(f"a device would refuse this replacement: {error}") from None
    if new.predecessor != old.key_id:
        raise ReleaseRefused(f"it replaces {new.predecessor.hex()}, not {old.key_id.hex()}")
    if key_id(new.public) not in known:
        raise ReleaseRefused(
            f"nobody has shown that they have key {key_id(new.public).hex()}: outstation release succeed FOLDER first"
        )
    if key_id(new.public) in shelf.replaced():
        raise ReleaseRefused(f"root {key_id(new.public).hex()} was replaced itself")
    other = [one for one in shelf.replacements() if one.replaced == old.key_id and one.public != new.public]
    if other:
        raise ReleaseRefused(
            f"root {old.key_id.hex()} is replaced by {key_id(other[0].public).hex()} already"
        )
    envelope = parse_envelope(body)
    digest, leaf = hashlib.sha256(body).digest(), leaf_of(envelope.signature)
    return Replacement(digest, old.key_id, new.public, envelope.key_id, leaf, body, author, now_ms)


def _news(shelf: Shelf, old: Root, body: bytes) -> set[bytes]:
    """Return the identifier of the key that a replacement names: the office knows it, devices do not hold it yet."""
    try:
        public = loads(parse_envelope(body).payload)[2]
        return {key_id(public)} - {old.key_id}
    except (ProtocolError, TypeError, IndexError, KeyError):
        return set()


def newcomer_roots(shelf: Shelf) -> list[bytes]:
    """Return the public keys that a new device is given, the eldest first. Raises DiagnosticError: more than a device can name."""
    roots = shelf.for_newcomers()
    if len(roots) > admission_roots_max:
        names = ", ".join(root.key_id.hex() for root in roots)
        raise DiagnosticError(
            Diagnostic(
                "provision-roots",
                f"{len(roots)} roots sign releases here ({names}), and a device takes {admission_roots_max} at most",
                fix="let one stand in the place of another first: outstation release root replace OLD",
            )
        )
    return [root.public for root in roots]


def successor_body(old: Root) -> bytes:
    """Return the replacement that was made together with a root: it is there though the root's key is lost."""
    check_succession(old.successor, old.public)
    return old.successor


def make_replacement(shelf: Shelf, signer: Signer, old: Root, new: Root, now_ms: int) -> bytes:
    """Return a replacement of old by new that another root signs. Raises ReleaseRefused, or what Signer.envelope raises."""
    if signer.key_id not in {root.key_id for root in shelf.trusted()}:
        raise ReleaseRefused(f"key {signer.key_id.hex()} is no root that devices hold")
    if signer.key_id in (old.key_id, new.key_id) or old.key_id == new.key_id:
        raise ReleaseRefused(
            "it takes three keys: the one that is replaced, the one that replaces it, and the one that signs"
        )
    payload = encode_succession(Succession(old.key_id, new.public, now_ms))
    return signer.envelope(ROOT, payload, published=shelf.published(signer.key_id))


def holders(store: SqliteStore, root: bytes, now_ms: int) -> list[Holder]:
    """Return how every device that is not revoked stands towards a root (its identifier), by name."""
    demands = [root_demand(one.digest) for one in Shelf(store).replacements() if one.replaced == root]
    attested, down = AttestedStore(store), Downward(store)
    rows = store.connection.execute(
        "SELECT id, name FROM devices WHERE id NOT IN (SELECT device FROM revoked) ORDER BY name"
    ).fetchall()
    found = []
    for device, name in rows:
        said = attested.newest(device)
        held = None if said is None else roots_of(said.claims)
        orders = [row for row in down.commands(device) if row.demand in demands]
        found.append(Holder(device, name, *_stands(root, held, orders, now_ms)))
    return found


def _stands(root: bytes, held: list[bytes] | None, orders: list[CommandRow], now_ms: int) -> tuple[str, str]:
    # A full list may leave out the eldest: what it does not name is not known.
    if held is not None and root not in held and len(held) < admission_roots_max:
        return REPLACED, "it does not hold it"
    newest = orders[0] if orders else None
    if newest is not None and newest.verdict is None and now_ms < newest.until_ms:
        return ORDERED, f"command {newest.number} waits"
    if newest is not None and newest.verdict is None:
        return LATE, f"command {newest.number} was not answered in its time"
    if newest is not None and newest.verdict != DONE:
        return REFUSED, f"command {newest.number}: {answer_words(newest, now_ms)}"
    if held is not None and root in held:
        return HOLDS, "it holds it"
    if held is not None:
        return SILENT, "it names as many roots as it can, and not this one"
    return SILENT, "it says nothing of roots: an agent of before"


def retire_root(store: SqliteStore, root: Root, author: str, now_ms: int) -> None:
    """Let a root sign nothing any more. Raises ReleaseRefused while it is not replaced, or a device may need it."""
    shelf = Shelf(store)
    if root.key_id not in shelf.replaced():
        raise ReleaseRefused(f"root {root.key_id.hex()} is replaced by none: outstation release root replace")
    lagging = [holder for holder in holders(store, root.key_id, now_ms) if holder.needs]
    if lagging:
        words = "; ".join(f"{one.name}: {one.words}" for one in lagging[:8])
        more = f"; and {len(lagging) - 8} more" if len(lagging) > 8 else ""
        raise ReleaseRefused(f"{len(lagging)} devices may need root {root.key_id.hex()}: {words}{more}")
    shelf.retire(root.key_id, author, now_ms)
