-- The way down. What the office said last of each device: the release wanted there, and its waiting commands.
CREATE TABLE wanted (device BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE commands (
  device BLOB NOT NULL,
  number INTEGER NOT NULL,
  raw BLOB NOT NULL,
  PRIMARY KEY (device, number)
) WITHOUT ROWID;

-- Releases that some device is to have, and the parts that they name, kept for when the office cannot be reached.
CREATE TABLE releases (number INTEGER PRIMARY KEY, raw BLOB NOT NULL);
CREATE TABLE parts (digest BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
