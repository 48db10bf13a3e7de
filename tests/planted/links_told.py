"""Faults of the links that the office tells gateways, planted into the real code: at the office that tells, and at the gateway that is told.

FAULTS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

from gateway import link_set, sessions
from gateway.link_set import LinkSet
from office_ingest.govern import links
from office_ingest.govern.links import Links
from office_ingest.receive.identity import Recogniser
from office_ingest.storage.sqlite import SqliteStore
from protocol.limits import uplink_links_max


def tell_every_site(put):
    """Tell each gateway the links of all devices."""

    def served(self, site):
        sql = "SELECT id FROM devices WHERE id NOT IN (SELECT device FROM revoked) ORDER BY id"
        return [row[0] for row in self.connection.execute(sql)]

    put(SqliteStore, "served_of_site", served)


def tell_revoked_devices(put):
    """Go on telling the links of a device that was revoked."""
    put(SqliteStore, "served_of_site", lambda self, site: self.devices_of_site(site))


def tell_all_each_time(put):
    """Send every secret with every answer."""

    def for_gateway(self, gateway, held):
        wanted, mark = self._of_site(self._store.gateway_row(gateway)[1])
        return mark, None, [entry for device in sorted(wanted) for entry in wanted[device]], []

    put(Links, "for_gateway", for_gateway)


def remember_what_was_once_so(put):
    """Look at who is of a site once, when it is first asked for."""
    true, made = Links._of_site, {}

    def of_site(self, site):
        key = (id(self), site)
        if key not in made:
            made[key] = true(self, site)
        return made[key]

    put(Links, "_of_site", of_site)


def tell_who_shows_a_token(put):
    """Tell link secrets to whoever has a gateway's token."""
    true = Recogniser._by_token
    put(Recogniser, "_by_token", lambda self, named: true(self, named)._replace(until_ms=1))


def tell_the_first_of_a_large_site(put):
    """Leave out what has no room in one answer."""
    true = SqliteStore.served_of_site
    put(SqliteStore, "served_of_site", lambda self, site: true(self, site)[:uplink_links_max])


def tell_a_large_site_at_once(put):
    """Put whatever differs into one answer."""
    put(links, "uplink_links_max", 1 << 20)


def wait_a_minute_for_the_next_step(put):
    """Ask no sooner for having been told something."""

    async def keep_asking(self, ask, clock):
        while True:
            ask()
            await clock.sleep(link_set.ASK_INTERVAL_S)

    put(LinkSet, "keep_asking", keep_asking)


def believe_the_file(put):
    """Serve whatever links.toml names, moved or revoked."""
    true = LinkSet.links

    def links(self):
        told = true(self)
        held = {link.device for link in told}
        return told + [link for link in self._listed if link.device not in held]

    put(LinkSet, "links", links)


def keep_the_log_of_links(put):
    """Leave a deleted secret in the write-ahead log."""
    put(link_set, "_empty_log", lambda connection: None)


def take_whatever_comes_out(put):
    """Pass over the mark of a set."""
    put(link_set, "is_set", lambda mark, entries: True)


def reuse_the_requests_nonce(put):
    """Answer under the request's nonce, although another gateway may do so too."""
    put(
        sessions.Opened,
        "protect",
        lambda self, answer: self.session.context.protect_response(answer, self.exchange),
    )


def forget_the_set(put):
    """Begin each start with links.toml alone."""

    async def load(self):
        return None

    put(LinkSet, "load", load)


FAULTS = {
    plant.__name__: plant
    for plant in (
        *(tell_every_site, tell_revoked_devices, tell_all_each_time, remember_what_was_once_so),
        *(tell_who_shows_a_token, believe_the_file, keep_the_log_of_links, take_whatever_comes_out),
        *(reuse_the_requests_nonce, forget_the_set),
        *(tell_the_first_of_a_large_site, tell_a_large_site_at_once, wait_a_minute_for_the_next_step),
    )
}
