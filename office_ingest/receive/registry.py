"""Sites, gateways, devices and what their rules are written in. Provisioning writes it; ingest only reads."""

import hashlib
import secrets
from collections.abc import Iterable

from office_ingest.storage.downward import Downward, Traits
from office_ingest.storage.ended import Ended, EndedStore
from office_ingest.storage.sqlite import SqliteStore

TOKEN_CHARACTERS_MIN = 16
# A finding that stays on record for each revoked gateway, and is open only where authority.db does not know of it.
GATEWAY_REVOKED = "gateway-revoked"
# One that is on record, and over at once, for each code that a machine used.
GATEWAY_CODE = "gateway-code"
NOBODY = b""
# Of the digests of a code and of a key: enough that nobody finds another of either.
_NAMED_BYTES = 16


class Registry:
    """Adds to and looks up in the office's register; each change is one transaction."""

    def __init__(self, store: SqliteStore):
        self._store = store

    def add_device(self, device: bytes, *, name: str, site: str, now_ms: int) -> None:
        """Register a device (8 bytes). Its keys go to the keystore, apart."""
        assert len(device) == 8
        with self._store.transaction():
            self._store.put_device(device, name, site, now_ms)

    def add_device_of(self, device: bytes, traits: Traits, *, name: str, site: str, now_ms: int) -> None:
        """Register a device (8 bytes) together with which releases are meant for it."""
        assert len(device) == 8
        with self._store.transaction():
            self._store.put_device(device, name, site, now_ms)
            Downward(self._store).put_traits(device, traits)

    def move_device(self, device: bytes, site: str) -> None:
        """Let a registered device be of another site."""
        with self._store.transaction():
            name, added_ms = self._store.device_row(device)
            self._store.put_device(device, name, site, added_ms)

    def put_traits(self, device: bytes, traits: Traits) -> None:
        """Say which releases are meant for a registered device."""
        with self._store.transaction():
            Downward(self._store).put_traits(device, traits)

    def add_gateway(self, gateway: str, *, name: str, site: str, token: str, now_ms: int) -> None:
        """Register a gateway. Of its token (16 characters or more) only the SHA-256 is kept."""
        assert len(token) >= TOKEN_CHARACTERS_MIN
        with self._store.transaction():
            self._store.put_gateway(gateway, name, site, token_hash(token), now_ms)

    def add_certified_gateway(self, gateway: str, *, site: str, now_ms: int) -> None:
        """Register a gateway that shows a certificate. The token of one that is there already stays good until end_token()."""
        if self.has_gateway(gateway):
            return
        with self._store.transaction():
            self._store.put_gateway(gateway, gateway, site, _no_token(), now_ms)

    def end_token(self, gateway: str) -> None:
        """Let a gateway's token be nobody's. Nothing happens if there is no such gateway."""
        row = self._store.gateway_row(gateway)
        if row is not None:
            with self._store.transaction():
                name, site, added_ms = row
                self._store.put_gateway(gateway, name, site, _no_token(), added_ms)

    def note_revoked(self, gateway: str, now_ms: int) -> None:
        """Keep that a gateway was revoked, beside what authority.db says: an older copy of that file may be put back."""
        if gateway not in self.revoked_gateways():
            with self._store.transaction():
                self._store.add_finding(
                    NOBODY, GATEWAY_REVOKED, gateway, "it was revoked; authority.db says so too", now_ms
                )
                self._store.clear_finding(NOBODY, GATEWAY_REVOKED, gateway, now_ms)

    def revoked_gateways(self) -> set[str]:
        """Return the gateways that were ever revoked, as this database remembers it."""
        return self._store.places(NOBODY, GATEWAY_REVOKED)

    def use_code(self, hashed: bytes, public: bytes, gateway: str, now_ms: int) -> bool:
        """Keep that a code was used with a key, beside what authority.db says: an older copy of that file may be put back.

        hashed: what is kept of the code; public: the key, DER. Returns False, and keeps nothing, if another key used it.
        """
        code, place = hashed[:_NAMED_BYTES].hex(), _use_of(hashed, public)
        with self._store.transaction():
            before = {one for one in self._store.places(NOBODY, GATEWAY_CODE) if one.startswith(code)}
            if not before:
                text = f"gateway {gateway} was enrolled with it; authority.db says so too"
                self._store.add_finding(NOBODY, GATEWAY_CODE, place, text, now_ms)
                self._store.clear_finding(NOBODY, GATEWAY_CODE, place, now_ms)
        return before <= {place}

    def note_ended(self, ended: Iterable[Ended]) -> None:
        """Keep which certificates ended, beside what authority.db says: an older copy of that file may be put back."""
        EndedStore(self._store).note(ended)

    def ended_ms(self, fingerprint: bytes, *, default: int) -> int:
        """Return when a certificate (SHA-256) of a gateway or of an authority ended, as this database remembers it, or default."""
        return EndedStore(self._store).until_ms(fingerprint, default=default)

    def site_of_gateway(self, gateway: str) -> str | None:
        """Return the site of a registered gateway, or None."""
        row = self._store.gateway_row(gateway)
        return None if row is None else row[1]

    def devices_of_site(self, site: str) -> list[bytes]:
        """Return the devices that are registered at a site, in order."""
        return self._store.devices_of_site(site)

    def sites(self) -> set[str]:
        """Return the sites of which a device or a gateway is registered."""
        return self._store.sites()

    def add_bundle(self, body: bytes) -> bytes:
        """Keep a bundle's bytes, so that decisions under it can be replayed; return its digest."""
        with self._store.transaction():
            return self._store.put_body("bundles", body)

    def add_schema(self, body: bytes) -> bytes:
        """Keep a schema's bytes; return its digest."""
        with self._store.transaction():
            return self._store.put_body("schemas", body)

    def has_gateway(self, gateway: str) -> bool:
        """Say whether a gateway of this identity is registered."""
        return self._store.has_name("gateways", gateway)

    def has_device_called(self, name: str) -> bool:
        """Say whether a device of this name is registered."""
        return self._store.has_name("devices", name)

    def gateway_of(self, token: str) -> str | None:
        """Return the identity of the gateway with this token, or None."""
        return self._store.gateway_of(token_hash(token))


def _no_token() -> bytes:
    # A digest of nothing: no token has it.
    return secrets.token_bytes(32)


def _use_of(hashed: bytes, public: bytes) -> str:
    return f"{hashed[:_NAMED_BYTES].hex()} {hashlib.sha256(public).digest()[:_NAMED_BYTES].hex()}"


def token_hash(token: str) -> bytes:
    """Return what is kept of a gateway's token. Tokens are random and long, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).digest()
