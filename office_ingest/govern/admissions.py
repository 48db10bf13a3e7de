"""Admits boards: what a gateway heard is held against the claims that were made, and a person's yes becomes a device's keys.

Nothing that a gateway brings is believed but under a claim's secret, so that nobody can make a person see a board that is none of ours.

Source: SPEC.md section 15.
"""

import hashlib
import secrets
from typing import NamedTuple

from office_ingest.receive.claims import ADMITTED, MADE, Claim, Claims
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.storage.downward import Traits
from office_ingest.storage.sqlite import SqliteStore
from protocol import keys
from protocol.admission import (
    SECRET_BYTES,
    Admission,
    announcement_key,
    parse_announcement,
    seal_admission,
)
from protocol.aes_host import Ccm
from protocol.errors import ProtocolError

_BOARD_BYTES = 8
_KEY_BYTES = 32
_KID_BYTES = 4


class Terms(NamedTuple):
    """What a board is to be. schema, bundle: bytes; roots: public keys of 60 bytes; settings: [name, value] of device.json."""

    name: str
    site: str
    kind: str
    cohort: str
    schema: bytes
    bundle: bytes
    roots: list[bytes]
    settings: list[list[object]]


class Admissions:
    """store, keystore: the office's."""

    def __init__(self, store: SqliteStore, keystore: Keystore):
        self._registry = Registry(store)
        self._keystore = keystore
        self.claims = Claims(keystore)

    def make_claim(self, hardware: str, now_ms: int) -> tuple[bytes, bytes]:
        """Return (board, secret) of a new claim: identity, and the one-time secret that goes onto the board and nowhere else."""
        board, secret = secrets.token_bytes(_BOARD_BYTES), secrets.token_bytes(SECRET_BYTES)
        self.claims.add(board, secret, hardware, now_ms)
        return board, secret

    def hear(self, gateway: str, announced: list[bytes], now_ms: int) -> list[tuple[bytes, ...]]:
        """Return (board, sealed admission) of each board that was admitted to the gateway's site, and (board,) of each that waits or is of another."""
        site = self._registry.site_of_gateway(gateway)
        said: list[tuple[bytes, ...]] = []
        for raw in announced:
            claim = self._claim_of(raw)
            if claim is None:
                continue
            if claim.state == MADE:
                self.claims.note_heard(claim, gateway, now_ms)
            sealed = claim.sealed if claim.site == site else None
            said.append((claim.board, sealed) if sealed else (claim.board,))
        return said

    def arrived(self, device: bytes) -> None:
        """A device was heard under its own keys: its admission, if it came by one, is used up."""
        claim = self.claims.find(device)
        if claim is not None and claim.state == ADMITTED:
            self.claims.end(device)

    def _claim_of(self, raw: bytes) -> Claim | None:
        """Return the claim whose secret an announcement was sealed with, None if there is none."""
        try:
            said = parse_announcement(raw)
            claim = self.claims.find(said.fields.board)
            if claim is None or claim.secret is None or claim.hardware != said.fields.hardware:
                return None
            said.verify(announcement_key(claim.secret))
        except ProtocolError:
            return None
        return claim

    def admit(self, claim: Claim, terms: Terms, now_ms: int) -> bool:
        """Make a board the device of its own identity: registration, keys, link, and the admission that tells it.

        Return whether it did: False if the claim was decided about since it was read, and then nothing is changed. Cut off anywhere, the
        next call goes on: keys and admission, which nothing can follow, are kept last and together. Raises ProtocolError(TOO_LARGE).
        """
        assert claim.secret is not None and claim.state == MADE
        device = claim.board
        seal_root, view_root, downlink = (secrets.token_bytes(_KEY_BYTES) for _ in range(3))
        link = self._new_kid(), secrets.token_bytes(SECRET_BYTES)
        given = Admission(
            device,
            [keys.seal_start(seal_root, lane) for lane in keys.LANES],
            [keys.view_start(view_root, view_class) for view_class in (keys.SITE, keys.OFFICE)],
            downlink,
            *link,
            terms.roots,
            terms.schema,
            terms.bundle,
            [["kind", terms.kind], ["cohort", terms.cohort], *terms.settings],
        )
        sealed = seal_admission(given, claim.secret, Ccm)
        if not self._waits(device):
            return False
        self._register(device, claim.hardware, terms, now_ms)
        with self._keystore.writing():
            # Another yes, or a no, may have come meanwhile: the keys of what was admitted are not to be touched.
            if not self._waits(device):
                return False
            self._keystore.forget(device)
            self._keystore.enrol(device, seal_root, view_root, downlink)
            self._keystore.add_link(device, *link, now_ms)
            return self.claims.admit(device, terms.site, sealed)

    def _waits(self, board: bytes) -> bool:
        claim = self.claims.find(board)
        return claim is not None and claim.state == MADE

    def _new_kid(self) -> bytes:
        """Return a kid that no other device has: gateways find devices by it."""
        taken = {kid for _, kid, _ in self._keystore.links()}
        while (kid := secrets.token_bytes(_KID_BYTES)) in taken:
            pass
        return kid

    def _register(self, device: bytes, hardware: str, terms: Terms, now_ms: int) -> None:
        self._registry.add_schema(terms.schema)
        self._registry.add_bundle(terms.bundle)
        digests = hashlib.sha256(terms.schema).digest()[:8], hashlib.sha256(terms.bundle).digest()
        traits = Traits(terms.kind, terms.cohort, hardware, *digests)
        self._registry.add_device_of(device, traits, name=terms.name, site=terms.site, now_ms=now_ms)
