"""The bundle slots under cuts: the real adopter over flash, without a journal beside it. What decides is the old release or the new one, whole.

The whole agent is cut at every operation of an adoption in tests/agent/test_cuts_down.py; here adoptions follow each other by chance:
fetched, tried, confirmed, rolled back, taken up again.
"""

import hashlib
from functools import lru_cache
from types import SimpleNamespace

from agent.adopter import Adopter, AdoptSettings
from agent.cell import Cell
from agent.incumbent import NO_SLOT, Incumbent, choose_at_boot, read_slot
from agent.layout import SLOTS_SECTORS
from agent.slots import Slots
from agent.trial import TrialSettings
from protocol import coap
from protocol.blockwise import decode_block
from protocol.manifest import Standing
from tests.agent.desk import BUNDLE, DEVICE
from tests.agent.model_gateway import block_of
from tests.agent.release_bench import SCHEMA_DIGEST, demo_bundle_again, make_release, root
from tests.both.flash_site import check
from tests.cuts.recorder import WatchedFlash

_CELL_SECTORS = 2
_NUMBERS = 8
_CHANNELS = 2
_TURNS_MAX = 60
# So long that what has failed once or twice is tried again within a few turns.
_TURN_MS = 30_000
_NOW_MS = 1_700_000_000_000


@lru_cache(_NUMBERS)
def _release(number):
    return make_release(number, demo_bundle_again(10 + number))


@lru_cache(2 * _NUMBERS)
def _incumbent(body):
    return Incumbent(BUNDLE if body is None else body, SCHEMA_DIGEST, _CHANNELS)


class SlotsDevice:
    """Cell and slots. confirmed: highest number whose confirmation returned; wanted: what the gateway names; is_bad: it faults on trial."""

    running_agent = None

    def __init__(self, image=None):
        self.flash = WatchedFlash(_CELL_SECTORS + SLOTS_SECTORS, image)
        self.confirmed = self.floor = self.wanted = 0
        self.is_bad = False

    def copy(self):
        """Return a device with the same flash and promises."""
        other = SlotsDevice(bytearray(self.flash.image))
        for name in ("confirmed", "floor", "wanted", "is_bad"):
            setattr(other, name, getattr(self, name))
        return other

    def power_on(self):
        """Start again on the same bytes."""
        self.flash = WatchedFlash(self.flash.sectors, self.flash.image)

    def boot(self):
        """Boot: choose what decides, as the agent does."""
        self.now_ms = 0
        self.slots = Slots(self.flash)
        self.cell = Cell(self.flash, 0)
        self.cell.load()
        self.incumbent, changes = choose_at_boot(self.cell, self.slots, 0, _incumbent)
        self._check_chosen(changes)
        self.cell.store(boot=self.cell.boot + 1, **changes)
        settings = AdoptSettings(TrialSettings(min_samples=2, min_ms=10))
        self.adopter = Adopter(self.cell, self.cell.store, self.slots, self, settings)
        self.adopter.resume()
        self.note()

    def _check_chosen(self, changes):
        floor = self.cell.version_floor
        check(floor >= self.floor, f"the floor went back from {self.floor} to {floor}")
        check(floor >= self.confirmed, f"release {self.confirmed} was confirmed, the floor is {floor}")
        active, trial, _starts, number = changes["release"]
        named = {number if trial != NO_SLOT else floor}
        body = self.incumbent.body
        bodies = {_release(one)[1][0] if one else BUNDLE for one in named}
        check(
            body in bodies,
            f"release {sorted(named)} should decide, and bundle {self.incumbent.bundle.version} does",
        )
        check(
            active == NO_SLOT or read_slot(self.slots, active) is not None,
            "the confirmed release is not whole",
        )

    def note(self):
        """Remember what has returned."""
        self.floor = self.cell.version_floor
        self.confirmed = max(self.confirmed, self.floor)

    def turn(self):
        """Pass one exchange and one sample."""
        self.now_ms += _TURN_MS
        self.adopter.hint(self.wanted, True)
        request = self.adopter.next_request()
        if request is not None:
            self.adopter.take(_serve(*request), 1)
        self.adopter.sampled(self.is_bad and self.cell.release[1] != NO_SLOT, [])
        self.adopter.heard(self.incumbent.digest)
        self.adopter.turn()
        self.note()

    def is_settled(self):
        """Say whether the wanted release was confirmed or rolled back, and nothing is owed."""
        ended = self.wanted in (self.cell.version_floor, self.cell.rejected)
        return ended and self.cell.release[1] == NO_SLOT and not self.cell.owed

    # ---- what the adopter asks of its owner

    def real_ms(self):
        return self.now_ms

    def is_online(self):
        return True

    def has_notes(self):
        return False

    def pace(self):
        return 20, 20

    def may_adopt(self):
        return True

    def standing(self):
        now = (_NOW_MS, _NOW_MS + 1000)
        roots = [root("release")]
        return Standing(DEVICE, "", "sensor", "unix", SCHEMA_DIGEST, self.cell.version_floor, roots, now)

    def take(self, body):
        return _incumbent(body)

    def find(self, *_digest_and_size):
        return None

    def record_step(self, *_step):
        return True

    def seal_steps(self):
        return True

    def install(self, incumbent):
        self.incumbent = incumbent

    def point(self, _name):
        """No kill points here: every flash operation is one."""


def _serve(path, options):
    words = [int(word) for word in path.split("/")[1:]]
    release, bodies = _release(words[0])
    number, _, size = decode_block(coap.option(options, coap.BLOCK2))
    code, given, block = block_of(release if len(words) == 1 else bodies[words[1]], number, size)
    return SimpleNamespace(code=code, options=given, payload=block)


class SlotsPart:
    """Histories of adoptions; some faulting on trial, some given up for the next while they are fetched."""

    name = "slots"

    def area(self, sector):
        """Return what lies in a sector."""
        return "cell" if sector < _CELL_SECTORS else "slots"

    def start(self, dice):
        """Return a device that has adopted some releases."""
        device = SlotsDevice()
        device.boot()
        for _ in range(dice.below(4)):
            _want(device, dice)
            _settle(device)
        # So that the cell runs full within what is recorded, in some histories.
        for _ in range(dice.below(32)):
            device.cell.store(boot=device.cell.boot + 1)
        device = device.copy()
        _want(device, dice)
        return device

    def live(self, device, dice):
        """Adopt what is wanted, or a part of it, then another one."""
        device.boot()
        if dice.below(3) == 0 and device.wanted < _NUMBERS:
            for _ in range(1 + dice.below(6)):
                device.turn()
            device.wanted += 1
        _settle(device)

    def recover(self, device):
        """Boot, and take the adoption to its end."""
        device.boot()
        _settle(device)

    def check(self, device):
        """Boot once more: what decides now is what has been settled."""
        digest = device.incumbent.digest
        device.power_on()
        device.boot()
        check(device.incumbent.digest == digest, "the boot after an adoption decides by another bundle")
        released = _release(device.confirmed)[1][0] if device.confirmed else BUNDLE
        check(digest == hashlib.sha256(released).digest(), "what decides is not what was confirmed last")

    def go_on(self, device):
        """Adopt one more release, a good one."""
        if device.wanted < _NUMBERS:
            device.wanted, device.is_bad = device.wanted + 1, False
            _settle(device)
            check(device.confirmed == device.wanted, f"release {device.wanted} cannot be adopted any more")


def _want(device, dice):
    device.wanted = min(_NUMBERS, device.wanted + 1 + dice.below(2))
    device.is_bad = dice.below(3) == 0


def _settle(device):
    for _ in range(_TURNS_MAX):
        if device.is_settled():
            return
        device.turn()
    check(False, f"release {device.wanted} was neither confirmed nor rolled back")
