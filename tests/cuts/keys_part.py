"""The key sector under cuts: no chain goes back or is lost, and of a key that was given up not eight bytes can be read in raw flash."""

from functools import lru_cache

from agent.keystore import Keystore
from protocol.keys import LANES, OFFICE, SITE, seal_next, seal_start, view_next, view_start
from tests.both.flash_site import SEAL_ROOT, VIEW_ROOT, check
from tests.cuts.recorder import WatchedFlash

_SECTORS = 4
_FIRST = 2
_STEPS = 9
_DOWNLINK = b"downlink key of this very device"
# Fragments of a key that was given up which must not be found: half of a line of its bytes is already too much.
_FRAGMENT_BYTES = 8
_FAR = 400


class KeysDevice:
    """A key sector. done: [critical generation, routine generation, view period] whose step has returned."""

    def __init__(self):
        self.flash = WatchedFlash(_SECTORS)
        self.done = [0, 0, 0]

    def copy(self):
        """Return a device with the same flash and promises."""
        other = KeysDevice()
        other.flash = WatchedFlash(_SECTORS, bytearray(self.flash.image))
        other.done = list(self.done)
        return other

    def power_on(self):
        """Start again on the same bytes."""
        self.flash = WatchedFlash(_SECTORS, self.flash.image)

    def open(self):
        """Open the keystore; every step that returned is still done."""
        self.keystore = Keystore(self.flash, _FIRST)
        self.keystore.open()
        self._check_done()

    def _check_done(self):
        for lane in LANES:
            generation = self.keystore.seal_key(lane)[0]
            check(
                generation >= self.done[lane],
                f"seal chain {lane} went back from {self.done[lane]} to {generation}",
            )
            self.done[lane] = generation
        period = self.keystore.boot_periods()[0]
        check(period >= self.done[2], f"the ratchets went back from {self.done[2]} to {period}")
        self.done[2] = period

    def step(self, dice):
        """Take a step as a device does."""
        kind = dice.below(8)
        if kind < 5:
            self.keystore.advance_seal(kind % 2)
        elif kind == 5:
            lane = dice.below(2)
            self.keystore.skip_seal(lane, self.keystore.seal_key(lane)[0] + 1 + dice.below(5))
        else:
            self.keystore.prepare_period()
            self.keystore.finish_period()
        self._check_done()


class KeysPart:
    """Histories of seal keys that advance and skip, and of period switches; moves to the other sector among them."""

    name = "keys"

    def area(self, sector):
        """Return what lies in a sector."""
        return self.name

    def start(self, dice):
        """Return a provisioned device whose key sector is filled by chance."""
        device = KeysDevice()
        keystore = Keystore(device.flash, _FIRST)
        seal_keys = [seal_start(SEAL_ROOT, lane) for lane in LANES]
        keystore.provision(seal_keys, [view_start(VIEW_ROOT, SITE), view_start(VIEW_ROOT, OFFICE)], _DOWNLINK)
        device.open()
        for _ in range(dice.below(20)):
            device.step(dice)
        device = device.copy()
        device.power_on()
        return device

    def live(self, device, dice):
        """Open and step."""
        device.open()
        for _ in range(_STEPS):
            device.step(dice)

    def recover(self, device):
        """Open; whatever was begun is finished or given up."""
        device.open()

    def check(self, device):
        """Every key is of its chain, and nothing before it is readable."""
        image = bytes(device.flash.image)
        keystore = device.keystore
        for lane in LANES:
            generation, key = keystore.seal_key(lane)
            check(
                _seal_keys(lane)[generation] == key,
                f"seal key {generation} of lane {lane} is not of its chain",
            )
            _check_gone(image, _seal_keys(lane)[:generation], f"seal key of lane {lane}")
        periods = keystore.boot_periods()
        check(len(periods) <= 2, f"{len(periods)} periods are held")
        for view_class in (SITE, OFFICE):
            for period in periods:
                held = keystore.ratchet(view_class, period)
                check(
                    held == (period, _ratchets(view_class)[period]), f"ratchet {period} is not of its chain"
                )
            _check_gone(image, _ratchets(view_class)[: periods[0]], f"ratchet of class {view_class}")
        check(keystore.downlink() == _DOWNLINK, "the downlink key changed")

    def go_on(self, device):
        """Advance every chain, open again."""
        for lane in LANES:
            device.keystore.advance_seal(lane)
        device.keystore.prepare_period()
        device.keystore.finish_period()
        device.power_on()
        device.open()
        self.check(device)


def _check_gone(image, keys, what):
    for number, key in enumerate(keys):
        for at in range(0, len(key), _FRAGMENT_BYTES):
            place = image.find(key[at : at + _FRAGMENT_BYTES])
            check(place < 0, f"{what} {number} was given up and is readable at byte {place}")


@lru_cache(4)
def _seal_keys(lane):
    keys = [seal_start(SEAL_ROOT, lane)]
    while len(keys) < _FAR:
        keys.append(seal_next(keys[-1]))
    return keys


@lru_cache(4)
def _ratchets(view_class):
    ratchets = [view_start(VIEW_ROOT, view_class)]
    while len(ratchets) < _FAR:
        ratchets.append(view_next(ratchets[-1]))
    return ratchets
