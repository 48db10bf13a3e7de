"""A VFS put in front of SQLite's own, in the very library that Python's sqlite3 uses: the shipped store code runs unchanged.

APSW brings a copy of SQLite of its own, in which the store code never runs (docs/decisions/0030). So the VFS is made with
ctypes: each file that SQLite opens keeps the methods of SQLite's own VFS but for read, write, truncate, sync and close.
Locks and shared memory stay what they are.

A `disk` gets what is done, before it is done:
    opened(path, is_journal)  deleted(path, sync_folder)  closed(path)
    read(path, offset, size) -> code   write(path, offset, data) -> (code, bytes of it to write)
    truncate(path, size) -> code       sync(path) -> code       code 0: do it
"""

import _sqlite3
import contextlib
import ctypes
import os
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p

OK = 0
IOERR = 10
FULL = 13
IOERR_READ = IOERR | 1 << 8
IOERR_WRITE = IOERR | 3 << 8
IOERR_FSYNC = IOERR | 4 << 8
IOERR_TRUNCATE = IOERR | 6 << 8

_OPEN_JOURNAL = 0x800
_OPEN_SUPER_JOURNAL = 0x4000
_OPEN_WAL = 0x80000

_READ = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)
_CLOSE = CFUNCTYPE(c_int, c_void_p)
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = [
        ("version", c_int),
        ("close", _CLOSE),
        ("read", _READ),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        # file size, three locks, control, sector size, characteristics, four of shared memory, fetch, unfetch
        *((f"other_{n}", c_void_p) for n in range(13)),
    ]


class _File(ctypes.Structure):
    """sqlite3_file, of which only the methods are known here."""

    _fields_ = [("methods", POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = [
        ("version", c_int),
        ("file_size", c_int),
        ("path_max", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("app_data", c_void_p),
        ("open", _OPEN),
        ("delete", _DELETE),
        # access, full path, four of libraries, randomness, sleep, two of time, last error, three of system calls
        *((f"other_{n}", c_void_p) for n in range(14)),
    ]


def _library():
    """Return the SQLite that Python's sqlite3 module is linked to."""
    # Symbols are looked up in the module and in what it depends on: no second copy can be met.
    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    library.sqlite3_vfs_find.restype = POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = [c_char_p]
    library.sqlite3_vfs_register.argtypes = [POINTER(_Vfs), c_int]
    library.sqlite3_vfs_unregister.argtypes = [POINTER(_Vfs)]
    return library


def why_not():
    """Return why no VFS can be put in front here, or an empty text."""
    try:
        found = _library().sqlite3_vfs_find(None)
    except (AttributeError, OSError) as error:
        return f"Python's sqlite3 gives no access to its SQLite: {error}"
    return "" if found and found.contents.version >= 2 else "SQLite's own VFS is older than version 2"


class FrontVfs:
    """The VFS itself. disk: see the module's docstring. Only files below folder are shown to it."""

    def __init__(self, folder, disk):
        self._folder = os.path.realpath(folder) + os.sep
        self._disk = disk
        self._library = _library()
        self._true = self._library.sqlite3_vfs_find(None)
        self._paths = {}
        self._tables = {}
        # What an exception in a callback was: ctypes cannot pass it through C.
        self.errors = []
        self._vfs = _Vfs.from_buffer_copy(self._true.contents)
        self._vfs.name = b"front-%x" % id(self)
        self._vfs.open = _OPEN(self._guarded(self._open))
        self._vfs.delete = _DELETE(self._guarded(self._delete))

    def _guarded(self, call):
        def guarded(*arguments):
            try:
                return call(*arguments)
            except BaseException as error:  # noqa: BLE001 - said by the context manager `front`
                self.errors.append(error)
                return IOERR

        return guarded

    def start(self):
        """Be the VFS of every connection that is opened from now on."""
        assert self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) == OK

    def stop(self):
        """Be no more offered; files that are open stay in our hands until they are closed."""
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))

    def _open(self, _vfs, name, file, flags, out_flags):
        code = self._true.contents.open(ctypes.addressof(self._true.contents), name, file, flags, out_flags)
        path = os.fsdecode(ctypes.string_at(name)) if name else ""
        if code != OK or not path.startswith(self._folder):
            return code
        self._paths[file] = path[len(self._folder) :]
        true_file = ctypes.cast(file, POINTER(_File)).contents
        true_file.methods = ctypes.pointer(self._methods(true_file.methods))
        self._disk.opened(self._paths[file], bool(flags & (_OPEN_JOURNAL | _OPEN_SUPER_JOURNAL | _OPEN_WAL)))
        return code

    def _delete(self, _vfs, name, sync_folder):
        path = os.fsdecode(name)
        code = self._true.contents.delete(ctypes.addressof(self._true.contents), name, sync_folder)
        if code == OK and path.startswith(self._folder):
            self._disk.deleted(path[len(self._folder) :], bool(sync_folder))
        return code

    def _methods(self, true):
        """Return SQLite's own methods with ours in their place; one table for each of SQLite's."""
        address = ctypes.addressof(true.contents)
        if address not in self._tables:
            made = _Methods.from_buffer_copy(true.contents)
            true_methods = true.contents
            made.close = _CLOSE(self._guarded(lambda file: self._close(true_methods, file)))
            made.read = _READ(self._guarded(lambda *of: self._read(true_methods, *of)))
            made.write = _WRITE(self._guarded(lambda *of: self._write(true_methods, *of)))
            made.truncate = _TRUNCATE(self._guarded(lambda *of: self._truncate(true_methods, *of)))
            made.sync = _SYNC(self._guarded(lambda *of: self._sync(true_methods, *of)))
            self._tables[address] = made
        return self._tables[address]

    def _close(self, true, file):
        self._disk.closed(self._paths.pop(file))
        return true.close(file)

    def _read(self, true, file, buffer, size, offset):
        return self._disk.read(self._paths[file], offset, size) or true.read(file, buffer, size, offset)

    def _write(self, true, file, buffer, size, offset):
        data = ctypes.string_at(buffer, size)
        code, written = self._disk.write(self._paths[file], offset, data)
        if written:
            done = true.write(file, buffer, len(written), offset)
            code = code or done
        return code

    def _truncate(self, true, file, size):
        return self._disk.truncate(self._paths[file], size) or true.truncate(file, size)

    def _sync(self, true, file, flags):
        return self._disk.sync(self._paths[file]) or true.sync(file, flags)


@contextlib.contextmanager
def front(folder, disk):
    """Show the disk everything that SQLite does below folder. Connections must be closed inside."""
    vfs = FrontVfs(folder, disk)
    vfs.start()
    try:
        yield
    finally:
        vfs.stop()
        # Its callbacks must outlive whatever still points at them.
        _KEPT.append(vfs)
    if vfs.errors:
        raise vfs.errors[0]


_KEPT = []
