"""Random bundles: translated function, interpreter, recovery and replay agree, and both runtimes give one digest."""

import hashlib

from protocol.cbor import dumps
from rules import interpreter, translate
from rules.bundle import read_bundle
from rules.engine import Engine
from rules.replay import StepReplay
from tests.both.random_bundles import history, random_bundle, random_samples

SEEDS = range(1, 121)
SAMPLES = 25

# Equal on CPython and MicroPython, or the promise of replay is broken. Changes only with the generator or the semantics.
DIGEST = "7f9eff0696e4fbed03fee10ec0cfa4adac27d3245ce8065af21ae2c43d866685"


def test_translated_and_interpreted_histories_are_equal_and_have_the_known_digest():
    total = hashlib.sha256()
    decided = faulted = 0
    for seed in SEEDS:
        bundle = read_bundle(random_bundle(seed))
        samples = random_samples(seed, SAMPLES)
        first = history(Engine(bundle, translate.kernel), samples)
        assert first == history(Engine(bundle, interpreter.kernel), samples), seed
        total.update(dumps(first))
        decided += sum(len(step[0]) for step in first[0])
        faulted += sum(len(step[1]) for step in first[0])
    assert decided > 500 and faulted > 100, (decided, faulted)
    assert "".join("{:02x}".format(byte) for byte in total.digest()) == DIGEST


def test_an_engine_restored_in_the_middle_goes_on_as_the_one_that_never_stopped():
    for seed in SEEDS:
        bundle = read_bundle(random_bundle(seed))
        samples = random_samples(seed, SAMPLES)
        whole = Engine(bundle)
        for stop in range(0, SAMPLES, 6):
            part = Engine(bundle)
            part.restore(whole.state())
            ahead = samples[stop:]
            twin = Engine(bundle)
            history(twin, samples[:stop])
            assert history(part, ahead) == history(twin, ahead), (seed, stop)
            history(whole, samples[stop : stop + 6])


def test_every_decision_replays_alone():
    for seed in SEEDS:
        bundle = read_bundle(random_bundle(seed))
        replay = StepReplay(bundle)
        steps = history(Engine(bundle), random_samples(seed, SAMPLES))[0]
        for step in steps:
            for decision in step[0]:
                assert replay.differences(decision) == [], seed


def test_decisions_applied_to_the_state_before_them_give_the_gates_and_registers_after():
    checked = 0
    for seed in SEEDS:
        bundle = read_bundle(random_bundle(seed))
        engine = Engine(bundle)
        for now, values, good, trusted, online in random_samples(seed, SAMPLES):
            recovered = Engine(bundle)
            recovered.restore(engine.state())
            decisions = engine.sample(now, values, good, trusted_time=trusted, online=online)
            for decision in decisions:
                recovered.apply(decision)
            if not decisions:
                continue
            after, folded = engine.state(), recovered.state()
            assert folded[0] == after[0] and folded[2] == after[2], seed
            decided = [decision[0] for decision in decisions]
            for row in range(len(after[1])):
                if after[1][row][0] in decided:
                    assert folded[1][row] == after[1][row], seed
                    checked += 1
    assert checked > 300
