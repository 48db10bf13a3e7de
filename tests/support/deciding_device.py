"""A DeviceModel that decides: the real engine over the demonstration bundle and its readings, recorded as the agent does."""

import copy
import hashlib
import json
from binascii import unhexlify
from pathlib import Path

import rules
from protocol.adoption import CONFIRMED, ROLLED_BACK, STAGED, TRIAL
from protocol.cbor import dumps, loads
from protocol.command import DONE, GUARDED, SET_ACTUATOR
from protocol.event import ACTION, ADOPTION, CHECKPOINT, COMMAND, DECISION, EPOCH_START, REFUSAL
from protocol.keys import CRITICAL, ROUTINE
from protocol.limits import checkpoint_part_bytes_max
from rules.bundle import read_bundle
from rules.engine import D_ACTS, Engine
from tests.support.device_model import DeviceModel

_VECTOR = json.loads((Path(rules.__file__).parent / "vectors" / "demo_bundle.json").read_text())
BUNDLE = unhexlify(_VECTOR["bundle"])
READINGS = _VECTOR["readings"]
STEP_MS = _VECTOR["sample_ticks"] * 100
SAMPLES_PER_SEGMENT = 8
AT_BOOT, COUNTED, TO_MAKE_ROOM, ADOPTED = 0, 1, 3, 4
MANIFEST = bytes(range(32))


def newer(version, body=BUNDLE):
    """Return a bundle under another version."""
    top = loads(body, 16)
    top[2] = version
    return dumps(top)


class DecidingDevice(DeviceModel):
    """Takes readings, decides with the engine, and seals: decisions at once, samples when there are enough."""

    def __init__(self, seed: int = 1, body: bytes = BUNDLE):
        super().__init__(seed)
        self.now_base = 0
        self.waiting = []
        self.use(body)

    def use(self, body):
        """Let a bundle decide from here on, from its first values, and say nothing of it."""
        self.body = body
        self.digest = hashlib.sha256(body).digest()
        read = read_bundle(body)
        self.bundle = (read.version, self.digest)
        self.engine = Engine(read)

    def start(self, now_base=0):
        """Boot: boot event and checkpoint, each whole and sealed."""
        self.now_base = now_base
        self.seal(CRITICAL, [self.restart(now_base)])
        self.checkpoint(AT_BOOT)

    def reboot(self):
        """Boot again, above every rule tick so far; samples that wait are lost."""
        self.lose_power()
        self.start(self.now_base + self.tick_ms // 100 + 1)

    def image(self):
        """Return a copy of what lies on its flash: registers and the bundle that decides too."""
        rules = {"now": self.now_base + self.tick_ms // 100, "body": self.body, "state": self.engine.state()}
        return {**super().image(), "rules": copy.deepcopy(rules)}

    def put_back(self, image):
        """Let its flash be that copy again, and boot from it."""
        rules = image["rules"]
        super().put_back({name: value for name, value in image.items() if name != "rules"})
        self.use(rules["body"])
        self.engine.restore(rules["state"])
        self.lose_power()
        self.start(rules["now"] + 1)

    def begin_epoch(self, reason):
        """Begin a new epoch, as the agent does: its first event names the heads of the old one, and a checkpoint follows."""
        old = self.epoch
        heads = [
            [lane.number - 1, lane.previous, lane.next_sequence] if lane.segments else None
            for lane in self.lanes
        ]
        self.new_epoch()
        self.seal(CRITICAL, [self.row(EPOCH_START, reason, old, *heads)])
        self.checkpoint(AT_BOOT)

    def tell(self, step, number, detail=0, manifest=MANIFEST):
        """Seal an adoption event."""
        self.seal(CRITICAL, [self.row(ADOPTION, step, number, manifest, detail)])

    def take_over(self, body):
        """Let another bundle decide: its first values, the gates carried over, and a checkpoint that says so."""
        gates = self.engine.state()[2]
        self.use(body)
        self.engine.carry_gates(gates)
        self.checkpoint(ADOPTED)

    def adopt(self, body, number, manifest=MANIFEST):
        """Stage a release and begin its trial, as the agent does."""
        self.tell(STAGED, number, len(body), manifest)
        self.tell(TRIAL, number, read_bundle(body).version, manifest)
        self.take_over(body)

    def confirm(self, number):
        """End a trial well."""
        self.tell(CONFIRMED, number)

    def roll_back(self, before, number, reason=1):
        """End a trial: the bundle before decides again."""
        self.tell(ROLLED_BACK, number, reason)
        self.take_over(before)

    def obey(self, number, demand, verdict=DONE, outcome=None):
        """Seal the event of a command, an actuator's through its gate, and the action that follows."""
        act = None
        if demand[0] == SET_ACTUATOR:
            now = self.now_base + self.tick_ms // 100
            act = self.engine.ask(demand[1], demand[2], now, trusted_time=True, online=True)
            verdict, outcome = GUARDED if act[2] else DONE, act[2:]
        event = self.row(COMMAND, number, demand, verdict, outcome)
        self.seal(CRITICAL, [event])
        if act is not None and verdict == DONE:
            self.seal(CRITICAL, [self.row(ACTION, self.order - event[0], act[0], act[1], 0)])
        return verdict

    def checkpoint(self, reason=COUNTED, state=None):
        """Seal a checkpoint with the engine's state, or another one."""
        now = self.now_base + self.tick_ms // 100
        items = {0: 1, 1: reason, 2: now, 3: list(self.bundle), 4: bytes(32), 5: bytes(32), 6: 1}
        data = dumps({**items, 7: self.engine.state() if state is None else state, 8: [], 9: 0})
        size = checkpoint_part_bytes_max
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        for index, part in enumerate(parts):
            self.seal(CRITICAL, [self.row(CHECKPOINT, index, len(parts), part)])

    def take(self, values, keep=lambda decision: decision):
        """Take one reading. keep: what to record of each decision; None drops it."""
        sample = self.sample(values, STEP_MS)
        self.waiting.append(sample)
        now = self.now_base + self.tick_ms // 100
        good = sum(1 << at for at, value in enumerate(values) if value is not None)
        made = self.engine.sample(
            now, [value or 0 for value in values], good, trusted_time=False, online=True
        )
        for decision in filter(None, map(keep, made)):
            rule, mode, *rest = decision
            back = self.order - sample[0]
            event = self.row(DECISION, back, rule, mode, self.digest, *rest)
            self.seal(CRITICAL, [event])
            for action, value, verdict, _ in decision[D_ACTS]:
                kind, said = (ACTION, 0) if verdict == 0 else (REFUSAL, verdict)
                self.seal(CRITICAL, [self.row(kind, self.order - event[0], action, value, said)])
        if len(self.waiting) == SAMPLES_PER_SEGMENT:
            self.flush()

    def flush(self):
        """Seal the samples that wait."""
        if self.waiting:
            self.seal(ROUTINE, self.waiting)
        self.waiting = []

    def lose_power(self):
        """Lose the samples that were not sealed."""
        self.waiting = []

    def live(self, readings=READINGS, **options):
        """Take readings one after the other, a checkpoint half way, and seal everything."""
        for at, values in enumerate(readings):
            if at == len(readings) // 2:
                self.checkpoint()
            self.take(values, **options)
        self.flush()
