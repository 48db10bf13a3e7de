"""Faults of view keys, planted into the real code: at the office that gives them, and at the gateway that reads with them.

OFFICES, GATEWAYS: name -> plant(put); put is pytest's monkeypatch.setattr.
"""

from gateway import readings, store_readings
from office_ingest.govern import views
from office_ingest.govern.views import Views
from office_ingest.storage.sqlite import SqliteStore
from protocol.keys import OFFICE
from protocol.segment import Segment


def give_keys_of_class_office(put):
    """Give keys of the class that a gateway may never read."""
    put(views, "SITE", OFFICE)


def give_keys_of_any_device(put):
    """Give keys of devices of other sites."""
    put(SqliteStore, "is_of_site", lambda self, device, gateway: True)


def give_keys_of_revoked_devices(put):
    """Go on giving keys of a device that was revoked."""
    put(SqliteStore, "is_revoked", lambda self, device: False)


def give_without_a_grant(put):
    """Give keys to every gateway."""
    put(views, "grant_of", lambda connection, gateway: (7, 2, 0))


def keep_silent_about_a_withdrawn_grant(put):
    """Say nothing more, so that the gateway goes on reading."""
    kept = views.grant_of

    def granted(connection, gateway):
        found = kept(connection, gateway)
        return None if found is None or found[0] < 0 else found

    put(views, "grant_of", granted)


def give_them_each_time(put):
    """Send keys with every answer."""
    put(Views, "_is_due", lambda self, *_of: True)


def read_whatever_comes_out(put):
    """Pass over the synthetic IV."""

    def open_body(self, body_key, iv_key, ctr):
        return ctr(body_key, self._iv, self._ciphertext)

    put(Segment, "open_body", open_body)


def keep_readings(put):
    """Delete the key of a period, and not what was read with it."""

    def replace_keys(connection, said):
        for device, keys in said.items():
            connection.execute("DELETE FROM views WHERE device = ?", (device,))
            connection.executemany(
                "INSERT INTO views VALUES (?, ?, ?)", [(device, period, key) for period, key in keys.items()]
            )
        return True

    put(readings, "replace_keys", replace_keys)


def keep_the_log(put):
    """Leave a deleted key in the write-ahead log."""
    put(readings, "_empty_log", lambda connection: None)


def show_what_came_last(put):
    """Take the reading that arrives last for the newest."""

    def put_readings(connection, rows):
        for one in rows:
            connection.execute(
                f"INSERT OR REPLACE INTO readings ({store_readings.COLUMNS}) VALUES ({', '.join('?' * 11)})",
                (*one, store_readings.reading_sum(one)),
            )

    put(readings, "put_readings", put_readings)


OFFICES = {
    plant.__name__: plant
    for plant in (
        give_keys_of_class_office,
        give_keys_of_any_device,
        give_keys_of_revoked_devices,
        give_without_a_grant,
        keep_silent_about_a_withdrawn_grant,
        give_them_each_time,
    )
}
GATEWAYS = {
    plant.__name__: plant
    for plant in (read_whatever_comes_out, keep_readings, keep_the_log, show_what_came_last)
}
