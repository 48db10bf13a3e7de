"""What can go wrong in the gateway's world: disk, office, link. Each says who must act.

What is wrong with bytes from outside is a ProtocolError; what a person wrote wrongly is a DiagnosticError.
"""


class GatewayError(Exception):
    """Base of the gateway's errors."""


class StoreFull(GatewayError):
    """There is no room; nothing was written, custody must be refused.

    Who must act: nobody if the office comes back and receipts free room; else a person gives the store more room.
    """


class StoreFailed(GatewayError):
    """The disk did not do what it was asked; nothing may be acknowledged until the store was opened and checked again.

    Who must act: the gateway opens the store again by itself; a person, if the log repeats it: the disk is failing.
    """


class TooManyForks(GatewayError):
    """One number was sent with more different digests than are kept as evidence; this one was not stored.

    Who must act: a person. The device is broken, or cloned many times.
    """


class OfficeError(GatewayError):
    """The office did not take what was sent; it is sent again later.

    state: one word for the status; see docs/operating/gateway.md. retry_after_s: what the office asked for, or None.
    """

    state = "failing"

    def __init__(self, text: str, retry_after_s: float | None = None):
        super().__init__(text)
        self.retry_after_s = retry_after_s


class OfficeUnreachable(OfficeError):
    """No connection, no TLS, or no answer in time. Who must act: nobody, unless it lasts: then who runs the network."""

    state = "unreachable"


class OfficeRefused(OfficeError):
    """The office does not know this gateway or its token. Who must act: who provisions gateways."""

    state = "refused"


class OfficeBusy(OfficeError):
    """The office asks to come back later. Who must act: nobody."""

    state = "busy"


class OfficeConfused(OfficeError):
    """The answer is not what SPEC.md section 7 says; nothing was released. Who must act: who runs the office."""

    state = "confused"


class AnswerTooLong(OfficeConfused):
    """The answer is longer than any honest one; it was not read to its end. Who must act: who runs the office."""


class BodyRefused(OfficeConfused):
    """A release or part is not what was asked for; it was not kept, and is asked for again later. Who must act: who runs the office."""


class RequestTooLarge(OfficeError):
    """The office (or a proxy before it) takes smaller requests only; the next is half as large. Who must act: nobody."""

    state = "busy"
