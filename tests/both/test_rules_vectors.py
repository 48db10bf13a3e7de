"""The vectors of rules/vectors, through reader, translated function and interpreter, on both runtimes."""

import json

from protocol.cbor import dumps, loads
from protocol.errors import ProtocolError
from rules import interpreter, replay, translate
from rules.bundle import read_bundle
from rules.engine import D_ACTS, D_RULE, Engine
from rules.limits import acts_max, nesting_max
from rules.value import RuleFault
from tests.both.adopt_judge import Seen

# tests/both/ is the folder of this file on both runtimes.
FOLDER = __file__.rsplit("/", 3)[0] + "/rules/vectors/"
EVALUATORS = (translate.kernel, interpreter.kernel)


def _load(topic):
    with open(FOLDER + topic + ".json") as source:
        return json.load(source)


def _plain(value):
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _evaluate(case, make_kernel):
    rule = read_bundle(bytes.fromhex(case["bundle"])).rules[0]
    registers = list(rule.init)
    out = [0] * (3 * acts_max)
    context = (case["inputs"], case["ages"], registers, case["now"], case["good"], case["ever"], out)
    try:
        cells = make_kernel(rule)(*context)
    except RuleFault as fault:
        return {"fault": fault.code}
    return {"registers": registers, "requests": [out[i : i + 3] for i in range(0, cells, 3)]}


def _check_topic(topic, least):
    cases = _load(topic)
    assert len(cases) >= least, topic
    for case in cases:
        for make_kernel in EVALUATORS:
            assert _evaluate(case, make_kernel) == case["expect"], case["name"]


def test_arithmetic_vectors_hold():
    _check_topic("arithmetic", 30)


def test_comparison_vectors_hold():
    _check_topic("comparisons", 35)


def test_logic_vectors_hold():
    _check_topic("logic", 15)


def test_window_vectors_hold():
    _check_topic("windows", 9)


def test_limit_vectors_hold():
    _check_topic("limits", 12)


def test_absence_vectors_hold():
    _check_topic("absence", 10)


def test_refused_bundles_are_refused_with_their_code():
    cases = _load("refused")
    assert len(cases) >= 100
    for case in cases:
        try:
            read_bundle(bytes.fromhex(case["bundle"]))
            code = 0
        except ProtocolError as error:
            code = error.code
            assert error.text, case["name"]
        assert code == case["reject"], case["name"]


def _sample(engine, sample):
    now, values, good, trusted, online = sample
    return _plain(engine.sample(now, values, good, trusted_time=trusted, online=online))


def test_engine_vectors_hold():
    for case in _load("engine"):
        for make_kernel in EVALUATORS:
            bundle = read_bundle(bytes.fromhex(case["bundle"]))
            engine = Engine(bundle, make_kernel)
            for i in range(len(case["samples"])):
                decisions = _sample(engine, case["samples"][i])
                assert decisions == case["decisions"][i], case["name"]
                assert _plain(engine.faults) == case["faults"][i], case["name"]
                assert engine.waiting == case["waiting"][i], case["name"]
                for decision in decisions:
                    assert replay.step_replay(bundle, decision, make_kernel) == [], case["name"]
            assert engine.state() == case["state"], case["name"]
            assert loads(dumps(engine.state())) == case["state"], case["name"]


def test_adopt_vectors_hold():
    cases = _load("adopt")
    assert len(cases) >= 20
    for case in cases:
        bundle = read_bundle(bytes.fromhex(case["bundle"]))
        for make_kernel in EVALUATORS:
            engine, seen = Engine(bundle, make_kernel), Seen(bundle.channels)
            found, judged = [engine.may_adopt()], [bundle.adopt is None]
            for sample in case["samples"]:
                _sample(engine, sample)
                seen.take(*sample[:3])
                found.append(engine.may_adopt())
                judged.append(bundle.adopt is None or seen.may_adopt(bundle.adopt))
            assert found == case["may_adopt"], case["name"]
            assert judged == case["may_adopt"], case["name"]


def _step(engine, kind, given):
    if kind == "sample":
        return [act for decision in _sample(engine, given) for act in decision[D_ACTS]]
    if kind == "ask":
        action, value, now, trusted, online = given
        return engine.ask(action, value, now, trusted_time=trusted, online=online)
    return engine.apply_act(*given)


def _successor(bundle, engine, kind, make_kernel):
    later = Engine(bundle, make_kernel)
    if kind == "restore":
        later.restore(engine.state())
        return later, None
    later.carry_gates(engine.state()[2])
    return later, later.state()[2]


def test_gates_vectors_hold():
    cases = _load("gates")
    assert len(cases) >= 7
    for case in cases:
        for make_kernel in EVALUATORS:
            bundle = read_bundle(bytes.fromhex(case["bundle"]))
            engine = Engine(bundle, make_kernel)
            for kind, given, expected in case["steps"]:
                if kind in ("restore", "takeover"):
                    bundle = bundle if given is None else read_bundle(bytes.fromhex(given))
                    engine, found = _successor(bundle, engine, kind, make_kernel)
                else:
                    found = _step(engine, kind, given)
                assert found == expected, (case["name"], kind, given, found)
            assert engine.state() == case["state"], case["name"]


def test_demo_rules_decide_as_written_down():
    case = _load("demo_bundle")
    for make_kernel in EVALUATORS:
        engine = Engine(read_bundle(bytes.fromhex(case["bundle"])), make_kernel)
        found = []
        for i in range(len(case["readings"])):
            now = case["first_tick"] + i * case["sample_ticks"]
            for decision in _sample(engine, [now, case["readings"][i], 3, False, False]):
                for act in decision[D_ACTS]:
                    found.append({"sample": i, "rule": decision[D_RULE], "act": act})
        assert found == case["acts"]


def test_demo_bundle_survives_decode_and_encode():
    data = bytes.fromhex(_load("demo_bundle")["bundle"])
    assert dumps(loads(data, nesting_max)) == data
