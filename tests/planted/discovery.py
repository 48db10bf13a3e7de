"""Broken variants of a search for the gateway. tests/canary/test_discovery.py shows that each is caught by its test.

FAULTS: name -> apply(patch), where patch(owner, name, value) replaces an attribute, as setattr does.
"""

from agent.links.search import SearchLink
from gateway.links.groups import Groups
from gateway.links.public import Public
from gateway.links.udp import UdpLink
from tests.planted.register import register

FAULTS, fault = register()


@fault
def never_join(patch):
    """The gateway belongs to no group."""
    patch(Groups, "_join", lambda self, group, index: None)


@fault
def believe_who_answered_first(patch):
    """Whoever answers a search is the gateway for good."""
    patch(SearchLink, "_move", lambda self: None)


@fault
def ask_who_was_left_again(patch):
    """A new search begins each time that somebody is left, so that the quickest is always asked."""
    true_move = SearchLink._move

    def move(self):
        true_move(self)
        self._end_search()

    patch(SearchLink, "_move", move)


@fault
def take_an_answer_to_no_question(patch):
    """Whatever comes during a search is an answer to it."""
    patch(SearchLink, "_is_answer", lambda self, datagram: True)


@fault
def stay_with_the_known_address(patch):
    """Where the known address is silent nobody is looked for."""
    true_move = SearchLink._move

    def move(self):
        if not self._host:
            true_move(self)

    patch(SearchLink, "_move", move)


@fault
def answer_a_group_whatever_is_public(patch):
    """The time is told to whole groups."""
    patch(Public, "is_sought", Public.is_public)


@fault
def take_a_group_for_one(patch):
    """What came to a group is answered as what came to the gateway itself: at once, and refusals too."""
    patch(UdpLink, "feed_group", lambda self, peer, datagram: self.server.feed(peer, datagram))
