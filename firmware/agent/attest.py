"""Says what runs here: image, agent, rules, engine, hardware, whether the console is open, and whose releases are taken.

Source: SPEC.md section 4.8.
"""

from protocol.attestation import claims_of
from protocol.event import ATTESTATION
from protocol.keys import CRITICAL
from rules import VERSION as SEMANTICS


def attest(recorder, clock, board, hardware: str, bundle: bytes, roots: list) -> None:
    """Record the claims of this boot; sealed with what is sealed next.

    bundle: digest of the rules that decide. roots: identifiers (8 bytes) of the release roots that are held.
    """
    claims = claims_of(
        hardware, board.debug, clock.boot, board.image_digest, board.agent, bundle, SEMANTICS, roots
    )
    recorder.record(CRITICAL, clock.tick_ms(), ATTESTATION, (claims,))
