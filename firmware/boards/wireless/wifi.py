"""The board's Wi-Fi as a station: joined again whenever it was lost. Nothing waits for it: a link without a network loses datagrams."""

import network

_LOOK_MS = 1000
# Joining takes a few seconds; asking again sooner would begin it anew.
_LOOKS = 10


class Wifi:
    """One network. ssid, key: as text; an empty key is an open network."""

    def __init__(self, ssid: str, key: str):
        self._ssid = ssid
        self._key = key
        self._station = network.WLAN(network.WLAN.IF_STA)

    def is_joined(self) -> bool:
        """Return whether the board has an address in the network."""
        return self._station.isconnected()

    def join(self) -> None:
        """Begin to join, and return at once."""
        self._station.active(True)
        if self._key:
            self._station.connect(self._ssid, self._key)
        else:
            self._station.connect(self._ssid)

    async def keep(self, sleep_ms, tell) -> None:
        """Join, and join again when the network is lost, for ever. tell(text): the console."""
        was_joined = False
        looks = 0
        while True:
            is_joined = self.is_joined()
            if is_joined != was_joined:
                tell("wifi " + ("joined" if is_joined else "lost"))
                was_joined = is_joined
            if is_joined:
                looks = 0
            elif looks % _LOOKS == 0:
                self._begin()
            looks += 1
            await sleep_ms(_LOOK_MS)

    def _begin(self) -> None:
        try:
            self.join()
        except OSError:
            # A driver that is busy joining says so by an error; the next look asks again.
            return
