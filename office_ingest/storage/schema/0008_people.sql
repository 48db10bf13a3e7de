-- Who may ask over HTTP, and who did what. Of a token only its SHA-256 is kept.

-- sites: JSON, names of sites that it is limited to; [] for all. used_ms: to a minute.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    role TEXT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    sites TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    revoked_ms INTEGER,
    used_ms INTEGER,
    row_digest BLOB NOT NULL
) STRICT;

-- way: 'command', 'http' or 'page'. about: what it was about, in words. outcome: 'begun', 'done', 'refused', or what went wrong.
CREATE TABLE acts (
    number INT PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    way TEXT NOT NULL,
    verb TEXT NOT NULL,
    resource TEXT NOT NULL,
    about TEXT NOT NULL,
    outcome TEXT NOT NULL,
    row_digest BLOB NOT NULL
) STRICT;
-- Added to, never changed: the database itself refuses it.
CREATE TRIGGER acts_stay BEFORE UPDATE ON acts BEGIN SELECT RAISE(ABORT, 'acts are never changed'); END;
CREATE TRIGGER acts_remain BEFORE DELETE ON acts BEGIN SELECT RAISE(ABORT, 'acts are never deleted'); END;
