-- The office's database. Everything a device said is in the raw columns, as sealed; the rest repeats it for queries,
-- and row_digest covers the rest, so that an auditor names any column that changed by itself.

CREATE TABLE devices (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    site TEXT NOT NULL,
    added_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;

CREATE TABLE gateways (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    site TEXT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    added_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;

CREATE TABLE segments (
    device BLOB NOT NULL,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    count INTEGER NOT NULL,
    digest BLOB NOT NULL,
    previous BLOB NOT NULL,
    generation INTEGER NOT NULL,
    class INTEGER NOT NULL,
    period INTEGER NOT NULL,
    raw BLOB NOT NULL,
    gateway TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    committed_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, lane, epoch, number)
) STRICT;

-- Tombstones are found again at start without reading every segment.
CREATE INDEX segments_clear ON segments (device, lane, epoch, number) WHERE class = 0;

-- Verified, and in contradiction to what is held: another segment for a place (kind 'place'), one that does not continue
-- its neighbour ('chain'), or a heartbeat whose head is not what is held ('head'; raw is the heartbeat).
-- contested: the lowest number that is in doubt; receipts stop below it.
CREATE TABLE forks (
    digest BLOB NOT NULL,
    device BLOB NOT NULL,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    contested INTEGER NOT NULL,
    kind TEXT NOT NULL,
    raw BLOB NOT NULL,
    gateway TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (digest, lane)
) STRICT;
CREATE INDEX forks_lane ON forks (device, lane, epoch);

-- device is NULL where the bytes name none that is known.
CREATE TABLE quarantine (
    digest BLOB PRIMARY KEY,
    device BLOB,
    code INTEGER NOT NULL,
    text TEXT NOT NULL,
    raw BLOB NOT NULL,
    gateway TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    times INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;
CREATE INDEX quarantine_device ON quarantine (device);

CREATE TABLE heartbeats (
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
    PRIMARY KEY (device, boot, counter)
) STRICT;

-- Newest sealed head of each lane and epoch, from the heartbeat (boot, counter).
CREATE TABLE heads (
    device BLOB NOT NULL,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    kept_from INTEGER NOT NULL,
    number INTEGER NOT NULL,
    digest BLOB NOT NULL,
    boot INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, lane, epoch)
) STRICT;

CREATE TABLE receipts (
    device BLOB NOT NULL,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    digest BLOB NOT NULL,
    generation INTEGER NOT NULL,
    raw BLOB NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, lane, epoch)
) STRICT;

-- Half-open. open: known to exist and not held; lost: covered by a tombstone; filled: was a gap and is held now.
-- pruned: the device says that it no longer has them, and no tombstone covers them.
CREATE TABLE gaps (
    device BLOB NOT NULL,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    state TEXT NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    pruned INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, lane, epoch, state, start)
) STRICT;

CREATE TABLE findings (
    device BLOB NOT NULL,
    kind TEXT NOT NULL,
    place TEXT NOT NULL,
    text TEXT NOT NULL,
    state TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    times INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, kind, place)
) STRICT;

CREATE TABLE tallies (
    device BLOB PRIMARY KEY,
    segments INTEGER NOT NULL,
    events INTEGER NOT NULL,
    decisions INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;

-- How many rows a table has and the XOR of their row_digests, kept with each transaction: a row that disappears, where nothing else
-- repeats it, still leaves its table wrong.
CREATE TABLE row_sums (name TEXT PRIMARY KEY, rows INTEGER NOT NULL, sum BLOB NOT NULL) STRICT;

CREATE TABLE bundles (digest BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE schemas (digest BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT;
