-- Segments in custody, until a receipt covers them. Several digests of one place are a fork: all are kept.
-- raw is NULL once the office told that the evidence lies there (fork, quarantine); outcome is NULL until it told.
CREATE TABLE segments (
  id INTEGER PRIMARY KEY,
  device BLOB NOT NULL,
  lane INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  number INTEGER NOT NULL,
  digest BLOB NOT NULL,
  raw BLOB,
  outcome INTEGER,
  times INTEGER NOT NULL DEFAULT 1,
  received_ms INTEGER NOT NULL,
  UNIQUE (device, lane, epoch, number, digest)
);
-- The outbox: what the office was not yet told of, critical lane first, oldest first.
CREATE INDEX outbox ON segments (lane, id) WHERE outcome IS NULL;

-- One row a lane stands for everything below its newest receipt.
CREATE TABLE lanes (
  device BLOB NOT NULL,
  lane INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  receipted INTEGER NOT NULL DEFAULT 0,
  digest BLOB,
  receipt BLOB,
  kept_from INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (device, lane, epoch)
) WITHOUT ROWID;

-- Numbers that tombstones cover, half-open.
CREATE TABLE lost (
  device BLOB NOT NULL,
  lane INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  start INTEGER NOT NULL,
  stop INTEGER NOT NULL,
  PRIMARY KEY (device, lane, epoch, start, stop)
) WITHOUT ROWID;

-- For people: where two digests claimed one place.
CREATE TABLE forks (
  device BLOB NOT NULL,
  lane INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  number INTEGER NOT NULL,
  digest BLOB NOT NULL,
  seen_ms INTEGER NOT NULL,
  PRIMARY KEY (device, lane, epoch, number, digest)
) WITHOUT ROWID;

-- The newest that each device said of itself.
CREATE TABLE devices (
  device BLOB PRIMARY KEY,
  heard_ms INTEGER NOT NULL,
  boot INTEGER,
  counter INTEGER,
  epoch INTEGER,
  heartbeat BLOB,
  heartbeat_ms INTEGER
) WITHOUT ROWID;

CREATE TABLE heartbeat_queue (
  id INTEGER PRIMARY KEY,
  device BLOB NOT NULL,
  raw BLOB NOT NULL
);
CREATE INDEX heartbeat_queue_device ON heartbeat_queue (device, id);

-- OSCORE: which contexts a device ever used with this gateway, and the first sender sequence not yet reserved.
-- context names the keys (a hash); state is 'current', 'unconfirmed' or 'retired'.
CREATE TABLE sessions (
  device BLOB NOT NULL,
  context BLOB NOT NULL,
  state TEXT NOT NULL,
  reserved INTEGER NOT NULL,
  PRIMARY KEY (device, context)
) WITHOUT ROWID;

-- What the running gateway last said of itself, as JSON.
CREATE TABLE health (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  body TEXT NOT NULL,
  saved_ms INTEGER NOT NULL
);
