"""Disks of gateways and of the office: SQLite as shipped, through a connection that can fail and that dies with its process.

sqlite3.connect is what every store calls; while a world runs, it opens such connections.
"""

import contextlib
import shutil
import sqlite3

from tests.sim.history import Crash

_FULL = "full"
_FAILING = "failing"
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "COMMIT")


class Disk:
    """The folder of one host. fault: None, "full" or "failing" (a commit fails, and perhaps took place)."""

    def __init__(self, folder, random):
        self.folder = folder
        self._random = random
        self.fault = None
        self.failed = 0
        self._open = []

    def connect(self, path, **options):
        connection = _CONNECT(path, factory=_Connection, **options)
        connection.disk = self
        self._open.append(connection)
        return connection

    def crash(self):
        """The process is gone: what it had not committed is, too."""
        for connection in self._open:
            connection.die()
        self._open.clear()

    def copy_to(self, folder):
        """Copy the files as a backup made while nothing ran would."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)

    def restore(self, folder):
        """Put a copy back. The process must be down."""
        for path in self.folder.iterdir():
            path.unlink()
        shutil.copytree(folder, self.folder, dirs_exist_ok=True)

    def before(self, sql, connection):
        """Fail as the disk does at present."""
        if self.fault is None or not sql.lstrip().upper().startswith(_WRITES):
            return
        if self.fault == _FULL:
            self._fail("database or disk is full", sqlite3.SQLITE_FULL)
        if sql == "COMMIT" and self._random.random() < 0.5:
            if self._random.random() < 0.5:
                connection.commit_anyway()
            self._fail("disk I/O error", sqlite3.SQLITE_IOERR_FSYNC)

    def _fail(self, words, code):
        self.failed += 1
        error = sqlite3.OperationalError(words)
        error.sqlite_errorcode = code
        error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
        raise error


class _Connection(sqlite3.Connection):
    disk = None
    is_dead = False

    def execute(self, sql, *parameters):
        # A hundred thousand times in a world.
        if self.is_dead or (self.disk is not None and self.disk.fault is not None):
            self._meet(sql)
        return _EXECUTE(self, sql, *parameters)

    def executemany(self, sql, *parameters):
        self._meet(sql)
        return super().executemany(sql, *parameters)

    def _meet(self, sql):
        if self.is_dead:
            raise Crash("a process that is gone")
        if self.disk is not None:
            self.disk.before(sql, self)

    def commit_anyway(self):
        super().execute("COMMIT")

    def die(self):
        with contextlib.suppress(sqlite3.Error):
            self.rollback()
        self.is_dead = True
        self.close()


_CONNECT = sqlite3.connect
_EXECUTE = sqlite3.Connection.execute


@contextlib.contextmanager
def disks(of_path):
    """While inside, sqlite3.connect(path) goes to the Disk that of_path(path) returns, None for none."""

    def connect(path, *arguments, **options):
        disk = of_path(str(path))
        if disk is None:
            return _CONNECT(path, *arguments, **options)
        return disk.connect(path, **options)

    sqlite3.connect = connect
    try:
        yield
    finally:
        sqlite3.connect = _CONNECT
