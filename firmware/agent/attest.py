"""Says what runs here: image, agent, rules, engine, hardware, and whether the console is open.

Source: SPEC.md section 4.8.
"""

from protocol.attestation import claims_of
from protocol.event import ATTESTATION
from protocol.keys import CRITICAL
from rules import VERSION as SEMANTICS


def attest(recorder, clock, board, hardware: str, bundle: bytes) -> None:
    """Record the claims of this boot; sealed with what is sealed next. bundle: digest of the rules that decide."""
    claims = claims_of(hardware, board.debug, clock.boot, board.image_digest, board.agent, bundle, SEMANTICS)
    recorder.record(CRITICAL, clock.tick_ms(), ATTESTATION, (claims,))
