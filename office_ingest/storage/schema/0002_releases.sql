-- Releases and who signed them. Nothing here is changed once it is written; what a row says is proved by its own bytes.

-- successor: COSE_Sign1 by this root over who follows it.
CREATE TABLE release_roots (
    id BLOB PRIMARY KEY,
    public BLOB NOT NULL,
    successor BLOB NOT NULL,
    added_ms INTEGER NOT NULL
) STRICT;

-- digest: of the manifest. widens: JSON, the ways in which it allows more than what runs, as known when it was built.
CREATE TABLE releases (
    number INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    manifest BLOB NOT NULL,
    widens TEXT NOT NULL,
    built_ms INTEGER NOT NULL
) STRICT;

-- A leaf of a root signs once: the database itself refuses a second signature by it.
CREATE TABLE release_signatures (
    number INTEGER NOT NULL,
    root BLOB NOT NULL,
    leaf INTEGER NOT NULL,
    raw BLOB NOT NULL,
    signed_ms INTEGER NOT NULL,
    PRIMARY KEY (number, root),
    UNIQUE (root, leaf)
) STRICT;

CREATE TABLE release_parts (digest BLOB PRIMARY KEY, kind INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
