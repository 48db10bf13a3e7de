"""A signing key: every leaf signs once, whatever happens to the process, the power and the folder."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from office_ingest.govern import signer as signing
from office_ingest.govern.leaf import LeafCounter, OsDisk
from office_ingest.govern.lms_key import KeyDamaged, LmsKey
from office_ingest.govern.signer import (
    KeyExposed,
    KeyRolledBack,
    KeyUsedUp,
    OpenSigner,
    Signer,
    SignerRunning,
    make_key,
)
from protocol.envelope import RELEASE, check_succession, key_id, parse_envelope
from protocol.lms import leaf_of
from tests.both.seeded_bytes import Dice
from tests.both.vector_files import read_vectors
from tests.support.power_cut_disk import CutDisk, ModelDisk, PowerCut

HISTORIES = 10_000
# Of two sets that both are verified, the one whose keys are made fastest.
SMALL = {"tree": 5, "one_time": 3}
_FOLDER = Path("key")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small key as it was made, copied for each test."""
    folder = tmp_path_factory.mktemp("made") / "key"
    make_key(folder, now_ms=5, **SMALL)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A small key of a test's own; leaf 0 signed for its successor."""
    return Path(shutil.copytree(made, tmp_path / "key"))


def _sign(folder, payload, published=-1, disk=None):
    with OpenSigner(folder, disk) as signer:
        return signer.envelope(RELEASE, payload, published=published)


def _leaf(envelope):
    return leaf_of(parse_envelope(envelope).signature)


def test_signer_gives_the_second_test_case_of_the_rfc():
    """From the RFC's own seeds both of its signatures come out, byte for byte."""
    vector = read_vectors("lms")["accept"][1]
    identity, seed, identity_2, seed_2 = vector["seeds"]
    root, child = LmsKey(identity, seed), LmsKey(identity_2, seed_2, tree=5, one_time=4)
    upper = root.sign(3, child.public[4:])
    lower = child.sign(4, vector["message"])

    assert vector["signature"] == b"\0\0\0\1" + upper[4:] + child.public[4:] + lower[4:]
    assert vector["public"] == b"\0\0\0\2" + root.public[4:]


def test_signatures_hold_and_use_one_leaf_after_the_other(folder):
    """Whoever has the public key verifies each; no leaf comes twice over restarts."""
    envelopes = [_sign(folder, bytes([i]) * 32) for i in range(4)]
    public = bytes.fromhex((folder / "public").read_text())
    for envelope in envelopes:
        parse_envelope(envelope).verify(public, RELEASE)

    assert [1, 2, 3, 4] == [_leaf(envelope) for envelope in envelopes]


def test_successor_was_signed_when_the_key_was_made(folder):
    """The next key is there, in a folder of its own, and the first one says so."""
    public = bytes.fromhex((folder / "public").read_text())
    follows = check_succession((folder / "successor.cose").read_bytes(), public)

    assert bytes.fromhex((folder / "successor" / "public").read_text()) == follows.public
    assert key_id(public) == follows.predecessor
    assert 0 == _leaf(_sign(folder / "successor", bytes(32)))


def test_key_says_that_it_is_not_to_be_backed_up_and_is_its_owners_alone(folder):
    """Backup programs find the tag that they look for; nobody else reads the secret."""
    for key in (folder, folder / "successor"):
        tag = (key / "CACHEDIR.TAG").read_bytes()
        assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
        assert 0o600 == stat.S_IMODE((key / "secret").stat().st_mode)
        assert 0o700 == stat.S_IMODE(key.stat().st_mode)


@pytest.mark.parametrize("name", ["", "secret"])
def test_key_that_others_can_reach_is_refused(folder, name):
    """A secret that may have been read signs nothing."""
    (folder / name).chmod(0o750)

    with pytest.raises(KeyExposed):
        _sign(folder, bytes(32))


def test_leaf_is_durable_before_a_signature_exists(folder, monkeypatch):
    """The new count is synced, put in place and its folder synced, and only then the leaf signs."""
    steps = []
    fsync, replace, sign = os.fsync, Path.replace, LmsKey.sign

    def note_fsync(opened):
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(opened).st_mode) else "sync file")
        fsync(opened)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(
        Path, "replace", lambda self, target: [steps.append("replace"), replace(self, target)][1]
    )
    monkeypatch.setattr(LmsKey, "sign", lambda self, *of: [steps.append("sign"), sign(self, *of)][1])
    _sign(folder, bytes(32))

    assert ["sync file", "replace", "sync folder", "sign"] == steps


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_crash_at_every_step_costs_a_leaf_at_most(folder, step, after):
    """Whichever step was the last, the next signer uses a leaf that made no signature."""
    before = _leaf(_sign(folder, b"before"))
    with pytest.raises(PowerCut):
        _sign(folder, b"cut", disk=CutDisk(step, after))
    leaf = _leaf(_sign(folder, b"after"))

    assert leaf in (before + 1, before + 2)


class CountingKeys:
    """Notes which leaf signed what: a model of one-time keys, fast enough for ten thousand histories."""

    leaf_count = 1 << 10
    public = b"\0\0\0\1" + bytes(56)

    def __init__(self):
        self.signed = {}

    def sign(self, leaf, message):
        self.signed.setdefault(leaf, set()).add(message)
        return bytes(4) + leaf.to_bytes(4, "big")


class History:
    """A signer's life: signatures, power cuts, restarts, and a backup that somebody restores."""

    def __init__(self, seed):
        self.dice = Dice(seed)
        self.disk = ModelDisk(self.dice)
        self.keys = CountingKeys()
        self.counter = LeafCounter(_FOLDER, key_id(self.keys.public), self.disk)
        self.counter.store(0)
        self.disk.sync_folder(_FOLDER)
        # Every second office has lost its list of what was published, so that the count alone must hold.
        self.has_list = seed % 2 == 0
        self.left = {}
        self.messages = 0
        self.backup = None
        self.is_dead = False

    def live(self):
        """Run a few lives of the signer; return whether anything was published at all."""
        for _ in range(1 + self.dice.below(4)):
            self._between_lives()
            self._life()
            self.disk.power_on()
            if self.is_dead:
                break
        return bool(self.left)

    def _between_lives(self):
        chance = self.dice.below(8) if self.has_list else -1
        if chance == 0:
            self.backup = self.disk.backup()
        elif chance == 1 and self.backup is not None:
            self.disk.restore(self.backup)

    def _life(self):
        signer = Signer(self.keys, self.counter)
        self.disk.cut_after(self.dice.below(14) - 1)
        try:
            for _ in range(1 + self.dice.below(4)):
                self._sign(signer)
        except PowerCut:
            return
        except KeyRolledBack:
            self.is_dead = True

    def _sign(self, signer):
        self.messages += 1
        published = max(self.left, default=-1) if self.has_list else -1
        leaf = _leaf(signer.envelope(RELEASE, b"%d" % self.messages, published=published))
        # It leaves the office: from here on it is published, and somebody may hold it.
        self.left.setdefault(leaf, set()).add(self.messages)


def check_histories(count):
    """No leaf signs two messages that leave the office; without a restored backup none signs two at all."""
    published = refused = 0
    for seed in range(count):
        history = History(seed)
        published += history.live()
        refused += history.is_dead
        assert all(len(messages) == 1 for messages in history.left.values()), f"seed {seed}: {history.left}"
        if history.backup is None:
            assert all(len(messages) == 1 for messages in history.keys.signed.values()), f"seed {seed}"
    return published, refused


def test_no_leaf_signs_twice_in_ten_thousand_histories():
    """Cuts at every step, restarts and restored backups, in any order."""
    published, refused = check_histories(HISTORIES)

    assert published > HISTORIES // 2
    assert refused > HISTORIES // 1000


def test_restored_backup_is_refused_by_what_was_published(folder, tmp_path):
    """A count that is older than a published signature means a copy: it never signs again."""
    copy = shutil.copytree(folder, tmp_path / "backup")
    published = _leaf(_sign(folder, b"first"))

    with pytest.raises(KeyRolledBack):
        _sign(copy, b"second", published)
    assert published + 1 == _leaf(_sign(folder, b"third", published))


def test_count_put_back_under_a_running_signer_is_refused(folder):
    """The signer itself knows what it did, published or not."""
    old = (folder / "leaf").read_bytes()
    with OpenSigner(folder) as signer:
        signer.envelope(RELEASE, b"first", published=-1)
        (folder / "leaf").write_bytes(old)

        with pytest.raises(KeyRolledBack):
            signer.envelope(RELEASE, b"second", published=-1)


def test_second_signer_is_refused_while_the_first_lives(folder):
    """In this process and in any other; the lock goes with its holder."""
    program = (
        "import sys; from pathlib import Path; from office_ingest.govern.signer import OpenSigner, SignerRunning\n"
        "try:\n    OpenSigner(Path(sys.argv[1])).__enter__()\nexcept SignerRunning:\n    sys.exit(75)"
    )
    command = [sys.executable, "-c", program, str(folder)]
    with OpenSigner(folder):
        with pytest.raises(SignerRunning):
            OpenSigner(folder).__enter__()
        assert 75 == subprocess.run(command, check=False).returncode

    assert 0 == subprocess.run(command, check=False).returncode


def test_forked_child_signs_nothing(folder):
    """A child has its parent's lock open, and still must not sign."""
    with OpenSigner(folder) as signer:
        child = os.fork()
        if child == 0:
            try:
                signer.envelope(RELEASE, b"child", published=-1)
            except SignerRunning:
                os._exit(75)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        leaf = _leaf(signer.envelope(RELEASE, b"parent", published=-1))

    assert 75 == os.waitstatus_to_exitcode(status)
    assert 1 == leaf


def test_used_up_key_signs_nothing(folder):
    """After the last leaf there is none."""
    public = bytes.fromhex((folder / "public").read_text())
    LeafCounter(folder, key_id(public), OsDisk()).store(31)
    with OpenSigner(folder) as signer:
        assert 1 == signer.remaining()
        assert 31 == _leaf(signer.envelope(RELEASE, b"last", published=30))
        assert 0 == signer.remaining()

        with pytest.raises(KeyUsedUp):
            signer.envelope(RELEASE, b"one more", published=31)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("leaf", None),
        ("leaf", b""),
        ("leaf", b"0000000000000000 1 next\n"),
        ("leaf", b"\xff"),
        ("secret", None),
        ("secret", b"\x80"),
        ("leaves", b""),
        ("leaves", bytes(32 * 32)),
        ("public", b"00\n"),
    ],
)
def test_damaged_key_signs_nothing(folder, name, content):
    """A missing or changed file is never taken for a new one."""
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)

    with pytest.raises(KeyDamaged):
        _sign(folder, bytes(32))


def test_key_is_never_made_over_another(folder):
    """The folder of a key stays what it is."""
    with pytest.raises(FileExistsError):
        make_key(folder, now_ms=5, **SMALL)
    with pytest.raises(FileExistsError):
        signing.make_key(folder / "successor", now_ms=5, **SMALL)
