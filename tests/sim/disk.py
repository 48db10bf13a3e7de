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
    """The folder of one host. fault: None, "full" or "failing" (a commit fails, and perhaps took place). happened: counts what it did."""

    def __init__(self, folder, random, happened):
        self.folder = folder
        self._random = random
        self._happened = happened
        self._fault = None
        self.failed = 0
        self._open = []

    @property
    def fault(self):
        return self._fault

    @fault.setter
    def fault(self, fault):
        self._fault = fault
        for connection in self._open:
            connection.troubled(fault is not None)

    def connect(self, path, **options):
        connection = _CONNECT(path, factory=_Connection, **options)
        connection.disk = self
        connection.troubled(self._fault is not None)
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
            self._happened["write met a full disk"] += 1
            self._fail("database or disk is full", sqlite3.SQLITE_FULL)
        if sql == "COMMIT" and self._random.random() < 0.5:
            is_kept = self._random.random() < 0.5
            self._happened["sync failed, all kept" if is_kept else "sync failed, nothing kept"] += 1
            if is_kept:
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

    def troubled(self, is_troubled):
        """Ask the disk before each statement from now on, or no more: fifty thousand are run in a world, most without trouble."""
        if is_troubled:
            self.execute, self.executemany = self._execute, self._executemany
        else:
            self.__dict__.pop("execute", None)
            self.__dict__.pop("executemany", None)

    def _execute(self, sql, *parameters):
        self._meet(sql)
        return super().execute(sql, *parameters)

    def _executemany(self, sql, *parameters):
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
        self.troubled(True)
        self.close()


_CONNECT = sqlite3.connect


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
