"""What a device decides with from its first start: the rules and channels of a policy, or the demonstration's."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from protocol.diagnostic import show

_TICK_MS = 100


@dataclass(frozen=True)
class Provisions:
    """schema, bundle: as they lie in the device's folder. channels: of the schema. timing: lines of device.toml that follow from it."""

    schema: bytes
    bundle: bytes
    channels: int
    timing: tuple[str, ...] = ()

    def blank_recording(self) -> str:
        """Return a recording of one row that has no reading: for a board whose sensors take its place."""
        return "," * (self.channels - 1) + "\n"


def provisions_of(policy: Path | None) -> Provisions:
    """Return what a policy's file gives, None: the demonstration's. Raises DiagnosticError with every mistake of the policy."""
    if policy is None:
        from tools.demo_rules import demo_bundle
        from tools.provision import DEMO_CHANNELS, demo_schema

        schema = demo_schema()
        return Provisions(schema, demo_bundle(schema=sha256(schema).digest()[:8]), len(DEMO_CHANNELS))
    from rules.authoring.compile import compile_file

    compiled, warnings = compile_file(policy)
    show(warnings)
    sample = compiled.policy.sample
    timing = (f"sample_ms = {sample * _TICK_MS}",) if sample else ()
    return Provisions(compiled.schema, compiled.bundle, len(compiled.policy.channels), timing)
