"""Which links a gateway holds: those of its own site's devices, no revoked one, and only what changed since it last asked.

Link secrets lie in the keystore, apart from the database that says which device is of which site. What a site's set is follows from both
each time a gateway asks, so that a device that moved or was revoked is gone with the next answer, whoever changed it. A difference
needs the set that the gateway has: the newest sets of each site are remembered, and an office that starts anew names the whole set once more.

Nothing here is logged, and no error shows an entry.

Source: SPEC.md section 7.
"""

from collections import OrderedDict
from itertools import groupby
from pathlib import Path

from office_ingest.receive.keystore import Keystore
from office_ingest.storage.sqlite import SqliteStore
from protocol.limits import device_links_max, uplink_links_max
from protocol.links_file import LinksFile
from protocol.settings import read_settings
from protocol.uplink import LINKS_MARK_BYTES, links_mark

# Sets remembered of all sites together: each site needs one, and one more while its gateways follow a change.
REMEMBERED_MAX = 256


# (device, kid, secret), or (device,) where only the gateway's own file knows the secret.
Entry = tuple[bytes, ...]
LinkSet = dict[bytes, tuple[Entry, ...]]
# (mark, base or None for all of it, entries to put, devices that go)
Change = tuple[bytes, bytes | None, list[Entry], list[bytes]]


class Links:
    """store: which device is of which site, and revoked; keystore: link secrets."""

    def __init__(self, store: SqliteStore, keystore: Keystore):
        self._store = store
        self._keystore = keystore
        self._sets: OrderedDict[bytes, LinkSet] = OrderedDict()
        self._known: tuple[object, LinkSet] = (None, {})
        # site -> what its set was made of, and the set with its mark: each request asks, and next to none finds a change.
        self._made: dict[str, tuple[object, LinkSet, bytes]] = {}

    def for_gateway(self, gateway: str, held: str) -> Change | None:
        """Return what turns the set that a gateway holds into its site's, or a step nearer to it where an answer has no room for all.

        None if it has that set, or is no gateway of a site. held: the mark, in hex, that it says; what is no mark stands for nothing at all.
        """
        row = self._store.gateway_row(gateway)
        if row is None:
            return None
        wanted, mark = self._of_site(row[1])
        if held == mark.hex():
            return None
        base = _mark_of(held)
        before = self._sets.get(base) if base is not None else None
        changed, gone = _step(before or {}, wanted)
        left = set(gone)
        after = {device: one for device, one in (before or {}).items() if device not in left} | changed
        if after == wanted:
            # The same one for all gateways that come to it.
            after = wanted
        else:
            mark = links_mark(entry for entries in after.values() for entry in entries)
        self._remember(mark, after)
        return mark, base if before is not None else None, _flat(changed), gone

    def _of_site(self, site: str) -> tuple[LinkSet, bytes]:
        """Return the links of a site's devices and their mark."""
        served = self._store.served_of_site(site)
        version = self._keystore.version()
        made_of = (served, version)
        made = self._made.get(site)
        if made is None or made[0] != made_of:
            known = self._links(version)
            wanted = {device: known.get(device, ((device,),)) for device in served}
            mark = links_mark(entry for entries in wanted.values() for entry in entries)
            made = self._made[site] = made_of, wanted, mark
        return made[1:]

    def _links(self, version: object) -> LinkSet:
        if self._known[0] != version:
            by_device = groupby(self._keystore.links(), lambda link: link[0])
            links: LinkSet = {device: tuple(held)[-device_links_max:] for device, held in by_device}
            self._known = version, links
        return self._known[1]

    def _remember(self, mark: bytes, links: LinkSet) -> None:
        self._sets[mark] = links
        self._sets.move_to_end(mark)
        while len(self._sets) > REMEMBERED_MAX:
            self._sets.popitem(last=False)


def _step(before: LinkSet, wanted: LinkSet) -> tuple[LinkSet, list[bytes]]:
    """Return (entries to put, devices that go), of each as many as an answer may name, by device."""
    changed = sorted(device for device, entries in wanted.items() if before.get(device) != entries)
    gone = sorted(before.keys() - wanted.keys())
    return {device: wanted[device] for device in changed[:uplink_links_max]}, gone[:uplink_links_max]


def _flat(links: LinkSet) -> list[Entry]:
    return [entry for device in sorted(links) for entry in links[device]]


def _mark_of(text: str) -> bytes | None:
    try:
        mark = bytes.fromhex(text)
    except ValueError:
        return None
    return mark if len(mark) == LINKS_MARK_BYTES else None


def take_links(
    store: SqliteStore, keystore: Keystore, path: Path, at_ms: int
) -> tuple[list[bytes], list[bytes]]:
    """Keep the links of a gateway's links.toml of devices that have none here; return (devices taken, devices left alone).

    Raises DiagnosticError: the file is none.
    """
    held = {device for device, _, _ in keystore.links()}
    kids = {kid for _, kid, _ in keystore.links()}
    taken: list[bytes] = []
    left: list[bytes] = []
    for entry in read_settings(path, LinksFile, has_secrets=True).device:
        device, kid = bytes.fromhex(entry.id), bytes.fromhex(entry.kid)
        is_new = device not in held and kid not in kids and store.has_device(device)
        (taken if is_new else left).append(device)
        if is_new:
            keystore.add_link(device, kid, bytes.fromhex(entry.secret), at_ms)
            held.add(device)
            kids.add(kid)
    return taken, left
