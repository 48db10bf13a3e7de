"""What the tests of the way down share: bundles for the desk's device, signed releases of them, sealed commands."""

import hashlib
from functools import cache

from office_ingest.govern.lms_key import LmsKey
from protocol.cbor import dumps, loads
from protocol.command import Command, root_demand, seal_command
from protocol.envelope import (
    RELEASE,
    ROOT,
    Succession,
    encode_envelope,
    encode_succession,
    key_id,
    signed_bytes,
)
from protocol.keys import downlink_key
from protocol.manifest import DEVICES, RULES, Manifest, encode_manifest, encode_release
from rules import grammar as g
from tests.agent.desk import BUNDLE, DEVICE, DOWNLINK, SCHEMA
from tools.rule_tree import act, bundle, gate, if_, register, rule, set_register

# A day around the virtual clock's beginning.
FROM_MS, UNTIL_MS = 1_699_999_000_000, 1_700_086_400_000
SCHEMA_DIGEST = hashlib.sha256(SCHEMA).digest()
_LEAVES = {}


@cache
def _key(name):
    """Return a small key; its leaves are used one after the other."""
    seed = hashlib.sha256(name.encode()).digest()
    return LmsKey(seed[:16], seed, tree=5, one_time=3)


def root(name):
    """Return the public key of a root called so, such as "release", "recovery" or "stranger"."""
    return _key(name).public


def sign(name, payload, purpose=RELEASE):
    """Return an envelope, by default over the digest of a manifest. A test may sign with a leaf as often as it likes: it has no secrets."""
    leaf = _LEAVES[name] = (_LEAVES.get(name, -1) + 1) % 32
    signature = _key(name).sign(leaf, signed_bytes(purpose, payload))
    return encode_envelope(key_id(root(name)), payload, signature)


@cache
def replacement(old, new, by=None):
    """Return what says that root new stands in the place of root old, signed by old or by another one."""
    payload = encode_succession(Succession(key_id(root(old)), root(new), FROM_MS))
    return sign(by or old, payload, ROOT)


def root_order(raw):
    """Return the demand that orders a replacement."""
    return root_demand(hashlib.sha256(raw).digest())


def make_manifest(number, bodies, **changes):
    """Return the bytes of a manifest for the desk's device, of parts that are all rules' but for `kinds`."""
    kinds = changes.pop("kinds", [RULES] * len(bodies))
    fields = {
        "number": number,
        "target": (DEVICES, [DEVICE]),
        "hardware": ["unix"],
        "schema": SCHEMA_DIGEST[:8],
        "validity": (FROM_MS, UNTIL_MS),
        "provenance": ("A. Author", FROM_MS, bytes(32)),
        "reset": None,
        "parts": [
            (kind, hashlib.sha256(body).digest(), len(body)) for kind, body in zip(kinds, bodies, strict=True)
        ],
        **changes,
    }
    return encode_manifest(Manifest(**fields))


def make_release(number, body, signers=("release",), **changes):
    """Return (release, [bodies]) as a gateway holds it."""
    bodies = body if isinstance(body, list) else [body]
    manifest = make_manifest(number, bodies, **changes)
    digest = hashlib.sha256(manifest).digest()
    return encode_release(manifest, [sign(name, digest) for name in signers]), bodies


def digest_of(release):
    """Return the digest of a release's manifest."""
    return hashlib.sha256(loads(release[0])[0]).digest()


def demo_bundle_again(version, **gates):
    """Return the desk's bundle under another version; gates: fields of its first gate, by name."""
    top = loads(BUNDLE, 16)
    top[2] = version
    for name, value in gates.items():
        top[5][0][("action", "low", "high", "gap").index(name)] = value
    return dumps(top)


def _bundle_of(body, version, registers=(0,)):
    gates = [loads(BUNDLE, 16)[5][0], loads(BUNDLE, 16)[5][1]]
    return bundle([rule(1, list(registers), body)], gates, version=version, schema=SCHEMA_DIGEST[:8])


def faulting_bundle(version, after=0):
    """Return a bundle whose rule divides by zero at each sample after the first ones."""
    count = set_register(0, [g.ADD, register(0), 1])
    fails = if_([g.ABOVE, register(0), after], [set_register(0, [g.DIVIDE, 1, 0])])
    return _bundle_of([count, fails], version)


def greedy_bundle(version):
    """Return a bundle whose rule asks at each sample for what the gate of its action never allows."""
    return _bundle_of([act(1, 7)], version)


def adopt_bundle(version, condition):
    """Return the desk's bundle with a condition in which it may be replaced."""
    top = loads(BUNDLE, 16)
    top[2] = version
    top[8] = condition
    return dumps(top)


def other_gates(version, gates):
    """Return a bundle of one rule that does nothing, with these gates: [gate(...)]."""
    idle = rule(1, [0], [set_register(0, 0)])
    return bundle([idle], gates, version=version, schema=SCHEMA_DIGEST[:8])


def one_gate(action, safe=0, **limits):
    """Return a gate for values 0 and 1."""
    return gate(action, 0, 1, safe=safe, **limits)


def make_command(number, demand, until_ms=UNTIL_MS, device=DEVICE, key=None):
    """Return a sealed command."""
    key = downlink_key(DOWNLINK, "command") if key is None else key
    return seal_command(Command(device, number, until_ms, list(demand)), key)
