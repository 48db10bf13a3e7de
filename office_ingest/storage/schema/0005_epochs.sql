-- A device whose flash was put back counts its boots again, in a new epoch: its heartbeats rise by (epoch, boot, counter).
-- Columns and rows stay as they are, so that row digests and row sums go on covering them.
CREATE TABLE heartbeats_by_epoch (
    device BLOB NOT NULL,
    boot INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    digest BLOB NOT NULL,
    raw BLOB NOT NULL,
    gateway TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, epoch, boot, counter)
) STRICT;
INSERT INTO heartbeats_by_epoch SELECT * FROM heartbeats ORDER BY rowid;
DROP TABLE heartbeats;
ALTER TABLE heartbeats_by_epoch RENAME TO heartbeats;
