"""What can be wrong with bytes from outside, and the numbers by which every part calls it.

A `ProtocolError` always means *their* mistake: bad bytes, a bad seal, a number out of place. Our own mistakes
are assertions; the world's (disk full, link down) are named errors of the package that meets them.
The reject codes are stored in quarantine and may be sent, so a number never changes its meaning.

Source: SPEC.md section 9.
"""

MALFORMED = 1  # not the bytes that the grammar asks for, or not in their one deterministic form
TOO_LARGE = 2  # a length, count or depth above its limit in limits.py
VERSION = 3  # a version number that this code does not speak
UNKNOWN_DEVICE = 4  # no such device here
SEAL = 5  # the tag does not fit: a wrong key, or changed bytes
GENERATION = 6  # not the seal generation that this number must have
FAR_GENERATION = 7  # a generation too far above the highest verified one
CHAIN = 8  # the previous digest, or the sequence, does not continue what is held
BODY = 9  # sealed, but the body does not decrypt to what the header says
FORK = 10  # another verified segment holds this number
TOMBSTONE = 11  # a tombstone that contradicts itself or what is held
PERIOD = 12  # a view period that is not known, or goes back
SEQUENCE = 13  # numbers run out: a counter would pass its largest value
RULE = 14  # a bundle that breaks the grammar of rules or one of its limits
REPLAY = 15  # a message that was accepted before, or is too old to tell
NOT_PROTECTED = 16  # a message without the protection it must have
UNSIGNED = 17  # a release with fewer signatures than it needs
SIGNER = 18  # signed by a key that is no release root here
TARGET = 19  # a release for other devices
HARDWARE = 20  # a release for other hardware
SCHEMA = 21  # a release for another schema
ROLLBACK = 22  # a release below the floor
FORWARD = 23  # a release too far above the floor
VALIDITY = 24  # a release outside its time, or no trusted time to tell
PART = 25  # a part that is not the one its manifest names
SLOW = 26  # a release that did not arrive within its time
REVOKED = 27  # a device that a person called revoked
SUPERSEDED = 28  # under keys of before, above what was sealed when a device was given others

NAMES = {
    MALFORMED: "malformed",
    TOO_LARGE: "too-large",
    VERSION: "version",
    UNKNOWN_DEVICE: "unknown-device",
    SEAL: "seal",
    GENERATION: "generation",
    FAR_GENERATION: "far-generation",
    CHAIN: "chain",
    BODY: "body",
    FORK: "fork",
    TOMBSTONE: "tombstone",
    PERIOD: "period",
    SEQUENCE: "sequence",
    RULE: "rule",
    REPLAY: "replay",
    NOT_PROTECTED: "not-protected",
    UNSIGNED: "unsigned",
    SIGNER: "signer",
    TARGET: "target",
    HARDWARE: "hardware",
    SCHEMA: "schema",
    ROLLBACK: "rollback",
    FORWARD: "forward",
    VALIDITY: "validity",
    PART: "part",
    SLOW: "slow",
    REVOKED: "revoked",
    SUPERSEDED: "superseded",
}


class ProtocolError(Exception):
    """Bytes from outside that must not be taken for good.

    code: one of the reject codes above. text: one sentence that names the thing, the value and the limit.
    """

    def __init__(self, code: int, text: str = ""):
        super().__init__(text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return "{}: {}".format(NAMES.get(self.code, self.code), self.text)
