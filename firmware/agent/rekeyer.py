"""Gives the journal other keys, as a command of the office says: nothing sealed before is lost, and nothing of before can seal any more.

The intent lies in the key sector before the command's event is durable; it counts once that event is. Then the keys change, all at once,
an epoch begins, and a checkpoint ends the view ratchets of before. A cut anywhere leaves either the keys of before and the intent, so
that the next turn goes on, or the new keys, with which the boot begins the epoch.

Source: SPEC.md section 10.1.
"""

from agent.epoch import REKEYED
from protocol.keys import rekey_root


class Rekeyer:
    """device: identity; keystore, journal: whose keys change. owner: the agent.

    It does: begin_period() -> writes the checkpoint with which a view period begins; rekeyed() -> the downlink key is another one.
    It says: command_tick(). seal_lanes() -> whether all events of both lanes are durable, so that none goes on into the next epoch, behind
    the order of its start. point(name).
    """

    def __init__(self, device: bytes, keystore, journal, owner):
        self._device = device
        self._keystore = keystore
        self._journal = journal
        self._owner = owner

    def can(self, demand: list) -> bool:
        """Return whether what a rekey command asks for begins above all that is in use."""
        return self._keystore.can_rekey(demand[1], demand[2])

    def intend(self, number: int, demand: list) -> None:
        """Make the intent durable: the command's event comes next."""
        root = rekey_root(self._keystore.downlink(), self._device, number, demand)
        self._keystore.intend(number, root, demand[1], demand[2])

    def resume(self, taken: int) -> None:
        """After a boot: drop an intent whose command has no durable event; the command comes again. taken: highest number with one."""
        intent = self._keystore.intent()
        if intent is not None and intent[0] > taken:
            self._keystore.drop_intent()

    def turn(self) -> None:
        """Carry out what is intended, if the command's event is durable and there is room for what follows."""
        intent = self._keystore.intent()
        if intent is None or len(self._keystore.boot_periods()) != 1 or not self._owner.seal_lanes():
            return
        if not self._keystore.can_rekey(intent[1], intent[2]):
            # It waited so long for room that the chains reached it; the office gives another.
            self._keystore.drop_intent()
            return
        self._owner.point("before_rekey")
        self._keystore.rekey()
        self._owner.point("after_keys")
        self._journal.start_epoch(REKEYED, self._owner.command_tick())
        self._owner.begin_period()
        self._owner.rekeyed()
        self._owner.point("after_rekey")
