"""Random bundles that say when they may be replaced, and that replace one another while commands come in between."""

import hashlib

from protocol.cbor import dumps
from rules import guard, interpreter, translate
from rules.bundle import read_bundle
from rules.engine import D_ACTS, Engine
from tests.both.adopt_judge import Seen
from tests.both.random_bundles import CHANNELS, Dice, random_adopt_bundle, random_bundle, random_samples

SEEDS = range(1, 121)
SAMPLES = 25
BUNDLES = 4

# Equal on CPython and MicroPython. Changes only with the generator or the semantics.
DIGEST = "a5a2b6abbd83306b79fe401351299262fd1bcf845929e4e3dddc960a8346a0f1"


def test_translated_condition_says_what_the_judge_says_and_has_the_known_digest():
    total = hashlib.sha256()
    said = [0, 0]
    for seed in SEEDS:
        bundle = read_bundle(random_adopt_bundle(seed))
        engines = [Engine(bundle, translate.kernel), Engine(bundle, interpreter.kernel)]
        assert not engines[0].may_adopt() and not engines[1].may_adopt(), seed
        seen, answers = Seen(CHANNELS), []
        for now, values, good, trusted, online in random_samples(seed, SAMPLES):
            for engine in engines:
                engine.sample(now, values, good, trusted_time=trusted, online=online)
            seen.take(now, values, good)
            answers.append(seen.may_adopt(bundle.adopt))
            assert [engine.may_adopt() for engine in engines] == answers[-1:] * 2, (seed, now)
            said[answers[-1]] += 1
        total.update(dumps(answers))
    assert min(said) > 500, said
    assert "".join("{:02x}".format(byte) for byte in total.digest()) == DIGEST


def test_asking_for_the_condition_and_commands_change_nothing_that_is_not_theirs():
    for seed in SEEDS:
        bundle = read_bundle(random_adopt_bundle(seed))
        dice, engine, plain = Dice(seed), Engine(bundle), Engine(bundle)
        for now, values, good, trusted, online in random_samples(seed, SAMPLES):
            for one in (engine, plain):
                one.sample(now, values, good, trusted_time=trusted, online=online)
            before, answer = engine.state(), engine.may_adopt()
            assert engine.state() == before == plain.state(), seed
            act = engine.ask(dice.below(4), dice.below(14) - 2, now, trusted_time=trusted, online=online)
            assert engine.may_adopt() == answer and engine.state()[:2] == before[:2], seed
            if act[2] != guard.ALLOWED:
                assert engine.state() == before, seed
            plain.apply_act(act, now)
            assert plain.state() == engine.state(), seed


class _Actuators:
    """Looks at what every gate of a device let through, whoever asked and whichever bundle ran."""

    def __init__(self):
        self.moved = {}
        self.count = 0

    def take(self, acts, now, gaps):
        """Note the acts of one moment."""
        for action, _value, verdict, last in acts:
            assert last == self.moved.get(action), (action, now)
            if verdict == guard.ALLOWED:
                self.count += 1
                assert last is None or now - last >= gaps[action], (action, now)
                self.moved[action] = now


def test_no_order_of_rules_commands_takeovers_and_power_cuts_moves_an_actuator_before_its_gap():
    moves = after_takeover = 0
    for seed in SEEDS:
        dice, actuators, engine = Dice(seed + 3000017), _Actuators(), None
        samples = random_samples(seed, SAMPLES)
        for i in range(SAMPLES - 1):
            now, values, good, trusted, online = samples[i]
            if i % 6 == 0:
                bundle = read_bundle(random_bundle(seed + BUNDLES * i))
                gaps = {gate.action: gate.gap for gate in bundle.gates}
                engine = _take_over(engine, bundle)
                moved_before = actuators.count
            elif i % 6 == 3:
                engine = _cut(engine, bundle)
            for decision in engine.sample(now, values, good, trusted_time=trusted, online=online):
                actuators.take(decision[D_ACTS], now, gaps)
            now += dice.below(samples[i + 1][0] - now + 1)
            act = engine.ask(dice.below(3), dice.below(6), now, trusted_time=trusted, online=online)
            actuators.take([act], now, gaps)
            after_takeover += i >= 6 and actuators.count > moved_before
        moves += actuators.count
    assert moves > 400 and after_takeover > 100, (moves, after_takeover)


def _take_over(engine, bundle):
    later = Engine(bundle)
    if engine is not None:
        later.carry_gates(engine.state()[2])
    return later


def _cut(engine, bundle):
    later = Engine(bundle)
    later.restore(engine.state())
    return later
