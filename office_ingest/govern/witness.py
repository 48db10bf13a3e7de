"""Gateways remember which leaves signed: the one memory that a restore at the office does not put back.

The office tells every gateway the highest leaf of each root, with its envelope, and each says what it saw. What it saw above that is
shown to the office and proves itself: a root signed it. Then no key signs at or below it, whatever its folder and this database say.
"""

from office_ingest.errors import OfficeError
from office_ingest.govern.shelf import Shelf, follows
from office_ingest.prove.released import purpose_of
from office_ingest.receive.registry import NOBODY, Registry
from office_ingest.storage.sqlite import SqliteStore
from office_ingest.storage.witness import Shown, WitnessStore
from protocol.envelope import key_id, parse_envelope
from protocol.errors import ProtocolError
from protocol.limits import witness_roots_max
from protocol.lms import leaf_of
from protocol.witness import mark_of

# A gateway speaks once a minute: five words of it may be lost.
HEARD_MS = 300_000
ROOT_RESTORED, LEAF_TWICE = "root-restored", "leaf-twice"

# (root, leaf, mark) as a gateway says it.
Seen = tuple[bytes, int, bytes]


class Unwitnessed(OfficeError):
    """No gateway that bears witness was heard lately. Who must act: whoever signs; let a gateway be heard, or give one's word."""


class Witnesses:
    """What gateways say of leaves, and what they are told."""

    def __init__(self, store: SqliteStore):
        self._store = store
        self._kept = WitnessStore(store)
        self._shelf = Shelf(store)

    def take(
        self, gateway: str, seen: list[Seen], shown: list[bytes], now_ms: int
    ) -> tuple[list[bytes], list[bytes]]:
        """Keep what proves itself, and return (told, asked) of SPEC.md section 7. Raises StoreUnavailable: nothing was kept."""
        publics = self._publics()
        with self._store.transaction():
            for raw in shown:
                self._believe(gateway, raw, publics, now_ms)
            asked = [root for root, leaf, mark in seen if root in publics and self._is_news(root, leaf, mark)]
            if not asked:
                self._kept.put_heard(gateway, now_ms)
            self._end_restored(now_ms)
        return self._told({root: leaf for root, leaf, _ in seen}), asked

    def _publics(self) -> dict[bytes, bytes]:
        """Return the public keys of the roots known here and of those that they name as successors, by identifier."""
        roots = self._shelf.roots()
        named = [follows(root.successor, root.public).public for root in roots]
        return {key_id(public): public for public in [*(root.public for root in roots), *named]}

    def _is_news(self, root: bytes, leaf: int, mark: bytes) -> bool:
        if leaf > self._shelf.published(root):
            return True
        held = [*self._shelf.signed_by(root, leaf), *self._kept.of_leaf(root, leaf)]
        return bool(held) and mark not in {mark_of(raw) for raw in held}

    def _believe(self, gateway: str, raw: bytes, publics: dict[bytes, bytes], now_ms: int) -> None:
        try:
            envelope = parse_envelope(raw)
            leaf = leaf_of(envelope.signature)
            if envelope.key_id not in publics or not self._is_news(envelope.key_id, leaf, mark_of(raw)):
                return
            purpose_of(envelope, publics[envelope.key_id])
        except ProtocolError:
            # Asked for again and again: such a gateway bears no witness.
            return
        root, own = envelope.key_id, self._shelf.published_here(envelope.key_id)
        for other in [*self._shelf.signed_by(root, leaf), *self._kept.of_leaf(root, leaf)]:
            if parse_envelope(other).payload != envelope.payload:
                text = f"gateway {gateway} showed another envelope by this leaf than the office has: {_TWICE}"
                self._store.add_finding(NOBODY, LEAF_TWICE, f"{root.hex()} leaf {leaf}", text, now_ms)
        self._kept.put_shown(Shown(root, leaf, mark_of(raw), raw, gateway, now_ms))
        if leaf > own:
            text = f"gateway {gateway} showed that leaf {leaf} of this root signed; office.db knew of none above {own}: {_RESTORED}"
            self._store.add_finding(NOBODY, ROOT_RESTORED, root.hex(), text, now_ms)

    def _end_restored(self, now_ms: int) -> None:
        """Close what was said of a root that signs above what was shown of it again."""
        for place in self._store.open_places(NOBODY, ROOT_RESTORED):
            shown = self._kept.newest(bytes.fromhex(place))
            if shown is not None and self._shelf.published_here(shown.root) > shown.leaf:
                self._store.clear_finding(NOBODY, ROOT_RESTORED, place, now_ms)

    def _told(self, seen: dict[bytes, int]) -> list[bytes]:
        told = []
        for root in self._shelf.roots()[-witness_roots_max:]:
            leaf = self._shelf.published(root.key_id)
            if leaf > seen.get(root.key_id, -1):
                signed = [*self._shelf.signed_by(root.key_id, leaf), *self._kept.of_leaf(root.key_id, leaf)]
                told += signed[:1]
        return told


def require_witness(store: SqliteStore, now_ms: int, *, alone: bool) -> None:
    """Return if a gateway was heard lately, none ever bore witness, or alone: a person's word that nothing was put back.

    An office that was put back an hour ago was last heard before that, as its database says. Raises Unwitnessed.
    """
    revoked = Registry(store).revoked_gateways()
    heard = {name: at_ms for name, at_ms in WitnessStore(store).heard().items() if name not in revoked}
    if alone or not heard or any(abs(now_ms - at_ms) <= HEARD_MS for at_ms in heard.values()):
        return
    name, at_ms = max(heard.items(), key=lambda one: one[1])
    minutes = abs(now_ms - at_ms) // 60_000
    raise Unwitnessed(
        f"no gateway said within {HEARD_MS // 60_000} minutes which leaves signed; gateway {name} did {minutes} minutes ago"
    )


_RESTORED = (
    "it was put back from a backup. Nothing signs at or below it; docs/operating/release.md says how to go on"
)
_TWICE = (
    "whoever has both may sign in this root's name. Replace the root now: outstation release root replace"
)
