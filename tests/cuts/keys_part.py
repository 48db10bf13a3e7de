"""The key sector under cuts: no chain goes back or is lost, and of a key that was given up not eight bytes can be read in raw flash.

Rekeys are among the steps: all chains of one *era* give way to those of the next at once, or none does. So are links: the one in use
stays the one in use, or the next one is.
"""

from functools import cached_property
from hashlib import sha256

from agent.keystore import Keystore
from protocol.keys import LANES, OFFICE, SITE, rekeyed, seal_next, seal_start, view_next, view_start
from tests.both.flash_site import SEAL_ROOT, VIEW_ROOT, check
from tests.cuts.recorder import WatchedFlash

_SECTORS = 4
_FIRST = 2
_STEPS = 9
_DOWNLINK = b"downlink key of this very device"
# Fragments of a key that was given up which must not be found: half of a line of its bytes is already too much.
_FRAGMENT_BYTES = 8
_FAR = 400


class Era:
    """The chains that one set of keys begins. generation, period: where; root: of a rekey, b"" for what was provisioned."""

    def __init__(self, root=b"", generation=0, period=0):
        self.root = root
        self.generation = generation
        self.period = period
        first = [seal_start(SEAL_ROOT, lane) for lane in LANES]
        first += [view_start(VIEW_ROOT, view_class) for view_class in (SITE, OFFICE)]
        self.first = rekeyed(root) if root else (*first, _DOWNLINK)
        self.downlink = self.first[4]

    @cached_property
    def _chains(self):
        found = []
        for at, following in enumerate((seal_next, seal_next, view_next, view_next)):
            chain = [self.first[at]]
            while len(chain) < _FAR:
                chain.append(following(chain[-1]))
            found.append(chain)
        return found

    def seals(self, lane):
        """Return the seal keys of a lane, from where they begin."""
        return self._chains[lane]

    def ratchets(self, view_class):
        """Return the ratchets of a class, from where they begin."""
        return self._chains[1 + view_class]


_FIRST_ERA = Era()


class KeysDevice:
    """A key sector. done: [critical generation, routine generation, view period] whose step has returned.

    eras: those that were, and the one that was intended last; era: the index of that in force as far as was seen.
    """

    def __init__(self):
        self.flash = WatchedFlash(_SECTORS)
        self.done = [0, 0, 0]
        self.eras = [_FIRST_ERA]
        self.era = 0
        # Number of the link that was given last, and of the newest whose use has returned.
        self.given = 0
        self.linked = 0

    def copy(self):
        """Return a device with the same flash and promises."""
        other = KeysDevice()
        other.flash = WatchedFlash(_SECTORS, bytearray(self.flash.image))
        other.done = list(self.done)
        other.eras = list(self.eras)
        other.era = self.era
        other.given = self.given
        other.linked = self.linked
        return other

    def power_on(self):
        """Start again on the same bytes."""
        self.flash = WatchedFlash(_SECTORS, self.flash.image)

    def open(self):
        """Open the keystore; every step that returned is still done."""
        self.keystore = Keystore(self.flash, _FIRST)
        self.keystore.open()
        self._find_era()
        self._check_done()
        self._check_link()
        self._go_on()

    def _find_era(self):
        downlinks = [era.downlink for era in self.eras]
        downlink = self.keystore.downlink()
        check(downlink in downlinks[self.era :], "the downlink key is of no era that can be")
        self.era = downlinks.index(downlink)

    def _go_on(self):
        """Do as a boot does: end what a rekey left; carry out what is intended where its command counts, by chance an odd one."""
        if self.keystore.is_rekeyed():
            self.keystore.finish_period()
        intent = self.keystore.intent()
        if intent is None:
            return
        intended = self.eras[-1]
        check(intent[1:] == (intended.generation, intended.period), "another rekey is intended than was")
        if intent[0] % 2 and self.keystore.can_rekey(*intent[1:]):
            self._carry_out()
        else:
            self.keystore.drop_intent()

    def _carry_out(self):
        self.keystore.finish_period()
        self.keystore.rekey()
        self.era = len(self.eras) - 1
        self.keystore.finish_period()
        self._check_done()

    def _rekey(self, dice):
        keystore = self.keystore
        number = len(self.eras)
        generation = max(keystore.seal_key(lane)[0] for lane in LANES) + 1 + dice.below(4)
        period = keystore.boot_periods()[-1] + 2 + dice.below(3)
        root = sha256(b"root %d" % number + keystore.downlink()).digest()
        self.eras = [*self.eras[: self.era + 1], Era(root, generation, period)]
        keystore.intend(number, root, generation, period)
        if dice.below(4):
            self._carry_out()
        else:
            keystore.drop_intent()

    def _relink(self, dice):
        self.given += 1
        self.keystore.intend_link(*_link(self.given))
        if dice.below(3):
            self.keystore.use_next_link()
            self.linked = self.given
        self._check_link()

    def _check_link(self):
        """The link in use is the one whose use returned, or a later one that was given; what else is held comes after it."""
        link, following = self.keystore.link(), self.keystore.next_link()
        number = 0 if link is None else link[0]
        check(self.linked <= number <= self.given, f"the link went from {self.linked} to {number}")
        check(link in (None, _link(number)), f"link {number} is another one")
        self.linked = number
        if following is not None:
            check(following == _link(following[0]), f"next link {following[0]} is another one")
            check(number < following[0] <= self.given, f"the next link is {following[0]} beside {number}")

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
        kind = dice.below(10)
        if kind == 9:
            self._relink(dice)
        elif kind == 8:
            self._rekey(dice)
        elif kind < 5:
            self.keystore.advance_seal(kind % 2)
        elif kind == 5:
            lane = dice.below(2)
            self.keystore.skip_seal(lane, self.keystore.seal_key(lane)[0] + 1 + dice.below(5))
        else:
            self.keystore.prepare_period()
            self.keystore.finish_period()
        self._check_done()


class KeysPart:
    """Histories of seal keys that advance and skip, of period switches and rekeys; moves to the other sector among them."""

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
        era = device.eras[device.era]
        for lane in LANES:
            generation, key = keystore.seal_key(lane)
            steps = generation - era.generation
            check(era.seals(lane)[steps] == key, f"seal key {generation} of lane {lane} is not of its chain")
            _check_gone(image, era.seals(lane)[:steps], f"seal key of lane {lane}")
        periods = keystore.boot_periods()
        check(len(periods) <= 2, f"{len(periods)} periods are held")
        for view_class in (SITE, OFFICE):
            for period in periods:
                held = keystore.ratchet(view_class, period)
                expected = era.ratchets(view_class)[period - era.period]
                check(held == (period, expected), f"ratchet {period} is not of its chain")
            gone = era.ratchets(view_class)[: periods[0] - era.period]
            _check_gone(image, gone, f"ratchet of class {view_class}")
        check(keystore.downlink() == era.downlink, "the downlink key changed")
        for number, before in enumerate(device.eras[: device.era]):
            _check_era_gone(image, before, device.eras[number + 1])
        gone = [_link(number)[2] for number in range(1, device.linked)]
        _check_gone(image, gone, "link")
        _check_gone(image, [one.root for one in device.eras if one.root], "the root of a rekey")

    def go_on(self, device):
        """Advance every chain, open again."""
        for lane in LANES:
            device.keystore.advance_seal(lane)
        device.keystore.prepare_period()
        device.keystore.finish_period()
        device.power_on()
        device.open()
        self.check(device)


def _link(number):
    """Return (number, sender ID, secret) of a link."""
    return number, number.to_bytes(4, "big"), sha256(b"link %d" % number).digest()[:16]


def _check_gone(image, keys, what):
    for number, key in enumerate(keys):
        for at in range(0, len(key), _FRAGMENT_BYTES):
            place = image.find(key[at : at + _FRAGMENT_BYTES])
            check(place < 0, f"{what} {number} was given up and is readable at byte {place}")


def _check_era_gone(image, era, following):
    """Nothing that could seal, open or command in an era that is over can be read."""
    for lane in LANES:
        held = era.seals(lane)[: following.generation - era.generation]
        _check_gone(image, held, f"seal key of lane {lane} of an era before")
    for view_class in (SITE, OFFICE):
        held = era.ratchets(view_class)[: following.period - era.period]
        _check_gone(image, held, f"ratchet of class {view_class} of an era before")
    _check_gone(image, [era.downlink], "downlink key")
