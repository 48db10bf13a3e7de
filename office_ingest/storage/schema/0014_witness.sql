-- What gateways showed of leaves that signed and that this database did not know, as after it was put back to a backup: envelope is the
-- proof, by the root itself. And when each gateway last bore witness with nothing left to show.
CREATE TABLE witnessed (
    root BLOB NOT NULL,
    leaf INTEGER NOT NULL,
    mark BLOB NOT NULL,
    envelope BLOB NOT NULL,
    gateway TEXT NOT NULL,
    shown_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (root, leaf, mark)
) STRICT;
CREATE TABLE witnesses (gateway TEXT PRIMARY KEY, heard_ms INTEGER NOT NULL, row_digest BLOB NOT NULL) STRICT;
