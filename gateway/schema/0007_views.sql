-- Single view keys of class site that the office granted, and the newest reading of each channel that was read with them.
-- Both are keyed by period: a period that the office names no more is deleted from both.
CREATE TABLE views (
  device BLOB NOT NULL,
  period INTEGER NOT NULL,
  key BLOB NOT NULL,
  PRIMARY KEY (device, period)
) WITHOUT ROWID;
CREATE TABLE readings (
  device BLOB NOT NULL,
  channel INTEGER NOT NULL,
  period INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  event_order INTEGER NOT NULL,
  boot INTEGER NOT NULL,
  tick_ms INTEGER NOT NULL,
  value INTEGER,
  quality INTEGER NOT NULL,
  read_ms INTEGER NOT NULL,
  sum BLOB NOT NULL,
  PRIMARY KEY (device, channel)
) WITHOUT ROWID;
