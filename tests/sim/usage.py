"""What links moved in a simulated site: weighed by the network, beside what gateways count and tell the office.

A gateway tells twice a day instead of once a minute: a kill costs more of the counts, and a world hardly any time.
"""

import random
from collections import Counter

from gateway.errors import OfficeError, OfficeUnreachable, StoreFailed, StoreFull
from protocol.errors import ProtocolError
from protocol.usage import LIFE_HEADER, parse_life, parse_usage

INTERVAL_S = 12 * 3600.0


class Meter:
    """One start of a gateway's process. weighed: bytes that came and went; counted: bytes of which its counts were told, device or none."""

    def __init__(self, gateway):
        self._gateway = gateway
        self._chance = random.Random(f"{gateway.world.seed} usage of {gateway.name} {gateway.starts}")
        self.weighed = self.counted = 0

    def begin(self, app):
        """Stand between the links and the counts, and let the counts be told to the simulated office."""
        moved = app.site._moved

        def watched(link, device, received, sent):
            self.counted += received + sent
            moved(link, device, received, sent)

        app.site._moved = watched
        app.usage._ask = self._tell

    def passed(self, device, size):
        """A datagram of a device came, or went to it."""
        self.weighed += size
        self._gateway.world.moved[device.identity.device, self._gateway.site_name] += size

    def missing(self, server):
        """Return how many bytes came or went that were not counted; below zero: counted twice."""
        waiting = sum(sum(map(sum, one.unproved)) for one in server._unproved.values())
        return self.weighed - self.counted - waiting

    async def _tell(self, _method, _path, _bytes_max, body, headers):
        world = self._gateway.world
        parted = {"office", f"uplink of {self._gateway.name}"} & world.network.parted
        if parted or self._chance.random() < world.network.weather.loss:
            raise OfficeUnreachable("the request did not arrive")
        try:
            kind, answer = world.office.usage(self._gateway.site_name, body, headers[LIFE_HEADER])
        except ConnectionError as error:
            raise OfficeUnreachable(str(error)) from None
        if kind != "ok":
            raise OfficeUnreachable(f"{kind}: {answer}")
        if self._chance.random() < world.network.weather.loss:
            raise OfficeUnreachable("the answer was lost")
        return b""


def take(core, gateway, body, life):
    """Let an office take what a gateway told."""
    try:
        core.usages.take(gateway, parse_usage(body), parse_life(life))
    except ProtocolError as error:
        raise AssertionError(f"a gateway told what is no usage: {error}") from None
    return b""


def make_moved():
    """Return (device, gateway of the site) -> bytes, both ways, as the network weighed them."""
    return Counter()


async def settle(world):
    """Let every gateway tell what it has counted."""
    for gateway in world.gateways:
        if gateway.is_up:
            try:
                await gateway.app.usage.step()
            except (OfficeError, StoreFull, StoreFailed):
                # Told the next time; there is none.
                continue
