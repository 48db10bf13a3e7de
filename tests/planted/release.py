"""Faults of releases and their signer, planted into the real code. A planter takes pytest's monkeypatch."""

import fcntl

from office_ingest.govern.leaf import LeafCounter
from office_ingest.govern.signer import Signer
from protocol import lms, manifest
from protocol.envelope import Envelope
from rules import widening


def sign_before_reserve(monkeypatch):
    """Make the signature first, and count its leaf afterwards."""

    def sign(self, message, published):
        leaf = self._counter.next_leaf()
        self._refuse_old_state(leaf, published)
        signature = self._keys.sign(leaf, message)
        self._counter.store(leaf + 1)
        return signature

    monkeypatch.setattr(Signer, "_sign", sign)


def forget_directory_sync(monkeypatch):
    """Believe that a new name is durable once it is there."""

    def store(self, number):
        content = f"{self._key_id.hex()} {number} next\n".encode("ascii")
        self._disk.write(self._folder / "leaf.new", content)
        self._disk.replace(self._folder / "leaf.new", self._folder / "leaf")

    monkeypatch.setattr(LeafCounter, "store", store)


def write_count_in_place(monkeypatch):
    """Overwrite the count, so that a cut leaves half of it."""

    def store(self, number):
        content = f"{self._key_id.hex()} {number} next\n".encode("ascii")
        self._disk.write(self._folder / "leaf", content)

    def next_leaf(self):
        digits = self._disk.read(self._folder / "leaf").decode().partition(" ")[2].partition(" ")[0]
        return int(digits or 0)

    monkeypatch.setattr(LeafCounter, "store", store)
    monkeypatch.setattr(LeafCounter, "next_leaf", next_leaf)


def allow_restored_backup(monkeypatch):
    """Sign on with a count that is older than what was published."""
    monkeypatch.setattr(Signer, "_refuse_old_state", lambda self, leaf, published: None)


def two_signers(monkeypatch):
    """Open a key that another process holds."""
    monkeypatch.setattr(fcntl, "flock", lambda file, how: None)


def forked_signer(monkeypatch):
    """Let a child go on with its parent's key."""
    monkeypatch.setattr(Signer, "_refuse_fork", lambda self: None)


def skip_signature_check(monkeypatch):
    """Take every signature for good."""
    monkeypatch.setattr(Envelope, "verify", lambda self, public, purpose: None)


def skip_path_check(monkeypatch):
    """Look at the one-time signature and not at its place in the tree."""

    def verify_tree(key, message, signature):
        return len(signature) == lms._signature_bytes(key) and signature[4:8] == key[4:8]

    monkeypatch.setattr(lms, "_verify_tree", verify_tree)


def skip_checksum(monkeypatch):
    """Sign the digits of the hash alone: whoever sees a signature can step its chains further."""
    honest = lms.digits

    def digits(message_hash, width, count, shift):
        steps = honest(message_hash, width, count, shift)
        return steps[: 256 // width] + bytes(count - 256 // width)

    monkeypatch.setattr(lms, "digits", digits)


def skip_digest_check(monkeypatch):
    """Take a good signature of another manifest."""

    def signers(release, roots):
        known = {manifest.key_id(public): public for public in roots}
        for envelope in release.envelopes:
            if envelope.key_id in known:
                envelope.verify(known[envelope.key_id], manifest.RELEASE)
        return [known[e.key_id] for e in release.envelopes if e.key_id in known] or roots[:1]

    monkeypatch.setattr(manifest, "_signers", signers)


def count_one_signer_twice(monkeypatch):
    """Take two signatures of one root for two signers."""
    honest = manifest._signers
    monkeypatch.setattr(
        manifest, "_signers", lambda release, roots: honest(release, roots) * len(release.envelopes)
    )


def forget_floor(monkeypatch):
    """Adopt an older release."""
    monkeypatch.setattr(manifest, "_check_number", lambda release, floor: None)


def forget_time(monkeypatch):
    """Adopt a release for ever after."""
    monkeypatch.setattr(manifest, "_check_time", lambda manifest, now: None)


def forget_target(monkeypatch):
    """Adopt what is meant for others."""
    monkeypatch.setattr(manifest, "_check_target", lambda manifest, standing: None)


def reset_for_every_floor(monkeypatch):
    """Let a reset hold whatever the floor is, so that it can be played back."""
    honest = manifest._check_number

    def check_number(release, floor):
        honest(release, release.manifest.reset[0] if release.manifest.reset else floor)

    monkeypatch.setattr(manifest, "_check_number", check_number)


def skip_part_digest(monkeypatch):
    """Take any body of the right size."""

    def check_part(held, index, body):
        if len(body) != held.parts[index][2]:
            raise manifest.ProtocolError(manifest.PART, "size")

    monkeypatch.setattr(manifest, "check_part", check_part)


def overlook_a_wider_gate(monkeypatch):
    """Look for new actions only."""
    monkeypatch.setattr(widening, "_wider", lambda old, new: [])


def overlook_another_condition(monkeypatch):
    """See a condition of replacing that is gone, not one that was changed."""
    monkeypatch.setattr(widening, "_same", lambda old, new: new is not None)


def overlook_a_dropped_condition(monkeypatch):
    """Let a bundle leave out when it may be replaced."""
    honest = widening._same
    monkeypatch.setattr(widening, "_same", lambda old, new: new is None or honest(old, new))
