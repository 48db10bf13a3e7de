"""Faults in counting what links move, planted into a simulated site: as tests.planted.sim has them."""

from gateway.links import server
from gateway.usage import Usage
from office_ingest.storage.usage import UsageStore


def count_bytes_twice(put):
    """Count each datagram of a device as two."""
    true = Usage.moved
    put(
        Usage,
        "moved",
        lambda self, link, device, received, sent: true(self, link, device, 2 * received, 2 * sent),
    )


def add_what_is_told_again(put):
    """Office: take each total for what came since the last one."""

    def add(self, gateway, device, day, link, counts, life):
        key = (device, day, link, gateway, life)
        sql = "SELECT received_bytes, sent_bytes FROM link_usage_lives WHERE device = ? AND day = ? AND link = ? AND gateway = ? AND life = ?"
        held = self._store.connection.execute(sql, key).fetchone() or (0, 0)
        self._store.put("link_usage_lives", *key, held[0] + counts[0], held[1] + counts[1], *counts[2:])

    put(UsageStore, "put", add)


def pass_over_repetitions(put):
    """Gateway: count a request that comes again for nobody at all."""
    true = server.CoapServer._came

    def came(self, exchange, size):
        if exchange.came:
            exchange.came += 1
        else:
            true(self, exchange, size)

    put(server.CoapServer, "_came", came)
