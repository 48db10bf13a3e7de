"""What passed between devices and gateways: the keys, number and bytes of every message, so that a nonce that is used twice shows."""

from hashlib import sha256

from protocol import coap
from protocol.errors import ProtocolError
from protocol.oscore import decode_option


class Tap:
    """keep() of a link's relay: lets everything through. requests, answers: how many were protected; reused: how many of them said
    something else under keys and number of another one.
    """

    def __init__(self):
        self.requests = self.answers = 0
        self.reused = 0
        self._seen = {}
        # token -> (kid, ID Context, number) of the request that asked last
        self._asked = {}

    def __call__(self, upward, datagram):
        try:
            message = coap.decode(datagram)
            said = coap.option(message.options, coap.OSCORE)
            if said is not None:
                self._note(upward, message, decode_option(said))
        except ProtocolError:
            pass
        return True

    def _note(self, upward, message, said):
        piv, kid, context = said
        if upward:
            self.requests += 1
            self._asked[message.token] = (kid, context, piv)
            self._look(("device", kid, context, piv), message)
        elif message.token in self._asked:
            self.answers += 1
            kid, context, asked = self._asked[message.token]
            # Without a number of its own an answer is sealed under the request's nonce.
            nonce = ("gateway", piv) if piv is not None else ("request", asked)
            self._look((kid, context, nonce), message)

    def _look(self, nonce, message):
        said = sha256(message.payload).digest()
        self.reused += self._seen.setdefault(nonce, said) != said
