"""Where releases lie, and the roots that sign them: the tables of schema steps 0002 and 0011. Rows are added, never changed."""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from office_ingest.storage.sqlite import SqliteStore
from office_ingest.storage.witness import WitnessStore
from protocol.agent_index import parse_agent_index
from protocol.envelope import check_succession, key_id, parse_envelope
from protocol.lms import leaf_of
from protocol.manifest import AGENT, Manifest, encode_release, parse_manifest

# A file of an agent among the parts: no kind of part.
AGENT_FILE = -1
# Each batch of each gateway asks what is rolled out, and that is seldom more than a handful.
_manifest = lru_cache(maxsize=64)(parse_manifest)
# Who follows a root, as it signed itself: each costs a verification.
follows = lru_cache(maxsize=64)(check_succession)


class Root(NamedTuple):
    """A key that signs releases. public: 60 bytes; successor: the envelope that says who follows."""

    key_id: bytes
    public: bytes
    successor: bytes
    added_ms: int


class Replacement(NamedTuple):
    """What says that a key stands in the place of a root. digest: of body, a COSE_Sign1 by the root signer; replaced: identifier."""

    digest: bytes
    replaced: bytes
    public: bytes
    signer: bytes
    leaf: int
    body: bytes
    author: str
    published_ms: int


class Signature(NamedTuple):
    """One signature of a release. raw: the envelope."""

    root: bytes
    leaf: int
    raw: bytes
    signed_ms: int


class Shelved(NamedTuple):
    """A release on the shelf. widens: reasons in words; signatures: in the order in which they were made."""

    number: int
    digest: bytes
    manifest: Manifest
    raw_manifest: bytes
    widens: list[str]
    built_ms: int
    signatures: list[Signature]

    @property
    def signers_needed(self) -> int:
        """How many different roots a device will demand, as far as the office knows."""
        return 2 if self.widens or self.manifest.reset else 1

    @property
    def state(self) -> str:
        """Return "built" (no signature), "half signed" or "signed"."""
        if not self.signatures:
            return "built"
        return "signed" if len(self.signatures) >= self.signers_needed else "half signed"

    def release(self) -> bytes:
        """Return what goes to devices: manifest and signatures."""
        return encode_release(self.raw_manifest, [signature.raw for signature in self.signatures])


class Shelf:
    """Reads and adds releases; each addition is one transaction of its own, durable when it returns."""

    def __init__(self, store: SqliteStore):
        self._store = store

    def add_root(self, public: bytes, successor: bytes, now_ms: int) -> None:
        """Know a key, so that its signatures count. Nothing happens if it is known."""
        with self._store.transaction():
            self._store.connection.execute(
                "INSERT OR IGNORE INTO release_roots VALUES (?, ?, ?, ?)",
                (key_id(public), public, successor, now_ms),
            )

    def roots(self) -> list[Root]:
        """Return the known keys, the eldest first."""
        rows = self._store.connection.execute(
            "SELECT id, public, successor, added_ms FROM release_roots ORDER BY rowid"
        )
        return [Root(*row) for row in rows]

    def trusted(self) -> list[Root]:
        """Return the known keys that none stands in the place of, the eldest first."""
        replaced = self.replaced()
        return [root for root in self.roots() if root.key_id not in replaced]

    def for_newcomers(self) -> list[Root]:
        """Return the keys that a new device is given, the eldest first: those trusted, without successors that nobody published yet.

        Devices in the field hold none of those either. One that was given a root and its successor could not take the one in the
        place of the other, for it would hold it already (SPEC.md section 12.5).
        """
        published = {one.public for one in self.replacements()}
        waiting = {follows(root.successor, root.public).public for root in self.roots()} - published
        return [root for root in self.trusted() if root.public not in waiting]

    def add_replacement(self, replacement: Replacement) -> None:
        """Publish a replacement of a root. Nothing happens if it is published."""
        with self._store.transaction():
            self._store.connection.execute(
                "INSERT OR IGNORE INTO root_replacements VALUES (?, ?, ?, ?, ?, ?, ?, ?)", replacement
            )

    def replacements(self) -> list[Replacement]:
        """Return what is published of replaced roots, the eldest first."""
        rows = self._store.connection.execute(
            "SELECT digest, replaced, public, signer, leaf, body, author, published_ms FROM root_replacements"
            " ORDER BY rowid"
        )
        return [Replacement(*row) for row in rows]

    def replacement(self, digest: bytes) -> bytes | None:
        """Return the body of a published replacement, or None."""
        row = self._store.connection.execute(
            "SELECT body FROM root_replacements WHERE digest = ?", (digest,)
        ).fetchone()
        return row[0] if row else None

    def replaced(self) -> set[bytes]:
        """Return the identifiers of roots that a published key stands in the place of."""
        return {row[0] for row in self._store.connection.execute("SELECT replaced FROM root_replacements")}

    def retire(self, root: bytes, author: str, now_ms: int) -> None:
        """Let a root sign nothing any more."""
        with self._store.transaction():
            self._store.connection.execute(
                "INSERT OR IGNORE INTO roots_retired VALUES (?, ?, ?)", (root, author, now_ms)
            )

    def retired(self) -> set[bytes]:
        """Return the identifiers of roots that sign nothing any more."""
        return {row[0] for row in self._store.connection.execute("SELECT id FROM roots_retired")}

    def published(self, root: bytes) -> int:
        """Return the highest leaf of a root in anything that it signed here or that a gateway showed; -1 if there is nothing."""
        shown = WitnessStore(self._store).newest(root)
        return max(self.published_here(root), -1 if shown is None else shown.leaf)

    def published_here(self, root: bytes) -> int:
        """Return the highest leaf of a root in anything that it signed here, as this database alone knows; -1 if there is nothing."""
        row = self._store.connection.execute(
            "SELECT max(leaf) FROM release_signatures WHERE root = ?", (root,)
        ).fetchone()
        also = self._store.connection.execute(
            "SELECT max(leaf) FROM root_replacements WHERE signer = ?", (root,)
        ).fetchone()
        highest = max(-1 if one is None else one for one in (row[0], also[0]))
        for known in self.roots():
            if known.key_id == root:
                highest = max(highest, leaf_of(parse_envelope(known.successor).signature))
        return highest

    def signed_by(self, root: bytes, leaf: int) -> list[bytes]:
        """Return the envelopes that a leaf signed here: one, or none."""
        found = [
            row[0]
            for row in self._store.connection.execute(
                "SELECT raw FROM release_signatures WHERE root = ?1 AND leaf = ?2"
                " UNION SELECT body FROM root_replacements WHERE signer = ?1 AND leaf = ?2",
                (root, leaf),
            )
        ]
        successors = [known.successor for known in self.roots() if known.key_id == root]
        named = [raw for raw in successors if leaf_of(parse_envelope(raw).signature) == leaf]
        return list(dict.fromkeys([*found, *named]))

    def signature_count(self) -> int:
        """Return how many signatures there are: what changes whenever something else is signed, for none is ever taken away."""
        counted: int = self._store.connection.execute("SELECT count(*) FROM release_signatures").fetchone()[0]
        return counted

    def next_number(self) -> int:
        """Return the number after the highest."""
        return self._store.connection.execute("SELECT coalesce(max(number), 0) + 1 FROM releases").fetchone()[
            0
        ]

    def add(
        self,
        manifest: bytes,
        bodies: list[bytes],
        widens: list[str],
        now_ms: int,
        files: Sequence[bytes] = (),
    ) -> None:
        """Put an unsigned release, its parts and the files of its agent on the shelf. Raises sqlite3.IntegrityError if the number is taken."""
        said = _manifest(manifest)
        digest = hashlib.sha256(manifest).digest()
        with self._store.transaction():
            for (kind, part_digest, _), body in zip(said.parts, bodies, strict=True):
                self._store.connection.execute(
                    "INSERT OR IGNORE INTO release_parts VALUES (?, ?, ?)", (part_digest, kind, body)
                )
            self._store.connection.executemany(
                "INSERT OR IGNORE INTO release_parts VALUES (?, ?, ?)",
                [(hashlib.sha256(body).digest(), AGENT_FILE, body) for body in files],
            )
            self._store.connection.execute(
                "INSERT INTO releases VALUES (?, ?, ?, ?, ?)",
                (said.number, digest, manifest, json.dumps(widens), now_ms),
            )

    def add_signature(self, number: int, raw: bytes, now_ms: int) -> None:
        """Add an envelope to a release. Raises sqlite3.IntegrityError if the root signed it, or its leaf anything, before."""
        envelope = parse_envelope(raw)
        leaf = leaf_of(envelope.signature)
        with self._store.transaction():
            self._store.connection.execute(
                "INSERT INTO release_signatures VALUES (?, ?, ?, ?, ?)",
                (number, envelope.key_id, leaf, raw, now_ms),
            )

    def get(self, number: int) -> Shelved | None:
        """Return a release, or None."""
        row = self._store.connection.execute(
            "SELECT digest, manifest, widens, built_ms FROM releases WHERE number = ?", (number,)
        ).fetchone()
        if row is None:
            return None
        digest, manifest, widens, built_ms = row
        signed = self._store.connection.execute(
            "SELECT root, leaf, raw, signed_ms FROM release_signatures WHERE number = ? ORDER BY rowid",
            (number,),
        )
        signatures = [Signature(*one) for one in signed]
        said = _manifest(manifest)
        return Shelved(number, digest, said, manifest, json.loads(widens), built_ms, signatures)

    def all(self) -> list[Shelved]:
        """Return every release, the newest first."""
        numbers = self._store.connection.execute(
            "SELECT number FROM releases ORDER BY number DESC"
        ).fetchall()
        return [held for (number,) in numbers if (held := self.get(number)) is not None]

    def digests(self, held: Shelved) -> list[bytes]:
        """Return the digests of all bodies of a release: its parts, and the files of an agent."""
        found = [digest for _, digest, _ in held.manifest.parts]
        for kind, digest, _ in held.manifest.parts:
            index = self.part(digest) if kind == AGENT else None
            if index is not None:
                found += [file[1] for file in parse_agent_index(index).files]
        return found

    def part(self, digest: bytes) -> bytes | None:
        """Return a part's body, or None."""
        row = self._store.connection.execute(
            "SELECT body FROM release_parts WHERE digest = ?", (digest,)
        ).fetchone()
        return row[0] if row else None

    def running_bundles(self, devices: list[bytes]) -> list[bytes]:
        """Return the bodies of the bundles that these devices run, each once, those known here.

        A device runs what its newest heartbeat names; before the first, what it was provisioned with.
        """
        asked = set(devices)
        rows = self._store.connection.execute(
            "SELECT d.id, b.body FROM devices d LEFT JOIN reports r ON r.device = d.id LEFT JOIN device_traits t"
            " ON t.device = d.id JOIN bundles b ON b.digest = coalesce(r.digest, t.bundle) ORDER BY d.id"
        )
        return list(dict.fromkeys(body for device, body in rows if device in asked))

    def device_ids(self) -> list[bytes]:
        """Return the registered devices."""
        return self._store.device_ids()

    def device_called(self, name: str) -> bytes | None:
        """Return the identity of the device of this name, or of these 16 hex digits; None if there is none."""
        row = self._store.connection.execute(
            "SELECT id FROM devices WHERE name = ? OR lower(hex(id)) = ?", (name, name.lower())
        ).fetchone()
        return row[0] if row else None

    def has_schema(self, prefix: bytes) -> bool:
        """Say whether a schema whose digest starts so is known."""
        row = self._store.connection.execute(
            "SELECT 1 FROM schemas WHERE substr(digest, 1, ?) = ?", (len(prefix), prefix)
        ).fetchone()
        return row is not None

    def bundles(self) -> list[bytes]:
        """Return the bodies of every bundle that the office holds."""
        return [row[0] for row in self._store.connection.execute("SELECT body FROM bundles")]

    def keep_bundle(self, body: bytes) -> None:
        """Keep a bundle where replay finds it."""
        with self._store.transaction():
            self._store.put_body("bundles", body)
