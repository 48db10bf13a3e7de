-- What each device moved over each link in a day, UTC, as this gateway counted it: totals, told to the office as they are. link: as the
-- uplink numbers them. A day that is over and was told is dropped.
CREATE TABLE usage (
  device BLOB NOT NULL,
  day INTEGER NOT NULL,
  link INTEGER NOT NULL,
  received_bytes INTEGER NOT NULL,
  sent_bytes INTEGER NOT NULL,
  received_datagrams INTEGER NOT NULL,
  sent_datagrams INTEGER NOT NULL,
  PRIMARY KEY (device, day, link)
) WITHOUT ROWID;
