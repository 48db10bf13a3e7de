"""Says ahead of time which certificate ends and was not renewed, and which link secrets a revoked gateway knew.

Everything here follows from the authority and the files, so that a finding ends by itself once its reason does.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from office_ingest.certificates import milliseconds
from office_ingest.govern.authority import Authority
from office_ingest.govern.relink import IN_FORCE, relink_status
from office_ingest.receive.registry import GATEWAY_REVOKED, NOBODY, Registry
from office_ingest.storage.authority import GONE, AuthorityStore
from office_ingest.storage.ended import Ended, EndedStore
from office_ingest.storage.sqlite import SqliteStore

CERTIFICATE, LINK_SECRET = "certificate", "link-secret"
AUTHORITY_RESTORED = "authority-restored"
INTERVAL_S = 60.0
_FORGOTTEN = (
    "it was revoked, and authority.db does not say so: it was put back from an older copy. It stays refused; revoke it again, "
    "so that its devices' link secrets are on the list"
)
_ENDED = (
    "had ended, and authority.db does not say so: it was put back from an older copy. They stay refused. A gateway whose newest "
    "certificate that copy does not know is refused too: enrol it again, which ends this finding"
)
# Gateways renew when a third is left: at a sixth something is wrong.
LEFT = 1 / 6
LEFT_MS_MAX = 90 * 86_400_000

Place = tuple[bytes, str, str]


def record_certificates(
    store: SqliteStore, authorities: AuthorityStore, authority: Authority, now_ms: int
) -> None:
    """Bring the findings about certificates and link secrets up to date. Raises StoreUnavailable: the next call records it."""
    _strike_replaced(store, authorities)
    revoked = {row.name for row in authorities.gateways() if row.revoked_ms is not None}
    registry = Registry(store)
    for name in sorted(revoked):
        registry.note_revoked(name, now_ms)
    registry.note_ended(_ended(authorities))
    forgotten = registry.revoked_gateways() - revoked
    found = dict(_found(authorities, authority, now_ms))
    found |= _put_back(store, authorities, now_ms)
    found |= {(NOBODY, GATEWAY_REVOKED, name): _FORGOTTEN for name in forgotten}
    known = {
        (device, kind, place)
        for kind in (CERTIFICATE, LINK_SECRET, GATEWAY_REVOKED, AUTHORITY_RESTORED)
        for device in store.devices_with_open_finding(kind)
        for place in store.open_places(device, kind)
        # Which secrets such a gateway knew, an older authority.db cannot say: nothing of that is over.
        if not (kind == LINK_SECRET and place in forgotten)
    }
    if known == set(found):
        return
    with store.transaction():
        for key in sorted(set(found) - known):
            store.add_finding(*key, found[key], now_ms)
        for key in sorted(known - set(found)):
            store.clear_finding(*key, now_ms)


def _ended(authorities: AuthorityStore) -> Iterator[Ended]:
    """Give what ended before its time, as authority.db says."""
    for gateway in authorities.gateways():
        for row in authorities.certificates(gateway.name):
            if row.until_ms < _life(row.raw)[1]:
                yield row.fingerprint, row.gateway, row.until_ms
    for one in authorities.authorities():
        if one.state == GONE:
            yield hashlib.sha256(one.certificate).digest(), "", one.changed_ms


def forgotten_ends(ended: Iterable[Ended], certificates: Mapping[bytes, int], now_ms: int) -> dict[str, int]:
    """Return of how many certificates of each gateway an authority.db has forgotten that they ended; '': of authorities.

    ended: as the office's database remembers; certificates: fingerprint -> until when authority.db takes it, of those that it has.
    """
    return dict(
        Counter(
            name for digest, name, until_ms in ended if certificates.get(digest, 0) > max(until_ms, now_ms)
        )
    )


def _put_back(store: SqliteStore, authorities: AuthorityStore, now_ms: int) -> dict[Place, str]:
    taken = {
        row.fingerprint: row.until_ms
        for gateway in authorities.gateways()
        for row in authorities.certificates(gateway.name)
    } | {
        hashlib.sha256(one.certificate).digest(): _life(one.certificate)[1]
        for one in authorities.authorities()
        if one.state != GONE
    }
    found = forgotten_ends(EndedStore(store).all(), taken, now_ms)
    return {
        (NOBODY, AUTHORITY_RESTORED, name or "authority"): f"{count} of its certificates {_ENDED}"
        for name, count in found.items()
    }


def _strike_replaced(store: SqliteStore, authorities: AuthorityStore) -> None:
    """Take those off the list whose device uses a link that was given after a gateway was revoked: no such gateway was told that one."""
    for device, since_ms in {(device, since_ms) for device, _, since_ms in authorities.link_secrets()}:
        status = relink_status(store, device)
        if status is not None and status["state"] == IN_FORCE and status["made_ms"] > since_ms:
            authorities.link_secret_replaced(device)


def ends_soon(starts_ms: int, ends_ms: int, now_ms: int) -> bool:
    """Return whether so little is left that somebody should look."""
    return ends_ms - now_ms < min(LEFT * (ends_ms - starts_ms), LEFT_MS_MAX)


def _found(authorities: AuthorityStore, authority: Authority, now_ms: int) -> Iterator[tuple[Place, str]]:
    for what, starts_ms, ends_ms, act in _certificates(authorities, authority):
        if ends_soon(starts_ms, ends_ms, now_ms):
            words = "has ended" if ends_ms <= now_ms else "ends"
            day = datetime.fromtimestamp(ends_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
            yield (b"", CERTIFICATE, what), f"its certificate {words} on {day} UTC: {act}"
    for device, gateway, _ in authorities.link_secrets():
        text = f"gateway {gateway}, which was revoked, knew its link secret: give it another one"
        yield (device, LINK_SECRET, gateway), text


def _certificates(authorities: AuthorityStore, authority: Authority) -> Iterator[tuple[str, int, int, str]]:
    for row in authority.rows():
        if row.state != GONE:
            yield f"authority {row.number}", *_life(row.certificate), "outstation office ca rotate"
    server = _server(authority.paths.certificate)
    if server is not None:
        yield "server", *_life_of(server), "renew it, or outstation office ca rotate"
    for gateway in authorities.gateways():
        held = authorities.certificates(gateway.name)
        if gateway.revoked_ms is None and held:
            newest = max(held, key=lambda row: row.until_ms)
            act = "see outstation gateway status there, or enrol it again"
            yield f"gateway {gateway.name}", newest.not_before_ms, newest.until_ms, act


def _server(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _life(raw: bytes) -> tuple[int, int]:
    return _life_of(x509.load_der_x509_certificate(raw))


def _life_of(certificate: x509.Certificate) -> tuple[int, int]:
    return milliseconds(certificate.not_valid_before_utc), milliseconds(certificate.not_valid_after_utc)
