"""Every device that advertises has its turn, whoever else advertises, and however often."""

import itertools
import random

import pytest

from gateway.links.ble_turns import ADVERTISERS_MAX, FRESH_S, PENALTY_S_MAX, PENALTY_S_MAX_CREDIBLE, Turns


class Room:
    """A radio with so many connections, and advertisers that are heard each second."""

    def __init__(self, connections, turn_s=20):
        self.turns = Turns()
        self.now_s = 1000.0
        self.served = {}
        self._free = connections
        self._turn_s = turn_s
        self._ends = []

    def second(self, addresses, is_useful):
        """Let one second pass. is_useful(address): whether a turn of it brings anything."""
        self.now_s += 1
        for address in addresses:
            self.turns.hear(address, address, self.now_s)
        for end in [end for end in self._ends if end[0] <= self.now_s]:
            self._ends.remove(end)
            if is_useful(end[1]):
                self.turns.trust(end[1])
            self.turns.end(end[1], self.now_s, was_useful=is_useful(end[1]))
            self._free += 1
        while self._free:
            begun = self.turns.begin(self.now_s)
            if begun is None:
                return
            self._free -= 1
            self.served.setdefault(begun[0], []).append(self.now_s)
            self._ends.append((self.now_s + self._turn_s, begun[0]))


@pytest.mark.parametrize("seed", range(2))
def test_each_of_many_has_as_many_turns_as_any_other(seed):
    """Twenty devices, three connections, heard in any order: nobody has two turns more than another, nobody waits longer than a round."""
    chance = random.Random(seed)
    devices = [f"device {n}" for n in range(20)]
    room = Room(3)
    for _ in range(2400):
        chance.shuffle(devices)
        room.second(devices, lambda address: True)
        if room.now_s == 1600.0:
            # By now all have had their first turn, and are no strangers any more.
            room.served.clear()
    counts = [len(room.served.get(device, [])) for device in devices]
    waits = [max(b - a for a, b in itertools.pairwise(times)) for times in room.served.values()]

    assert max(counts) - min(counts) <= 1
    assert max(waits) <= 20 * (20 / 3 + 2)


def test_strangers_without_number_leave_devices_half_of_the_turns():
    """A hundred and fifty addresses, and each second fifty more, advertise our service; three devices are served all the while."""
    devices = ["a", "b", "c"]
    room = Room(2)
    for _ in range(60):
        room.second(devices, lambda address: address in devices)
    before = {device: len(room.served[device]) for device in devices}
    for second in range(1200):
        strangers = [f"stranger {n}" for n in range(150)] + [f"stranger {second} {n}" for n in range(50)]
        room.second([*devices, *strangers], lambda address: address in devices)

    assert len(room.turns) <= ADVERTISERS_MAX
    for device in devices:
        assert len(room.served[device]) - before[device] >= 1200 * 2 / 20 / 2 / 3 - 2


def test_new_device_is_served_beside_devices_that_always_want_more():
    """Who has not been served yet is not kept waiting by those who have."""
    room = Room(1)
    for _ in range(200):
        room.second(["a", "b"], lambda address: True)
    since = room.now_s
    for _ in range(100):
        room.second(["a", "b", "new"], lambda address: True)

    assert room.served["new"][0] - since <= 2 * 20 + 2


def test_turns_that_bring_nothing_become_rare():
    """Twice as long a wait for each, up to a limit; a device that was of use before waits no longer than a bad radio asks for."""
    turns = Turns()
    now_s = 0.0
    for credible, most_s in ((False, PENALTY_S_MAX), (True, PENALTY_S_MAX_CREDIBLE)):
        address = f"credible {credible}"
        waits = []
        for _ in range(12):
            since = now_s
            while True:
                turns.hear(address, None, now_s)
                if turns.begin(now_s) is not None:
                    break
                now_s += 0.5
            waits.append(now_s - since)
            now_s += 1
            if credible:
                turns.trust(address)
            turns.end(address, now_s, was_useful=False)
        assert waits[1] < waits[3] < waits[5] or credible
        assert most_s - 1 <= waits[-1] <= most_s + 1


def test_one_useful_turn_ends_the_wait():
    """A device whose radio was bad for an hour is as good as any other."""
    turns = Turns()
    turns.hear("a", None, 0.0)
    for second in range(0, 6000, 1000):
        turns.hear("a", None, float(second))
        assert turns.begin(float(second)) is not None
        turns.end("a", second + 1.0, was_useful=second == 5000)
    turns.hear("a", None, 5002.0)

    assert turns.begin(5002.0) == ("a", None)


def test_who_has_gone_silent_has_no_turn():
    """Connecting to nobody would cost the others their turn."""
    turns = Turns()
    turns.hear("a", None, 0.0)

    assert turns.begin(FRESH_S + 1) is None
    assert turns.waiting(FRESH_S + 1) == 0


def test_advertisement_from_before_a_turn_is_none_after_it():
    """A device stops advertising when it is connected: what was heard then says nothing of now."""
    turns = Turns()
    turns.hear("a", None, 0.0)
    turns.begin(0.0)
    turns.hear("a", None, 0.5)
    turns.end("a", 1.0, was_useful=True)

    assert turns.begin(2.0) is None
    turns.hear("a", "again", 3.0)
    assert turns.begin(3.0) == ("a", "again")


def test_devices_in_their_turn_are_never_forgotten():
    """However many others are heard meanwhile."""
    turns = Turns()
    turns.hear("a", None, 0.0)
    turns.begin(0.0)
    for n in range(10 * ADVERTISERS_MAX):
        turns.hear(f"stranger {n}", None, 1.0 + n)
    turns.trust("a")
    turns.end("a", 5000.0, was_useful=True)
