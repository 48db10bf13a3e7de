-- Which gateways may read bodies of class site: of the devices of their site, so many periods back from the newest one and so many ahead.
-- past below zero: the grant was withdrawn, and the gateway is told to forget.
CREATE TABLE view_grants (
    gateway TEXT PRIMARY KEY,
    past INTEGER NOT NULL,
    ahead INTEGER NOT NULL,
    author TEXT NOT NULL,
    changed_ms INTEGER NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;
