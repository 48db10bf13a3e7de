-- Gaps that a person passed over, because nobody can fill them any more: receipts go on above them. Half-open. What is in one stays missing.
CREATE TABLE accepted_gaps (
    device BLOB NOT NULL,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    author TEXT NOT NULL,
    accepted_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, lane, epoch, start)
) STRICT;
