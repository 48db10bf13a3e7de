"""An office without its transport: the real ingest over real SQLite files, with clocks that the test turns."""

from office_ingest.govern.views import Views
from office_ingest.receive.ingest import Ingest
from office_ingest.receive.keystore import Keystore
from office_ingest.receive.registry import Registry
from office_ingest.receive.takings import Takings
from office_ingest.storage.sqlite import SqliteStore
from protocol.messages import parse_receipt

TOKEN = "token of the only gateway here"
# Heartbeats until a person is told that a release does not arrive.
PATIENCE = 4
# What depends on when and in which order things came, by table; everything else must not.
BY_ARRIVAL = {"received_ms", "committed_ms", "changed_ms", "first_ms", "last_ms", "row_digest", "times"}


class OfficeDesk:
    """An office in a folder: database, keystore and ingest. is_there: found before, by the command or its function."""

    def __init__(self, folder, ingest=Ingest, *, is_there=False):
        self.folder = folder
        self.now_ms = 1_700_000_000_000
        self.heard = []
        self.store = (SqliteStore.open if is_there else SqliteStore.create)(folder / "office.db")
        self.keystore = (Keystore.open if is_there else Keystore.create)(folder / "keystore.db")
        self.registry = Registry(self.store)
        self.registry.add_gateway("gw-1", name="gw-1", site="site-1", token=TOKEN, now_ms=1)
        self._ingest = ingest
        self.start()

    def start(self):
        """Begin with nothing in memory, as after a restart."""
        takings = Takings(self.store, patience=PATIENCE)
        self.ingest = self._ingest(
            self.store,
            self.keystore,
            wall_ms=self.wall_ms,
            heard=self.heard.append,
            takings=takings,
            views=Views(self.store, self.keystore),
        )

    def wall_ms(self):
        """The office's wall clock: a millisecond each time it is read."""
        self.now_ms += 1
        return self.now_ms

    def add(self, device, name="device"):
        """Register a DeviceModel and give the office its keys."""
        self.registry.add_device(device.device, name=name, site="site-1", now_ms=1)
        device.enrol(self.keystore)

    def take(self, *segments, heartbeats=()):
        """Bring segments and heartbeats in one request and return the answer."""
        return self.ingest.take("gw-1", list(segments), list(heartbeats))

    def receipts(self, answer):
        """Return (lane, epoch) -> number of an answer's receipts."""
        fields = [parse_receipt(raw).fields for raw in answer.receipts]
        return {(receipt.lane, receipt.epoch): receipt.number for receipt in fields}

    def rows(self, table, columns="*", where="1", *values):
        """Return rows of a table."""
        return self.store.connection.execute(
            f"SELECT {columns} FROM {table} WHERE {where}", values
        ).fetchall()

    def findings(self):
        """Return (kind, place) of the open findings."""
        return sorted(self.rows("findings", "kind, place", "state = 'open'"))

    def contents(self):
        """Return every table as a sorted list of rows, less what tells when and in which order things came."""
        tables = ("segments", "forks", "quarantine", "heads", "receipts", "gaps", "findings", "tallies")
        return {table: self._comparable(table) for table in tables}

    def _comparable(self, table):
        names = [row[1] for row in self.store.connection.execute(f"PRAGMA table_info({table})")]
        kept = [name for name in names if name not in BY_ARRIVAL]
        where = "state <> 'filled'" if table == "gaps" else "1"
        return sorted(self.rows(table, ", ".join(kept), where), key=repr)

    def close(self):
        """Close both files."""
        self.store.close()
        self.keystore.close()
