"""Broken variants of what stands under the gateway's links. tests/canary/test_links.py shows that each is caught by its test.

FAULTS: name -> apply(patch), where patch(owner, name, value) replaces an attribute, as setattr does.
"""

from gateway.links.remembered import Remembered
from gateway.links.server import CoapServer
from gateway.sessions import Sessions
from protocol.mac import hmac_sha256
from tests.planted.register import register

FAULTS, fault = register()


@fault
def carry_out_again_after_a_separate_response(patch):
    """What was answered by itself is forgotten, and its repetition taken for a new request."""
    true_repeat = CoapServer._repeat_until_acknowledged

    def repeat(self, exchange, datagram):
        true_repeat(self, exchange, datagram)
        self.remembered.drop_peer(exchange.peer)

    patch(CoapServer, "_repeat_until_acknowledged", repeat)


@fault
def say_at_length_to_strangers(patch):
    """How long an answer is, is not compared with what a stranger sent."""
    patch(CoapServer, "_is_bounded", lambda *_: True)


@fault
def remember_without_bound(patch):
    """Answers are kept for their whole lifetime, however many they are."""
    true_init = Remembered.__init__

    def init(self, **_):
        true_init(self, bytes_max=1 << 40, peer_bytes_max=1 << 40)

    patch(Remembered, "__init__", init)


@fault
def acknowledge_nothing_early(patch):
    """A request that takes long is acknowledged by its answer only, after the device has repeated it."""
    patch(CoapServer, "_acknowledge", lambda self, now: None)


@fault
def take_any_devices_echo(patch):
    """An Echo says that somebody is there, not who."""
    patch(Sessions, "_echo", lambda self, session: hmac_sha256(self._secret, b"somebody")[:8])


@fault
def take_an_echo_of_before(patch):
    """An Echo is good over starts of the gateway: what was shown once is shown for ever."""
    patch(Sessions, "_echo", lambda self, session: hmac_sha256(b"secret", session.name)[:8])
