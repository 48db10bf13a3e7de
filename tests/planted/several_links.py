"""Broken variants of a device with several links. tests/canary/test_several_links.py shows that each is caught by its test.

FAULTS: name -> apply(patch), where patch(owner, name, value) replaces an attribute, as setattr does.
"""

from agent.coap_client import CoapClient, LinkDown
from agent.links import several
from agent.links.several import SeveralLinks
from gateway.sessions import Sessions
from protocol.oscore import ReplayWindow
from tests.planted.register import register

FAULTS, fault = register()


@fault
def forget_the_request_under_way(patch):
    """Falling over ends the exchange: the request is given up, and its sender told that nobody is there."""
    true_move = SeveralLinks._move

    def move(self):
        true_move(self)
        raise LinkDown("the link was left")

    patch(SeveralLinks, "_move", move)


@fault
def never_come_back(patch):
    """What was left once is never looked at again."""
    patch(SeveralLinks, "_age_ms", lambda self: 0)


@fault
def look_at_the_preferred_link_all_the_time(patch):
    """The pause before a look does not grow."""
    patch(several, "_PAUSE_MS_MAX", several._PAUSE_MS_MIN)


@fault
def take_the_answer_of_another_exchange(patch):
    """What answers the request before is taken for the answer to this one."""
    true_examine = CoapClient._examine
    before = []

    def examine(self, datagram, attempt):
        answer = true_examine(self, datagram, attempt)
        for one in before if answer is None else ():
            answer = answer or (true_examine(self, datagram, one) if one is not attempt else None)
        if attempt not in before:
            before.append(attempt)
        return answer

    patch(CoapClient, "_examine", examine)
    true_deliver = CoapClient._transmit

    async def transmit(self, datagram, attempt):
        before.append(attempt)
        return await true_deliver(self, datagram, attempt)

    patch(CoapClient, "_transmit", transmit)


@fault
def believe_whoever_answers(patch):
    """A datagram of any kind says that a link is good."""
    true_recv = SeveralLinks.recv

    async def recv(self, timeout_ms):
        datagram = await true_recv(self, timeout_ms)
        if datagram is not None:
            self.answered()
        return datagram

    patch(SeveralLinks, "recv", recv)


@fault
def stop_listening_to_the_link_that_was_left(patch):
    """An answer that is late finds nobody."""
    true_move = SeveralLinks._move

    def move(self):
        true_move(self)
        self._forget_left()

    patch(SeveralLinks, "_move", move)


@fault
def keep_a_window_for_each_link(patch):
    """What was accepted over one link is news on another: here, on any."""
    patch(ReplayWindow, "is_fresh", lambda self, number: True)


@fault
def take_a_refused_session_for_a_new_one(patch):
    """A request is opened without asking whether it was there before."""
    true_open = Sessions.open

    def open_anew(self, message):
        for session in self._live.values():
            session.window = ReplayWindow()
        return true_open(self, message)

    patch(Sessions, "open", open_anew)
