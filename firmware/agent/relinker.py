"""Gives the device another link to its gateways, as a command of the office says, and never leaves it without one.

The next link lies in the key sector before the command's event is durable; it counts once that event is. Then requests go over it; as
long as nobody has answered one, the link of before has its turns too, for gateways may not know the next one yet. The first verified
answer decides: the next link is the one in use, the one before is gone, and heartbeats say so to the office.

Source: SPEC.md section 10.2.
"""

from protocol._const import const
from protocol.command import DONE
from protocol.keys import relinked

# Requests in a row without an answer until the other link has its turn.
_TRIES = const(3)
# Answers of this long over the link of before, real milliseconds: then the next one is tried again. A gateway asks the office each minute.
_AGAIN_MS = const(600000)


class Relinker:
    """device: identity; settings: (sender ID, secret) of provisioning; keystore: where other links lie.

    owner: the agent. It says: real_ms(), note_verdict() -> 0, or the verdict why not. It does: relinked(), once another link is in use;
    point(name).
    """

    def __init__(self, device: bytes, settings: tuple, keystore, owner):
        self._device = device
        self._settings = settings
        self._keystore = keystore
        self._owner = owner
        # Whether the command of the next link has its event, and whether requests go over it now.
        self._is_open = False
        self._is_next = False
        # Whether the newest request went over the next link: where flash is full a command is ended late, while a request is under way.
        self._is_asked = False
        self._unanswered = 0
        self._since_ms = 0

    def judge(self) -> int:
        """Return DONE if this device can take another link now, else the verdict on the command that says so."""
        return self._owner.note_verdict() or DONE

    def intend(self, number: int, demand: list) -> None:
        """Make the next link durable: the command's event comes next."""
        self._is_open = self._is_next = False
        kid, secret = relinked(self._keystore.downlink(), self._device, number, demand)
        self._keystore.intend_link(number, kid, secret)

    def resume(self, taken: int) -> None:
        """After a boot: drop a next link whose command has no durable event, else try it. taken: highest number with one."""
        following = self._keystore.next_link()
        if following is not None and following[0] > taken:
            self._keystore.drop_next_link()
        else:
            self.begin()

    def begin(self) -> None:
        """Try the next link from now on, if there is one: its command's event is durable."""
        if self._keystore.next_link() is not None:
            self._is_open = True
            self._turn(True)

    def number(self) -> int:
        """Return the number of the command whose link is in use, 0: that of provisioning."""
        link = self._keystore.link()
        return 0 if link is None else link[0]

    def is_given(self) -> bool:
        """Whether a command gave a link, in use or not answered yet."""
        return self._keystore.link() is not None or self._keystore.next_link() is not None

    def link(self) -> tuple:
        """Return (sender ID, secret) for the next request."""
        if self._is_open and not self._is_next and self._owner.real_ms() - self._since_ms >= _AGAIN_MS:
            self._turn(True)
        self._is_asked = self._is_next
        link = self._keystore.next_link() if self._is_next else self._keystore.link()
        return self._settings if link is None else link[1:]

    def answered(self) -> None:
        """The newest request was answered, verified under what link() gave for it."""
        if self._is_asked != self._is_next:
            return
        self._unanswered = 0
        if self._is_next:
            self._owner.point("before_link")
            self._keystore.use_next_link()
            self._is_open = self._is_next = False
            self._owner.relinked()
            self._owner.point("after_link")

    def failed(self) -> None:
        """The newest request was not answered so that it could be verified."""
        if self._is_asked != self._is_next:
            return
        self._unanswered += 1
        if self._is_open and self._unanswered >= _TRIES:
            self._turn(not self._is_next)

    def _turn(self, is_next: bool) -> None:
        self._is_next = is_next
        self._unanswered = 0
        self._since_ms = self._owner.real_ms()
