"""Faults in revoking a device, planted into the real code of office and gateway. Each name says what a broken one would do.

OFFICE, GATEWAY: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

from gateway.outbox import Outbox
from gateway.sessions import Sessions
from gateway.store import Store
from office_ingest.receive.ingest import Ingest
from office_ingest.storage import replacement
from office_ingest.storage.replacement import _copy
from office_ingest.storage.sqlite import SqliteStore


def take_from_the_revoked(put):
    """Keep the row and look at it never again."""
    put(SqliteStore, "is_revoked", lambda self, device: False)


def tell_no_gateway(put):
    """Refuse it in the office, and let gateways serve it on."""
    put(SqliteStore, "revoked_of_site", lambda self, gateway: [])


def tell_every_site(put):
    """Tell other sites' gateways who was revoked here."""

    def of_all(self, gateway):
        return [row[0] for row in self.connection.execute("SELECT device FROM revoked")]

    put(SqliteStore, "revoked_of_site", of_all)


def disown_the_past(put):
    """Call what is held, and comes a second time, something of a revoked device."""
    put(Ingest, "_is_held", lambda self, segment: False)


def lose_revocations_in_a_repair(put):
    """Carry over everything else."""

    def copy(source, target, table, *rest):
        return None if table == "revoked" else _copy(source, target, table, *rest)

    put(replacement, "_copy", copy)


def keep_its_session(put):
    """Let whoever is there stay."""
    put(Sessions, "revoke", lambda self, devices: self._revoked.update(devices))


def serve_it_under_a_fresh_context(put):
    """End its sessions and let it begin another."""
    put(Sessions, "revoke", lambda self, devices: self._drop(lambda one: one.link.device in devices))


def forget_revocations_at_restart(put):
    """Write them down and read them never."""
    put(Store, "revoked", lambda self: set())


def keep_revocations_in_memory(put):
    """End its sessions until the next restart."""

    async def take(self, devices):
        self._revoke(devices)

    put(Outbox, "_take_revoked", take)


OFFICE = {
    plant.__name__: plant
    for plant in (
        take_from_the_revoked,
        tell_no_gateway,
        tell_every_site,
        disown_the_past,
        lose_revocations_in_a_repair,
    )
}
GATEWAY = {
    plant.__name__: plant
    for plant in (keep_its_session, serve_it_under_a_fresh_context, forget_revocations_at_restart)
}
UPLINK = {plant.__name__: plant for plant in (keep_revocations_in_memory,)}
