"""Faults planted in giving a device other keys, by name: plant(put); put is pytest's monkeypatch.setattr.

Each is a mistake somebody could make in good faith. tests/canary/test_rekey.py shows that the named test catches it.
"""

from agent import keystore
from agent.app import Agent
from agent.key_notes import INTENT
from agent.keystore import Keystore as DeviceKeystore
from agent.rekeyer import Rekeyer
from office_ingest.prove import sealed
from office_ingest.receive.epoch_ends import EpochEnds
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.rekeys import Rekeys
from protocol import keys
from protocol.keys import LANES, rekeyed


class _NoErase:
    """A flash on which nothing is erased."""

    def __init__(self, flash):
        self._flash = flash

    def __getattr__(self, name):
        return getattr(self._flash, name)

    def erase(self, sector):
        """Leave it as it is."""


def leave_the_keys_of_before(put):
    """Write the other keys and let the sector of before lie."""
    install = DeviceKeystore._install

    def careless(self, chains):
        flash = self._flash
        self._flash.erase(2 * self._first + 1 - self._sector)
        self._flash = _NoErase(flash)
        install(self, chains)
        self._flash = flash

    put(DeviceKeystore, "_install", careless)


def change_key_by_key(put):
    """Replace one chain after the other, in the sector that is in use."""

    def rekey(self):
        _number, root, generation, period, _page = self._notes[INTENT][0]
        fresh = rekeyed(root)
        for lane in LANES:
            self._replace(lane, generation, fresh[lane])
        for chain in (2, 3):
            self._live[chain].append((period, fresh[chain], self._write(chain, period, fresh[chain])))
        self._replace(4, self._live[4][0][0] + 1, fresh[4])
        self.drop_intent()

    put(DeviceKeystore, "rekey", rekey)


def intend_in_memory(put):
    """Remember what is to be done until the power goes."""

    def intend(self, number, root, generation, period):
        self._notes[INTENT] = [(number, root, generation, period, self._live[4][0][2])]

    put(DeviceKeystore, "intend", intend)
    put(DeviceKeystore, "drop_intent", lambda self: self._notes[INTENT].clear())


def count_keys_alone(put):
    """Of two sectors that hold the same keys take the first, whatever lies beside the keys in the other one."""
    put(keystore, "count_notes", lambda notes: 0)


def carry_out_what_has_no_event(put):
    """Keep an intent over a boot, whether its command was answered or not."""
    put(Rekeyer, "resume", lambda self, taken: None)


def listen_to_the_old_key(put):
    """Change all keys, and go on opening what the office says with the one of before."""
    put(Agent, "rekeyed", lambda self: None)


def take_routine_events_along(put):
    """Seal what is critical, and let the rest go on into the next epoch."""
    put(Agent, "seal_lanes", Agent.seal_steps)


def begin_anywhere(put):
    """Believe the office that it knows where the chains are."""
    put(DeviceKeystore, "can_rekey", lambda self, generation, period: True)


def leave_receipts_as_they_are(put):
    """Seal what comes next under the new downlink key, and nothing anew."""
    put(Rekeys, "follow", lambda self, now_ms: {})


def remember_keys_over_a_rekey(put):
    """Derive from whatever key is remembered."""
    seal_key = Keystore.seal_key

    def near(self, device, lane, generation):
        known = [at for at in self._remembered(device, lane) if at <= generation]
        if not known:
            return seal_key(self, device, lane, generation)
        key = self._remembered(device, lane)[max(known)]
        return keys.seal_ahead(key, generation - max(known))

    put(Keystore, "seal_key", near)


def answer_of_the_newest_epochs_alone(put):
    """Give receipts of two epochs, whatever came."""
    answer = Ingest._answer_devices
    put(
        Ingest,
        "_answer_devices",
        lambda self, said, named: answer(self, said, {device: set() for device in named}),
    )


def take_above_the_named_head(put):
    """Take whatever fits the keys of before."""
    put(EpochEnds, "check", lambda self, place, number, epochs: None)


def remember_the_newest_ends_alone(put):
    """Read where the newest 64 epochs began, and no more."""
    read = EpochEnds._read
    put(EpochEnds, "_read", lambda self, device, epochs: read(self, device, sorted(epochs)[-64:]))


def begin_epochs_under_keys_of_before(put):
    """Look only at the numbers of an epoch that ended, and at none above it."""
    put(Rekeys, "check_epoch", lambda self, device, epoch, generation: None)


def tell_nobody_of_what_lies_above(put):
    """Refuse what comes later, and say nothing of what came first."""
    put(EpochEnds, "take", lambda self, device, events: {})


def lose_the_view_keys_of_before(put):
    """Put the new ratchets over the old ones."""
    put(Keystore, "_keep_views_below", lambda self, device, view_class, period: None)


def owe_in_memory(put):
    """Forget over a restart which devices' rows have not followed."""
    put(Keystore, "settled_rekeys", lambda self: [])


def throw_old_downlink_keys_away(put):
    """Let nobody verify what was said under them."""
    put(Keystore, "downlinks", lambda self, device: [self.downlink(device)])


def know_only_what_is_verified(put):
    """Measure how far a generation is from what was sealed before alone."""
    put(Rekeys, "reaches", lambda self, device, generation: False)


def walk_past_the_named_heads(put):
    """Let the auditor compare no head that a device named."""
    put(sealed, "_check_ends", lambda connection, device, ends, report: None)


def wait_for_what_was_refused(put):
    """Keep a rekey that its device did not take."""
    put(Rekeys, "refused", lambda self, device, number: None)


DEVICE = {
    plant.__name__: plant
    for plant in (
        leave_the_keys_of_before,
        intend_in_memory,
        listen_to_the_old_key,
        begin_anywhere,
        count_keys_alone,
    )
}
LONG_LIVED = {plant.__name__: plant for plant in (remember_the_newest_ends_alone,)}
LAGGING = {plant.__name__: plant for plant in (know_only_what_is_verified,)}
CUTS = {plant.__name__: plant for plant in (change_key_by_key, carry_out_what_has_no_event)}
OFFICE = {
    plant.__name__: plant
    for plant in (
        take_routine_events_along,
        leave_receipts_as_they_are,
        remember_keys_over_a_rekey,
        answer_of_the_newest_epochs_alone,
        take_above_the_named_head,
        begin_epochs_under_keys_of_before,
        tell_nobody_of_what_lies_above,
        walk_past_the_named_heads,
        lose_the_view_keys_of_before,
        owe_in_memory,
        throw_old_downlink_keys_away,
        wait_for_what_was_refused,
    )
}
