"""A DeviceModel that decides: the real engine over the demonstration bundle and its readings, recorded as the agent does."""

import hashlib
import json
from binascii import unhexlify
from pathlib import Path

import rules
from protocol.cbor import dumps
from protocol.event import ACTION, CHECKPOINT, DECISION, REFUSAL
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
COUNTED, TO_MAKE_ROOM = 1, 3


class DecidingDevice(DeviceModel):
    """Takes readings, decides with the engine, and seals: decisions at once, samples when there are enough."""

    def __init__(self, seed: int = 1, body: bytes = BUNDLE):
        super().__init__(seed)
        self.body = body
        self.digest = hashlib.sha256(body).digest()
        self.bundle = (1, self.digest)
        self.now_base = 0
        self.engine = Engine(read_bundle(body))
        self.waiting = []

    def start(self, now_base=0):
        """Boot: boot event and checkpoint, each whole and sealed."""
        self.now_base = now_base
        self.seal(CRITICAL, [self.restart(now_base)])
        self.checkpoint()

    def checkpoint(self, reason=COUNTED, state=None):
        """Seal a checkpoint with the engine's state, or another one."""
        now = self.now_base + self.tick_ms // 100
        items = {0: 1, 1: reason, 2: now, 3: [1, self.digest], 4: bytes(32), 5: bytes(32), 6: 1}
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
