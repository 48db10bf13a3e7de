"""An HSS/LMS private key of one level: makes signatures for a leaf that it is told. It keeps no count of them.

Which leaf comes next is signer.py's business, because a leaf that signs twice signs for anybody.
The one-time keys and the randomizer come from one seed, so a key is 48 secret bytes; the hashes of its leaves are no secret.

Source: RFC 8554 sections 4.5, 5.3 and 5.4.1, appendix A.
"""

import hashlib

from office_ingest.errors import OfficeError
from protocol import lms

# LMS_SHA256_M32_H10 with LMOTS_SHA256_N32_W4: 1,024 signatures of 2,512 bytes, checked by 490 hashes.
TREE = 6
ONE_TIME = 3
IDENTITY_BYTES = 16
SEED_BYTES = 32
_HASH_BYTES = 32
_RANDOMIZER = b"\xff\xfd\xff"


class KeyDamaged(OfficeError):
    """The key's files do not belong together, or a signature it made does not hold; nothing was signed.

    Who must act: a person. Go on with the successor; never mend a key, never restore one.
    """


class LmsKey:
    """A private key. leaves: the hashes of its leaves if they are known; making them takes about a second."""

    def __init__(
        self,
        identity: bytes,
        seed: bytes,
        *,
        tree: int = TREE,
        one_time: int = ONE_TIME,
        leaves: list[bytes] | None = None,
    ):
        self._identity = identity
        self._seed = seed
        self._types = tree.to_bytes(4, "big"), one_time.to_bytes(4, "big")
        self._chain = lms.CHAINS[one_time]
        self.leaf_count = 1 << lms.HEIGHTS[tree]
        self.leaves = leaves or [self._leaf(leaf) for leaf in range(self.leaf_count)]
        self._nodes = self._tree()
        self.public = b"\0\0\0\1" + b"".join(self._types) + identity + self._nodes[1]

    def sign(self, leaf: int, message: bytes) -> bytes:
        """Return the HSS signature of one level over message by leaf, which must never have signed anything else.

        Equal input gives equal bytes. Raises KeyDamaged if the signature does not hold.
        """
        prefix = self._identity + leaf.to_bytes(4, "big")
        randomizer = hashlib.sha256(prefix + _RANDOMIZER + self._seed).digest()
        digest = hashlib.sha256(prefix + lms.D_MESSAGE + randomizer + message).digest()
        width, count, shift = self._chain
        steps = lms.digits(digest, width, count, shift)
        chains = b"".join(lms.chain(prefix, i, self._start(prefix, i), 0, steps[i]) for i in range(count))
        made = prefix[IDENTITY_BYTES:] + self._types[1] + randomizer + chains + self._types[0]
        signature = bytes(4) + made + self._path(leaf)
        if not lms.verify(self.public, message, signature):
            raise KeyDamaged(f"the signature of leaf {leaf} does not hold")
        return signature

    def _start(self, prefix: bytes, i: int) -> bytes:
        return hashlib.sha256(prefix + i.to_bytes(2, "big") + b"\xff" + self._seed).digest()

    def _leaf(self, leaf: int) -> bytes:
        prefix = self._identity + leaf.to_bytes(4, "big")
        width, count, _ = self._chain
        ends = hashlib.sha256(prefix + lms.D_PUBLIC)
        for i in range(count):
            ends.update(lms.chain(prefix, i, self._start(prefix, i), 0, (1 << width) - 1))
        return self._hash(self.leaf_count + leaf, lms.D_LEAF + ends.digest())

    def _hash(self, node: int, rest: bytes) -> bytes:
        return hashlib.sha256(self._identity + node.to_bytes(4, "big") + rest).digest()

    def _tree(self) -> list[bytes]:
        nodes = [b""] * self.leaf_count + self.leaves
        for node in range(self.leaf_count - 1, 0, -1):
            nodes[node] = self._hash(node, lms.D_INNER + nodes[2 * node] + nodes[2 * node + 1])
        return nodes

    def _path(self, leaf: int) -> bytes:
        node, path = self.leaf_count + leaf, b""
        while node > 1:
            path += self._nodes[node ^ 1]
            node >>= 1
        return path


def split_leaves(joined: bytes) -> list[bytes]:
    """Return the hashes of leaves that were written one after the other."""
    return [joined[at : at + _HASH_BYTES] for at in range(0, len(joined), _HASH_BYTES)]
