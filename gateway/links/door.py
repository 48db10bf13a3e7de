"""Stands before aiocoap's message layer: a request is opened before anything is kept for it.

aiocoap remembers every request for EXCHANGE_LIFETIME, with its answer, so that a repeated one is answered alike. For requests of
strangers that is two kilobytes each that anybody can make us keep; and whoever forges a device's address could so lay an answer in
the way of the device's own request. Here a request without a verified claim is answered at once and forgotten. One that is
remembered already goes on to aiocoap, which repeats its answer: opened a second time it would be taken for a replay.

Source: RFC 7252 sections 4.2, 4.5 and 11.3; aiocoap 0.4.17 `messagemanager`, `transports.udp6` (docs/decisions/0004-pinned-aiocoap.md).
"""

from collections.abc import Callable
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import ACK, CON, NON

Admit = Callable[[Any], int | None]


class Door:
    """admit(request): None if aiocoap may have it, else the code to answer. malformed(): told of a datagram that is no message."""

    def __init__(self, interface: Any, admit: Admit, malformed: Callable[[], None]):
        self._manager = interface.token_interface
        self._socket = self._manager.message_interface
        self._admit = admit
        self._malformed = malformed
        self._dispatch = self._manager.dispatch_message
        self._receive = self._socket.datagram_msg_received
        self._manager.dispatch_message = self.dispatch
        self._socket.datagram_msg_received = self.receive

    def receive(self, *datagram: Any) -> None:
        """Take one datagram from the socket."""
        try:
            self._receive(*datagram)
        except UnicodeDecodeError:
            # Of an option that is text; any other mistake in a message aiocoap passes over by itself.
            self._malformed()

    def dispatch(self, message: Any) -> None:
        """Take one message: requests of strangers end here."""
        if message.code.is_request() and not self._is_remembered(message):
            if message.mtype not in (CON, NON):
                # A request in an acknowledgement means nothing, and has no answer.
                self._malformed()
                return
            code = self._admit(message)
            if code is not None:
                self._refuse(message, code)
                return
        self._dispatch(message)

    def _is_remembered(self, message: Any) -> bool:
        return (message.remote, message.mid) in self._manager._recent_messages

    def _refuse(self, request: Any, code: int) -> None:
        if request.remote.is_multicast_locally:
            return
        number = request.mid if request.mtype is CON else self._manager._next_message_id()
        answer = aiocoap.Message(code=Code(code), _mtype=ACK if request.mtype is CON else NON, _mid=number)
        answer.token = request.token
        answer.remote = request.remote.as_response_address()
        self._socket.send(answer)
