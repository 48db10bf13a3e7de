"""Signs releases: the one process that may use a signing key, and a leaf of it once.

An LMS leaf that signs two messages lets anybody sign a third. Five rules keep that from happening:
1. The next leaf is durable, file and folder, before a signature exists (leaf.py). A cut costs a leaf, never a key.
2. One signer a key: a lock on the folder, held while it lives. A forked child refuses.
3. A leaf at or below any that was published is refused, and with it the key: its state is older than what it did.
4. The folder is marked as not to be backed up and readable by its owner alone. Who loses it goes on with the successor.
5. The successor's public key is signed when the key is made, so nothing of the old one is needed later.

Source: RFC 8554 section 9.2; NIST SP 800-208 section 9; docs/operating/release.md.
"""

import fcntl
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from office_ingest.errors import OfficeError
from office_ingest.govern.leaf import Disk, LeafCounter, OsDisk
from office_ingest.govern.lms_key import (
    IDENTITY_BYTES,
    ONE_TIME,
    SEED_BYTES,
    TREE,
    KeyDamaged,
    LmsKey,
    split_leaves,
)
from protocol.cbor import dumps, loads
from protocol.envelope import (
    ROOT,
    Succession,
    check_succession,
    encode_envelope,
    encode_succession,
    key_id,
    signed_bytes,
)
from protocol.errors import ProtocolError
from protocol.lms import HEIGHTS

# What backup programs look for: bford.info/cachedir.
_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# A one-time signing key. A copy of this folder that is restored lets anybody sign releases.\n"
    b"# Never back it up, never snapshot it, never copy it: its successor is what goes on.\n"
)
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO
SUCCESSOR = "successor"


class SignerRunning(OfficeError):
    """Another process holds this key, or this one was forked. Who must act: whoever started the second."""


class KeyUsedUp(OfficeError):
    """Every leaf has signed. Who must act: whoever releases; go on with the successor."""


class KeyRolledBack(OfficeError):
    """The key's count is at or below a leaf that was published: the folder was restored or copied.

    Who must act: a person. Destroy this copy and go on with the successor.
    """


class KeyExposed(OfficeError):
    """Others can reach the key, so it is no secret. Who must act: a person; chmod if nobody read it, else the successor."""


class OneTimeKeys(Protocol):
    """What a signer signs with: an LmsKey."""

    leaf_count: int
    public: bytes

    def sign(self, leaf: int, message: bytes) -> bytes:
        """Return a signature by a leaf that never signed before."""


class Signer:
    """Signs with one leaf after the other; made by open_signer, which holds the lock."""

    def __init__(self, keys: OneTimeKeys, counter: LeafCounter, process: Callable[[], int] = os.getpid):
        self._keys = keys
        self._counter = counter
        self._process = process
        self._owner = process()
        self._turn = threading.Lock()
        self._last = -1
        self.public = keys.public
        self.key_id = key_id(keys.public)

    def remaining(self) -> int:
        """Return how many signatures are left."""
        return max(0, self._keys.leaf_count - self._counter.next_leaf())

    def envelope(self, purpose: bytes, payload: bytes, *, published: int) -> bytes:
        """Return a COSE_Sign1 over payload by the next leaf, which is durably used up before it exists.

        published: the highest leaf of this key in anything that was ever given away, -1 if nothing was.
        Raises SignerRunning, KeyUsedUp, KeyRolledBack or KeyDamaged; a leaf may be lost then, none was used twice.
        """
        with self._turn:
            signature = self._sign(signed_bytes(purpose, payload), published)
        return encode_envelope(self.key_id, payload, signature)

    def refuse_old_state(self, published: int) -> None:
        """Raise KeyRolledBack if the next leaf is at or below one that was published: for what must not be begun then."""
        self._refuse_old_state(self._counter.next_leaf(), max(published, self._last))

    def skip(self, published: int, margin: int) -> int:
        """Go on above every leaf that was published and margin more, which nobody may have told of; return the next leaf.

        Durable when it returns. Nothing is changed where the count is above published. Raises KeyUsedUp: none is left up there.
        """
        with self._turn:
            self._refuse_fork()
            leaf = self._counter.next_leaf()
            if leaf > published:
                return leaf
            after = published + 1 + margin
            if after >= self._keys.leaf_count:
                raise KeyUsedUp(
                    f"leaf {after} is beyond the {self._keys.leaf_count} leaves of key {self.key_id.hex()}"
                )
            self._counter.store(after)
            return after

    def _sign(self, message: bytes, published: int) -> bytes:
        self._refuse_fork()
        leaf = self._counter.next_leaf()
        self._refuse_old_state(leaf, max(published, self._last))
        if leaf >= self._keys.leaf_count:
            raise KeyUsedUp(f"all {self._keys.leaf_count} signatures of key {self.key_id.hex()} are made")
        self._last = leaf
        self._counter.store(leaf + 1)
        return self._keys.sign(leaf, message)

    def _refuse_fork(self) -> None:
        if self._process() != self._owner:
            raise SignerRunning("this process was forked from the one that opened the key")

    def _refuse_old_state(self, leaf: int, published: int) -> None:
        if leaf <= published:
            raise KeyRolledBack(
                f"key {self.key_id.hex()} would use leaf {leaf}, but leaf {published} was published already"
            )


class OpenSigner:
    """A signer and its lock: a context manager."""

    def __init__(self, folder: Path, disk: Disk | None = None):
        self._folder = folder
        self._disk = disk or OsDisk()
        self._lock = -1

    def __enter__(self) -> Signer:
        self._lock = _lock(self._folder)
        try:
            keys = _read_key(self._folder)
            return Signer(keys, LeafCounter(self._folder, key_id(keys.public), self._disk))
        except BaseException:
            os.close(self._lock)
            raise

    def __exit__(self, *error: object) -> None:
        os.close(self._lock)


def make_key(
    folder: Path,
    *,
    now_ms: int,
    random: Callable[[int], bytes] = os.urandom,
    tree: int = TREE,
    one_time: int = ONE_TIME,
) -> tuple[bytes, bytes, bytes]:
    """Make a key in a new folder and its successor in folder/successor; return (public, successor's public, envelope).

    The envelope says that the second follows the first, signed by leaf 0 of the first. Everything is durable.
    Raises FileExistsError if the folder is there.
    """
    public = _make_folder(folder, random, tree, one_time)
    successor, envelope = make_successor(folder, now_ms=now_ms, random=random, tree=tree, one_time=one_time)
    return public, successor, envelope


def make_successor(
    folder: Path,
    *,
    now_ms: int,
    published: int = -1,
    random: Callable[[int], bytes] = os.urandom,
    tree: int = TREE,
    one_time: int = ONE_TIME,
) -> tuple[bytes, bytes]:
    """Make folder/successor, signed for by the next leaf of the key in folder; return (its public key, the envelope).

    One that is signed for already is left as it is, so that an interrupted command can be given again. published: as Signer.envelope has it.
    Raises FileExistsError if there is one that nobody signed for, and what Signer.envelope raises.
    """
    disk = OsDisk()
    if (folder / "successor.cose").is_file():
        public = bytes.fromhex((folder / "public").read_text())
        envelope = disk.read(folder / "successor.cose")
        return check_succession(envelope, public).public, envelope
    with OpenSigner(folder) as signer:
        signer.refuse_old_state(published)
        successor = _make_folder(folder / SUCCESSOR, random, tree, one_time)
        payload = encode_succession(Succession(signer.key_id, successor, now_ms))
        envelope = signer.envelope(ROOT, payload, published=published)
    disk.write(folder / "successor.cose", envelope)
    disk.sync_folder(folder)
    return successor, envelope


def _make_folder(folder: Path, random: Callable[[int], bytes], tree: int, one_time: int) -> bytes:
    folder.mkdir(mode=0o700)
    identity, seed = random(IDENTITY_BYTES), random(SEED_BYTES)
    keys = LmsKey(identity, seed, tree=tree, one_time=one_time)
    disk = OsDisk()
    disk.write(folder / "CACHEDIR.TAG", _TAG)
    disk.write(folder / "lock", b"")
    disk.write(folder / "leaves", b"".join(keys.leaves))
    disk.write(folder / "public", keys.public.hex().encode() + b"\n")
    LeafCounter(folder, key_id(keys.public), disk).store(0)
    # Last: a folder without it is no key, whatever else is there.
    disk.write(folder / "secret", dumps([1, tree, one_time, identity, seed]))
    disk.sync_folder(folder)
    disk.sync_folder(folder.parent)
    return keys.public


def _lock(folder: Path) -> int:
    """Return the open lock. Raises KeyDamaged if this is no key folder, SignerRunning, KeyExposed."""
    if not (folder / "secret").is_file():
        raise KeyDamaged(f"{folder} holds no signing key")
    for path in (folder, folder / "secret"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OPEN_TO_OTHERS:
            raise KeyExposed(f"{path} has mode {mode:04o}, so others can reach it")
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SignerRunning(f"another process signs with the key in {folder}") from None
    return lock


def _read_key(folder: Path) -> LmsKey:
    try:
        version, tree, one_time, identity, seed = loads((folder / "secret").read_bytes())
        leaves = split_leaves((folder / "leaves").read_bytes())
        public = bytes.fromhex((folder / "public").read_text())
        if version != 1 or len(leaves) != 1 << HEIGHTS[tree]:
            raise KeyDamaged(f"{folder} holds a key of another version, or not all of its leaves")
        keys = LmsKey(identity, seed, tree=tree, one_time=one_time, leaves=leaves)
    except (
        ProtocolError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        OverflowError,
        FileNotFoundError,
    ) as error:
        raise KeyDamaged(f"the key in {folder} cannot be read: {error}") from None
    if keys.public != public:
        raise KeyDamaged(f"the leaves in {folder} do not give its public key")
    return keys
