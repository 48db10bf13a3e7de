"""The keys that an office has of one device, also those that a rekey begins: what a model of it verifies and opens with."""

from protocol.errors import ProtocolError
from protocol.keys import body_keys, rekey_root, rekeyed, seal_ahead, view_key, view_next


class ModelKeys:
    """seal_keys: k(0) of (critical, routine); ratchets: r(0) of (site, office); downlink: key. settled: how many rekeys are proved.

    As the real office: a rekey that was given waits until something fits it; then nothing of its generation or above fits what was before.
    """

    def __init__(self, device, seal_keys, ratchets, downlink):
        self._device = device
        # (generation, period, seal keys, ratchets), the newest last.
        self._chains = [(0, 0, tuple(seal_keys), tuple(ratchets))]
        self._pending = []
        self.downlink = downlink

    @property
    def settled(self):
        """How many rekeys were proved by something that fits them."""
        return len(self._chains) - 1

    def expect(self, number, demand):
        """Take note of a rekey command that was given."""
        keys = rekeyed(rekey_root(self.downlink, self._device, number, demand))
        self._pending.append(((demand[1], demand[2], keys[:2], keys[2:4]), keys[4]))

    def verify(self, message, lane, generation, derive):
        """Verify a message with derive(k(generation)) of a lane. Raises ProtocolError."""
        try:
            message.verify(derive(_key_of(self._chain(0, generation), lane, generation)))
        except ProtocolError:
            self._try_pending(message, lane, generation, derive)

    def _try_pending(self, message, lane, generation, derive):
        for chain, downlink in self._pending[::-1]:
            if chain[0] > generation:
                continue
            try:
                message.verify(derive(_key_of(chain, lane, generation)))
            except ProtocolError:
                continue
            self._chains.append(chain)
            self.downlink = downlink
            self._pending = []
            return
        message.verify(derive(_key_of(self._chain(0, generation), lane, generation)))

    def _chain(self, by, at):
        return [chain for chain in self._chains if chain[by] <= at][-1]

    def body_keys(self, view_class, period):
        """Return (body key, iv key) of a class and period."""
        chain = self._chain(1, period)
        ratchet = chain[3][view_class - 1]
        for _ in range(period - chain[1]):
            ratchet = view_next(ratchet)
        return body_keys(view_key(ratchet))


def _key_of(chain, lane, generation):
    return seal_ahead(chain[2][lane], generation - chain[0])
