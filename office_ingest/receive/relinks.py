"""Links that devices were given and that are not known to be in use yet: beside the link of before, until one of the two ends.

From the moment a relink is given the keystore holds both links, and gateways serve both. A verified heartbeat that names the command ends
the one of before: the device asks over the next one and has no other. A refusal ends the next one. Nothing else ends either of them, for
a device may have taken what nobody answered.

Source: SPEC.md section 10.2.
"""

from typing import NamedTuple

from office_ingest.receive.keystore import Keystore
from protocol.command import DONE, RELINK
from protocol.keys import relinked

# Counter of a heartbeat's health: number of the command whose link is in use.
LINK = 21
HALF_BYTES = 8
# In the place of what is random: the command of this number is settled, and none of it or below it may ever be a relink again.
_SETTLED = b""


class Relink(NamedTuple):
    """One relink that was given. number: of its command; random: 16 bytes of its demand; kid: sender ID of the next link."""

    number: int
    random: bytes
    kid: bytes

    @property
    def demand(self) -> list[int]:
        """The demand of its command."""
        return demand_of(self.random)


class Relinks:
    """Of one keystore."""

    def __init__(self, keystore: Keystore):
        self._keystore = keystore

    def pending(self, device: bytes) -> Relink | None:
        """Return what was given to a device and is not settled, or None."""
        row = self._keystore.connection.execute(
            "SELECT number, random, kid FROM relinks WHERE device = ? AND random <> ?", (device, _SETTLED)
        ).fetchone()
        return None if row is None else Relink(*row)

    def settled(self, device: bytes) -> int:
        """Return the highest number of a relink that is settled, 0 for none. A device goes on saying it: of a later relink it would end the wrong link."""
        row = self._keystore.connection.execute(
            "SELECT number FROM relinks WHERE device = ? AND random = ?", (device, _SETTLED)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def links(self, device: bytes) -> list[bytes]:
        """Return the sender IDs of a device's links, the newest last."""
        return [kid for held, kid, _ in self._keystore.links() if held == device]

    def add(self, device: bytes, number: int, random: bytes, now_ms: int) -> None:
        """Keep the next link beside the one in use, over itself if it is there.

        Raises KeyUnknown; ValueError: another one is pending, or as add_link().
        """
        kid, secret = relinked(self._keystore.downlink(device), device, number, demand_of(random))
        before = self.pending(device)
        if before is not None and (before.number, before.kid) == (number, kid):
            return
        if before is not None:
            raise ValueError(f"relink {before.number} of device {device.hex()} is pending")
        with self._keystore.writing():
            self._keystore.add_link(device, kid, secret, now_ms)
            self._keystore.connection.execute(
                "INSERT OR REPLACE INTO relinks VALUES (?, ?, ?, ?)", (device, number, random, kid)
            )

    def drop(self, device: bytes, number: int) -> None:
        """Forget the next link: the device did not take it, and never will. Nothing happens if none of this number is pending."""
        self._end(device, number, "kid = ?")

    def settle(self, device: bytes, number: int) -> bool:
        """Forget the link of before: the device uses the next one. Returns whether one of this number was pending."""
        return self._end(device, number, "kid <> ?")

    def forget(self, device: bytes, number: int) -> None:
        """Forget the next link and its number too: no command ever named it."""
        if self._end(device, number, "kid = ?"):
            with self._keystore.writing():
                self._keystore.connection.execute("DELETE FROM relinks WHERE device = ?", (device,))

    def _end(self, device: bytes, number: int, which: str) -> bool:
        pending = self.pending(device)
        if pending is None or pending.number != number:
            return False
        with self._keystore.writing():
            write = self._keystore.connection.execute
            write(f"DELETE FROM links WHERE device = ? AND {which}", (device, pending.kid))  # noqa: S608 - of the two above
            write("UPDATE relinks SET random = ? WHERE device = ?", (_SETTLED, device))
        return True

    def heard(self, device: bytes, health: dict[int, int]) -> None:
        """A newest heartbeat of a device was verified."""
        if health.get(LINK):
            self.settle(device, health[LINK])

    def answered(self, device: bytes, number: int, demand: list[int], verdict: int) -> None:
        """A device answered a command."""
        pending = self.pending(device)
        if verdict != DONE and pending is not None and (pending.number, pending.demand) == (number, demand):
            self.drop(device, number)


def demand_of(random: bytes) -> list[int]:
    """Return the demand of a relink from its 16 random bytes."""
    return [RELINK, *(int.from_bytes(random[at : at + HALF_BYTES], "big") for at in (0, HALF_BYTES))]
