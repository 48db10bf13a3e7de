"""A link that stands for others, one after the other: what all of them moved."""

from agent.unset import unset


class Successive:
    """_link: the one in use, unset() where there is none. Counts, all rising, of it and of all that were left: see UdpLink."""

    def __init__(self):
        self._link = unset()
        self._sent_bytes = self._received_bytes = self._lost = 0

    @property
    def sent_bytes(self) -> int:
        """CoAP bytes that left."""
        return self._sent_bytes + (self._link.sent_bytes if self._link else 0)

    @property
    def received_bytes(self) -> int:
        """CoAP bytes that came."""
        return self._received_bytes + (self._link.received_bytes if self._link else 0)

    @property
    def lost(self) -> int:
        """Datagrams that the links call lost, and what found none."""
        return self._lost + (self._link.lost if self._link else 0)

    def _leave_link(self):
        """Have no link, and return the one that was left, unset() for none; it is not closed."""
        link = self._link
        self._link = unset()
        if link:
            self._sent_bytes += link.sent_bytes
            self._received_bytes += link.received_bytes
            self._lost += link.lost
        return link
