"""Which release roots this device takes releases of: those that it was provisioned with, and what stands in their place.

What was provisioned never changes; a root page in the key sector names a provisioned root and the key that stands for it now. A
replacement is ordered by a command and signed by a root that is held. It is verified once: its page is an intent, with the command's
number, before the command's event is durable, and in force after. A cut leaves the root of before or the new one.

Source: SPEC.md section 12.5.
"""

from agent.unset import unset
from protocol._const import const
from protocol.envelope import check_replacement, key_id
from protocol.errors import TOO_LARGE, ProtocolError
from protocol.limits import admission_roots_max

# Root pages at once, the one that is written among them: a key sector has sixteen pages, its keys and their intent take at most eight
# while they change, and links two.
_PAGES_MAX = const(6)


class Roots:
    """provisioned: public keys of 60 bytes; keystore: Keystore. owner: the agent: point(name), root_replaced()."""

    def __init__(self, provisioned: list, keystore, owner):
        self._provisioned = [(key_id(public), public) for public in provisioned]
        self._keystore = keystore
        self._owner = owner
        self._judged = unset()

    def held(self) -> list:
        """Return the public keys in force, in the order of the provisioned ones, each once."""
        found = []
        for named, public in self._provisioned:
            step = self._in_force(named)
            public = public if step is None else step[2]
            if public not in found:
                found.append(public)
        return found

    def ids(self) -> list:
        """Return the identifiers (8 bytes) of the roots in force, the last ones of more than an attestation has room for."""
        return [key_id(public) for public in self.held()[-admission_roots_max:]]

    def _in_force(self, named: bytes):
        """Return the root page in force for a provisioned root, or None."""
        for page in self._keystore.roots():
            if page[1] == named and page[3] == 0:
                return page
        return None

    def _intents(self) -> list:
        return [page for page in self._keystore.roots() if page[3]]

    def judge(self, raw: bytes) -> int:
        """Return 0 if a replacement is to be, else its reject code. The signature is verified here, and nowhere else."""
        try:
            self._judged = check_replacement(raw, self.held())
        except ProtocolError as error:
            return error.code
        pages = len(self._keystore.roots()) + len(self._standing_for(self._judged.predecessor))
        return TOO_LARGE if pages >= _PAGES_MAX else 0

    def intend(self, number: int) -> None:
        """Make the replacement that was judged last an intent of the command of this number."""
        self._forget_intents()
        named_here = [named for named, _ in self._provisioned]
        for step, named, _public, of in self._keystore.roots():
            if named not in named_here:
                # Of roots that somebody provisioned otherwise since: a page stands for what is provisioned, or for nothing.
                self._keystore.drop_root(step, named, of)
        for named in self._standing_for(self._judged.predecessor):
            before = self._in_force(named)
            step = 1 if before is None else before[0] + 1
            self._keystore.write_root(step, named, self._judged.public, number)
        self._judged = unset()

    def _standing_for(self, root: bytes) -> list:
        """Return the provisioned roots in whose place a root (its identifier) stands: two that it follows may be there."""
        found = []
        for named, public in self._provisioned:
            page = self._in_force(named)
            if key_id(public if page is None else page[2]) == root:
                found.append(named)
        return found

    def _forget_intents(self) -> None:
        for step, named, _public, number in self._intents():
            self._keystore.drop_root(step, named, number)

    def resume(self, taken: int) -> None:
        """After a boot: drop intents whose command has no durable event; it comes again. taken: highest number with one."""
        for step, named, _public, number in self._intents():
            if number > taken:
                self._keystore.drop_root(step, named, number)

    def turn(self, taken: int) -> None:
        """Put in force what is intended, if its command was taken."""
        intents = [page for page in self._intents() if page[3] <= taken]
        if not intents:
            return
        self._owner.point("before_root")
        for step, named, public, number in intents:
            before = self._in_force(named)
            self._keystore.write_root(step, named, public, 0)
            self._owner.point("after_root_page")
            self._keystore.drop_root(step, named, number)
            if before is not None:
                self._keystore.drop_root(before[0], named, 0)
        self._owner.root_replaced()
        self._owner.point("after_root")
