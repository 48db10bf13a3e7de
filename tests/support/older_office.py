"""An office of an older schema, made by this version's code: what later tables hold is not asked for."""

from office_ingest.govern import views
from office_ingest.receive import takings
from office_ingest.storage import accepted, sqlite
from office_ingest.storage.sqlite import SqliteStore


def make_older(put, below):
    """Let databases have the schema steps whose names are below this one. put: pytest's monkeypatch.setattr."""
    steps = [step for step in sqlite._steps() if step.name < below]
    put(sqlite, "_steps", lambda: steps)
    put(accepted, "accepted_ranges", lambda connection, place: [])
    put(SqliteStore, "accepted_mark", lambda self: (0, 0))
    put(takings, "keep_budget", lambda store, device, health, now_ms: None)
    put(views, "grant_of", lambda connection, gateway: None)
    put(SqliteStore, "is_revoked", lambda self, device: False)
    put(SqliteStore, "revoked_of_site", lambda self, gateway: [])
