"""The tables of attestation: the newest claims of each device, and the images that are known. Written only inside a store's transaction.

Source: schema/0010_attestation.sql; SPEC.md section 4.8.
"""

from typing import Any, NamedTuple

from office_ingest.storage.sqlite import SqliteStore
from protocol.cbor import dumps, loads


class Attested(NamedTuple):
    """What a device says that it runs. claims: as protocol.attestation has them."""

    epoch: int
    event_order: int
    boot: int
    tick_ms: int
    claims: dict[int, Any]
    received_ms: int


class Image(NamedTuple):
    """One image that a person registered. is_development: its console takes Python."""

    digest: bytes
    hardware: str
    is_development: bool
    author: str
    added_ms: int


class AttestedStore:
    """Reads and writes those tables of one store."""

    def __init__(self, store: SqliteStore):
        self._store = store

    def put(self, device: bytes, attested: Attested) -> None:
        """Keep what a device says, unless something newer is kept: segments arrive in any order."""
        held = self.newest(device)
        if held is None or (held.epoch, held.event_order) < (attested.epoch, attested.event_order):
            claims = dumps(attested.claims)
            self._store.put("attestations", device, *attested[:4], claims, attested.received_ms)

    def newest(self, device: bytes) -> Attested | None:
        """Return the newest claims of a device, None if it never said anything."""
        row = self._store.connection.execute(
            "SELECT epoch, event_order, boot, tick_ms, claims, received_ms FROM attestations WHERE device = ?",
            (device,),
        ).fetchone()
        return None if row is None else Attested(row[0], row[1], row[2], row[3], loads(row[4]), row[5])

    def put_image(self, image: Image) -> None:
        """Register an image, or change what is known of it."""
        self._store.put("images", *image[:2], int(image.is_development), *image[3:])

    def images(self) -> list[Image]:
        """Return the registered images, the newest first."""
        rows = self._store.connection.execute(
            "SELECT digest, hardware, is_development, author, added_ms FROM images ORDER BY added_ms DESC, digest"
        )
        return [Image(row[0], row[1], bool(row[2]), *row[3:]) for row in rows]
