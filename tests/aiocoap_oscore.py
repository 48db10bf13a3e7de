"""aiocoap's OSCORE as an oracle: contexts in memory, with nothing of its file contexts.

aiocoap.oscore imports filelock for FilesystemSecurityContext alone, which we never use; where filelock is not installed an
empty module stands in for it.
"""

import sys
import types

from aiocoap.numbers.codes import Code

try:
    import filelock  # noqa: F401
except ImportError:
    sys.modules["filelock"] = types.ModuleType("filelock")

from aiocoap import Message, oscore
from aiocoap.message import Direction


class MemoryContext(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """An aiocoap security context that lives as long as the test."""

    echo_recovery = None

    def __init__(self, secret, sender_id, recipient_id, salt=b"", id_context=None):
        self.alg_aead = oscore.algorithms["AES-CCM-16-64-128"]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id = sender_id
        self.recipient_id = recipient_id
        self.id_context = id_context
        self.sender_sequence_number = 0
        self.derive_keys(salt, secret)
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()

    def post_seqnoincrease(self):
        """Nothing to persist."""

    def forget(self, echo):
        """Lose the replay window, as a server does that restarts; echo is what a client must show."""
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.echo_recovery = echo


def read(datagram):
    """Return aiocoap's message of a datagram."""
    message = Message.decode(datagram)
    message.direction = Direction.INCOMING
    return message


def write(message, like):
    """Return the datagram of aiocoap's message, with type, message id and token of another datagram."""
    message.mtype = like[0] >> 4 & 3
    message.mid = int.from_bytes(like[2:4], "big")
    message.token = like[4 : 4 + (like[0] & 15)]
    return message.encode()


def code(number):
    """Return aiocoap's name of a code."""
    return Code(number)
