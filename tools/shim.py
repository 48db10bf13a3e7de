"""Lets the device's code run on CPython: the few names that only MicroPython has.

    from tools.shim import install
    install()
    from agent.app import Agent

Clock, sleeping, cipher and storage are handed to the agent anyway; what is left is one module and the folder to import from.
"""

import sys
import types

from protocol.aes_host import Aes128
from tools.upy import firmware_folder

_ECB = 1


class _Cipher:
    def __init__(self, key: bytes, mode: int, iv: bytes = bytes(16)):
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        chosen = modes.ECB() if mode == _ECB else modes.CBC(iv)  # noqa: S305 -- the block cipher itself is asked for
        self._encryptor = Cipher(algorithms.AES128(key), chosen).encryptor()

    def encrypt(self, blocks: bytes, out: bytearray | None = None) -> bytes | bytearray:
        sealed = self._encryptor.update(bytes(blocks))
        if out is None:
            return sealed
        out[:] = sealed
        return out


def install() -> None:
    """Make `agent` importable, with a `cryptolib` that has MicroPython's ECB and CBC; harmless when done already."""
    folder = str(firmware_folder())
    if folder not in sys.path:
        sys.path.append(folder)
    if "cryptolib" not in sys.modules:
        module = types.ModuleType("cryptolib")
        module.aes = _Cipher  # type: ignore[attr-defined]
        sys.modules["cryptolib"] = module


__all__ = ["Aes128", "install"]
