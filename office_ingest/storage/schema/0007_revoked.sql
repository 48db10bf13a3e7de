-- Devices that a person called revoked: nothing new of them is taken, nothing is said to them. A row is never taken back.
CREATE TABLE revoked (
    device BLOB PRIMARY KEY,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    revoked_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;
