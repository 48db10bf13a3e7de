-- What each device moved over each link in a day, UTC, as each gateway counted it: totals. day: since 1970; link: as the uplink numbers
-- them. received: by the gateway, so sent by the device. Older days than the office keeps are deleted.
CREATE TABLE link_usage (
    device BLOB NOT NULL,
    day INTEGER NOT NULL,
    link INTEGER NOT NULL,
    gateway TEXT NOT NULL,
    received_bytes INTEGER NOT NULL,
    sent_bytes INTEGER NOT NULL,
    received_datagrams INTEGER NOT NULL,
    sent_datagrams INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, day, link, gateway)
) STRICT;
CREATE INDEX link_usage_of_day ON link_usage (day);

-- What a device says that its link may move in a day; no row: it has no allowance, or has not said.
CREATE TABLE link_budgets (
    device BLOB PRIMARY KEY,
    day_bytes INTEGER NOT NULL,
    said_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;
