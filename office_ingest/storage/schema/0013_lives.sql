-- As link_usage, of gateways that say in which life of their counts a total began: that of a gateway whose store was lost begins anew,
-- and both count. link_usage goes on holding those that do not say.
CREATE TABLE link_usage_lives (
    device BLOB NOT NULL,
    day INTEGER NOT NULL,
    link INTEGER NOT NULL,
    gateway TEXT NOT NULL,
    life BLOB NOT NULL,
    received_bytes INTEGER NOT NULL,
    sent_bytes INTEGER NOT NULL,
    received_datagrams INTEGER NOT NULL,
    sent_datagrams INTEGER NOT NULL,
    row_digest BLOB NOT NULL,
    PRIMARY KEY (device, day, link, gateway, life)
) STRICT;
CREATE INDEX link_usage_lives_of_day ON link_usage_lives (day);
