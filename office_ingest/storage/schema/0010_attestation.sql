-- The newest claims of each device about what it runs, as its sealed event says; and the images that a person registered.
CREATE TABLE attestations (
    device BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,
    event_order INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    tick_ms INTEGER NOT NULL,
    claims BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;
CREATE TABLE images (
    digest BLOB PRIMARY KEY,
    hardware TEXT NOT NULL,
    is_development INTEGER NOT NULL,
    author TEXT NOT NULL,
    added_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;
