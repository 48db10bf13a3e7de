"""Writes a MicroPython ROMFS: files to be read where they lie in a board's flash.

Source: MicroPython, extmod/vfs_rom.c, "ROMFS filesystem format".
"""

_MAGIC = b"\xd2\xcd\x31"
_DATA = 2
_DIRECTORY = 4
_FILE = 5


def make_romfs(files: dict[str, bytes]) -> bytes:
    """Return the filesystem that holds files: path with / -> content. The same files give the same bytes."""
    tree: dict[str, object] = {}
    for path, content in sorted(files.items()):
        *folders, name = path.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})  # type: ignore[assignment]  # a path is not a file and a folder
        place[name] = content
    body = _records(tree)
    whole = _MAGIC + _number(len(body)) + body
    if len(whole) % 2:
        # The whole must be of even length, and a padding record takes two bytes or more: the length is written longer.
        whole = _MAGIC + b"\x80" + _number(len(body)) + body
    return whole


def _records(tree: dict[str, object]) -> bytes:
    out = b""
    for name, item in tree.items():
        label = _number(len(name.encode())) + name.encode()
        if isinstance(item, dict):
            out += _record(_DIRECTORY, label + _records(item))
        else:
            assert isinstance(item, bytes)
            out += _record(_FILE, label + _record(_DATA, item))
    return out


def _record(kind: int, payload: bytes) -> bytes:
    return _number(kind) + _number(len(payload)) + payload


def _number(value: int) -> bytes:
    """Return a varuint: seven bits a byte, the highest first, all but the last marked."""
    out = bytes([value & 0x7F])
    while value := value >> 7:
        out = bytes([0x80 | value & 0x7F]) + out
    return out
