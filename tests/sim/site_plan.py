"""What every simulated site is made of: rules, releases good and bad, identities and keys. None of it depends on the seed.

The office's files are made once in a process, by the office's own code, and copied for each world.
"""

import hashlib
import random
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from office_ingest.govern.release import Request, build_release, sign_release
from office_ingest.govern.shelf import Shelf
from office_ingest.govern.signer import OpenSigner, make_key
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.storage.downward import Traits
from office_ingest.storage.sqlite import SqliteStore
from protocol.cbor import dumps
from protocol.keys import seal_start, view_start
from protocol.manifest import COHORT
from rules import grammar as g
from tools.rule_tree import NOW, act, bundle, gate, if_, reading, register, rule, set_register

SAMPLE_S = 600
START_MS = 1_800_000_000_000
SITE, COHORT_NAME = "site-sim", "sim"
GATEWAYS = ("gw-a", "gw-b")
SCHEMA = dumps([1, [["flow", "l/s", -2, 0, 20000, 0], ["temperature", "Cel", -1, -400, 1500, 0]]])
PREFIX = hashlib.sha256(SCHEMA).digest()[:8]
VALVE = 1


class Identity:
    """One device as provisioning made it: identity, keys, and its secret with each gateway."""

    def __init__(self, number):
        def secret(name):
            return hashlib.sha256(b"sim %s %d" % (name, number)).digest()

        self.number = number
        self.name = f"dev-{number}"
        self.device = secret(b"device")[:8]
        self.seal_root, self.view_root, self.downlink = secret(b"seal"), secret(b"view"), secret(b"downlink")
        self.seal_keys = (seal_start(self.seal_root, 0), seal_start(self.seal_root, 1))
        self.ratchets = (view_start(self.view_root, 1), view_start(self.view_root, 2))
        self.kid = bytes([number + 1])
        self.secrets = {name: secret(b"link " + name.encode())[:16] for name in GATEWAYS}


@cache
def identity(number):
    """Return the device of that number."""
    return Identity(number)


def token_of(gateway):
    """Return the token with which a gateway comes to the office."""
    return f"token of {gateway}, long enough"


def rules(version, low=9000, *, divides_by_zero=False):
    """Return a bundle that closes a valve below a flow and opens it above another, each through a gate."""
    wanted, flow = register(0), reading(0)
    body = [
        if_([g.BELOW, flow, low], [if_([g.EQUAL, wanted, 1], _turn(0))]),
        if_([g.ABOVE, flow, low + 800], [if_([g.EQUAL, wanted, 0], _turn(1))]),
        set_register(3, [g.ADD, register(3), 1]),
    ]
    if divides_by_zero:
        body.append(if_([g.ABOVE, register(3), 1], [set_register(2, [g.DIVIDE, 1, 0])]))
    gates = [gate(VALVE, 0, 1, safe=0, gap=2 * SAMPLE_S * 10, good_mask=1)]
    rule_ = rule(1, [1, 0, 0, 0], body, needs=1)
    return bundle([rule_], gates, channels=2, version=version, schema=PREFIX)


def _turn(value):
    return [set_register(0, value), set_register(1, NOW), act(VALVE, value, 2)]


FIRST_RULES = rules(1)
# In the order of their numbers: another threshold, one that faults in its trial, and a third good one.
RELEASED = (rules(2, 8800), rules(3, 9000, divides_by_zero=True), rules(4, 9200))
ALL_RULES = {hashlib.sha256(body).digest() for body in (FIRST_RULES, *RELEASED)}
BAD_RULES = hashlib.sha256(RELEASED[1]).digest()


@cache
def _template(devices):
    folder = TemporaryDirectory(prefix="outstation-sim-")
    path = Path(folder.name)
    store, keystore = SqliteStore.create(path / "office.db"), Keystore.create(path / "keystore.db")
    registry = Registry(store)
    for name in GATEWAYS:
        registry.add_gateway(name, name=name, site=SITE, token=token_of(name), now_ms=START_MS)
    registry.add_schema(SCHEMA)
    registry.add_bundle(FIRST_RULES)
    traits = Traits(
        "sensor", COHORT_NAME, "unix", hashlib.sha256(SCHEMA).digest(), hashlib.sha256(FIRST_RULES).digest()
    )
    for number in range(devices):
        one = identity(number)
        registry.add_device(one.device, name=one.name, site=SITE, now_ms=START_MS)
        registry.put_traits(one.device, traits)
        keystore.enrol(one.device, one.seal_root, one.view_root, one.downlink)
    root = _release(store, path / "release-key")
    store.close()
    keystore.close()
    return folder, root


def _release(store, key):
    shelf, source = Shelf(store), random.Random(1)
    public, _, successor = make_key(key, now_ms=START_MS, random=source.randbytes, tree=5, one_time=3)
    shelf.add_root(public, successor, START_MS)
    with OpenSigner(key) as signer:
        for body in RELEASED:
            request = Request((COHORT, COHORT_NAME), ["unix"], body, b"source", "sim", days=30)
            held = sign_release(shelf, build_release(shelf, request, START_MS).number, signer, START_MS)
            assert held.state == "signed", held.state
    return public


def office_template(devices):
    """Return (folder with office.db and keystore.db, public key that signs releases)."""
    folder, root = _template(devices)
    return Path(folder.name), root
